"""Raw robot units to what the model sees, and exactly back."""

import numpy as np

from ..configuration.action_contract import ActionContract, VectorSpec

# A dimension that hardly moves in the data is only shifted: dividing by its range would blow up noise.
SMALLEST_RANGE = 1e-6


class VectorNormalizer:
    """Normalises one vector as its spec says; `decode` is the inverse of `encode`.

    Args:
        spec: names, mode, statistics and mask.
        field: how errors call the vector, for example "action of embodiment 'arm'".

    Raises:
        ValueError: where the mode needs statistics and there are none.
    """

    def __init__(self, spec: VectorSpec, field: str):
        self.spec = spec
        self.field = field
        self.offset, self.scale = self._affine()
        self.clamps = spec.normalization == "quantile"
        self.mask = np.ones(spec.dim, dtype=bool) if spec.mask is None else np.asarray(spec.mask)

    def _affine(self) -> tuple[np.ndarray, np.ndarray]:
        spec, statistics = self.spec, self.spec.statistics
        if spec.normalization == "none":
            return np.zeros(spec.dim), np.ones(spec.dim)
        if statistics is None:
            raise ValueError(
                f"{self.field}: normalization {spec.normalization!r} needs statistics and there are none. "
                "Compute them from the dataset, or load the processor that was saved with the checkpoint."
            )
        if spec.normalization == "mean_std":
            offset, scale = np.array(statistics.mean), np.array(statistics.std)
        else:
            names = ("q01", "q99") if spec.normalization == "quantile" else ("min", "max")
            low, high = (np.array(getattr(statistics, name)) for name in names)
            offset, scale = (high + low) / 2, (high - low) / 2
        return offset, np.where(scale < SMALLEST_RANGE, 1.0, scale)

    def encode(self, values: np.ndarray) -> np.ndarray:
        """`(..., dim)` in the robot's units to float32; "quantile" clamps to [-1, 1]."""
        values = self.checked(values)
        normal = (values - self.offset) / self.scale
        if self.clamps:
            normal = normal.clip(-1.0, 1.0)
        return np.where(self.mask, normal, values).astype(np.float32)

    def decode(self, normal: np.ndarray) -> np.ndarray:
        """`(..., dim)` normalised to float32 in the robot's units."""
        normal = self.checked(normal)
        return np.where(self.mask, normal * self.scale + self.offset, normal).astype(np.float32)

    def checked(self, values: np.ndarray) -> np.ndarray:
        """Check width and finiteness; returns float64."""
        values = np.asarray(values, dtype=np.float64)
        if values.ndim == 0 or values.shape[-1] != self.spec.dim:
            raise ValueError(
                f"{self.field} has {self.spec.dim} dimensions {list(self.spec.names)}, "
                f"got an array of shape {values.shape}."
            )
        if not np.isfinite(values).all():
            bad = sorted({self.spec.names[index] for index in np.argwhere(~np.isfinite(values))[:, -1]})
            raise ValueError(f"{self.field} holds a value that is not finite, in dimension(s) {bad}.")
        return values


class ActionNormalizer(VectorNormalizer):
    """The `VectorNormalizer` of what the model predicts, with on/off grippers at +1 (open) and -1 (closed)."""

    def __init__(self, contract: ActionContract):
        super().__init__(contract.predicted, f"action of embodiment {contract.embodiment!r}")
        self.grippers = contract.predicted_grippers

    def encode(self, values: np.ndarray) -> np.ndarray:
        """Anything beyond the gripper's threshold counts as open."""
        normal = super().encode(values)
        for gripper in self.grippers:
            raw = np.asarray(values)[..., gripper.dim]
            is_open = (raw > gripper.threshold) == (gripper.open_value > gripper.closed_value)
            normal[..., gripper.dim] = np.where(is_open, 1.0, -1.0)
        return normal

    def decode(self, normal: np.ndarray) -> np.ndarray:
        """Grippers come back as exactly `open_value` or `closed_value`."""
        values = super().decode(normal)
        for gripper in self.grippers:
            is_open = np.asarray(normal)[..., gripper.dim] > 0
            values[..., gripper.dim] = np.where(is_open, gripper.open_value, gripper.closed_value)
        return values
