"""Which action is due at which control step, where chunks overlap."""

import numpy as np

from ...configuration.action_contract import ActionContract


class ActionTimeline:
    """Chunks laid over the control steps of an episode.

    Args:
        contract: of the actions.
        ensemble: None: the newest chunk that covers a step says what to do. A number m: the mean of all that cover it,
            with weights `exp(-m i)`, i = 0 for the oldest (temporal ensembling, Zhao et al. 2023, who use 0.01);
            grippers take the side of the weighted majority.

    Raises:
        ValueError: averaging quaternions is asked for.
    """

    def __init__(self, contract: ActionContract, ensemble: float | None = None):
        if ensemble is not None and contract.rotation.startswith("quaternion"):
            raise ValueError(f"temporal ensembling averages actions, which {contract.rotation} rotations don't allow.")
        self.contract, self.ensemble = contract, ensemble
        self._chunks: list[tuple[int, np.ndarray]] = []

    def clear(self) -> None:
        """Forget everything."""
        self._chunks = []

    def put(self, start: int, chunk: np.ndarray) -> None:
        """Lay a chunk `(steps, action_dim)` down, its first action at control step `start`."""
        self._chunks.append((start, np.asarray(chunk, dtype=np.float32)))

    def get(self, step: int) -> np.ndarray | None:
        """Return the action due at a step, `(action_dim,)`; None where no chunk reaches. What lies before is
        forgotten."""
        self._chunks = [(start, chunk) for start, chunk in self._chunks if start + len(chunk) > step]
        covering = [chunk[step - start] for start, chunk in self._chunks if start <= step]
        if not covering:
            return None
        if self.ensemble is None or len(covering) == 1:
            return covering[-1].copy()
        weights = np.exp(-self.ensemble * np.arange(len(covering)))
        mean = np.average(covering, axis=0, weights=weights).astype(np.float32)
        for gripper in self.contract.grippers:
            open_side = (mean[gripper.dim] > gripper.threshold) == (gripper.open_value > gripper.closed_value)
            mean[gripper.dim] = gripper.open_value if open_side else gripper.closed_value
        return mean

    def running(self, step: int) -> np.ndarray:
        """Return what is left of the newest chunk from a step on, `(steps, action_dim)`, perhaps nothing."""
        if not self._chunks:
            return np.zeros((0, self.contract.action_dim), dtype=np.float32)
        start, chunk = self._chunks[-1]
        return chunk[max(0, step - start) :]
