"""The action contract: everything a robot must know to run a checkpoint's actions, saved with the checkpoint."""

import hashlib
import json
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Self, get_args

from .action_transforms import ActionTransform
from .safety_limits import SafetyLimits
from .saving import travels_with
from .serialization import ADDED_LATER, StrictRecord

NormalizationMode = Literal["quantile", "min_max", "mean_std", "none"]
UNKNOWN = "unknown"
"""What nobody has said and no data has shown. It is never replaced by a guess."""
Mode = Literal["unknown", "delta", "absolute", "velocity"]
Frame = Literal["unknown", "world", "base", "tool", "joint"]
RotationName = Literal["unknown", "none", "euler_xyz", "axis_angle", "quaternion_xyzw", "quaternion_wxyz", "rot6d"]


@dataclass(frozen=True)
class Statistics(StrictRecord):
    """Per-dimension statistics of one vector, in the dataset's own units.

    `origin` says where they were computed (dataset id, revision, transforms), `count` over how many frames.
    """

    q01: tuple[float, ...]
    q99: tuple[float, ...]
    min: tuple[float, ...]
    max: tuple[float, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    count: int
    origin: str = "unknown"

    def validate(self) -> None:
        width = len(self.q01)
        for name in ("q01", "q99", "min", "max", "mean", "std"):
            values = getattr(self, name)
            if len(values) != width:
                raise ValueError(f"Statistics.{name} has {len(values)} dimensions, q01 has {width}.")
            if not all(math.isfinite(value) for value in values):
                raise ValueError(f"Statistics.{name} holds a value that is not finite: {values}.")
        if self.count < 1 or min(self.std, default=0.0) < 0:
            raise ValueError(f"Statistics: count = {self.count} and std = {self.std} must be positive.")
        for low, high in (("q01", "q99"), ("min", "max")):
            for index, (a, b) in enumerate(zip(getattr(self, low), getattr(self, high), strict=True)):
                if a > b:
                    raise ValueError(f"Statistics.{low}[{index}] = {a} is above {high}[{index}] = {b}.")


@dataclass(frozen=True)
class VectorSpec(StrictRecord):
    """Names, units and normalisation of the dimensions of an action or a state.

    Args:
        names: one name per dimension.
        units: one unit per dimension ("m", "rad", "1" for none, "unknown"); empty where all are unknown.
        normalization: "quantile" clamps to [q01, q99] and maps to [-1, 1]; "min_max" maps [min, max] to [-1, 1]
            without clamping; "mean_std" standardises; "none" leaves values alone.
        statistics: required by every mode but "none".
        mask: per dimension, whether it is normalised (None: all).
    """

    names: tuple[str, ...]
    units: tuple[str, ...] = ()
    normalization: NormalizationMode = "quantile"
    statistics: Statistics | None = field(default=None, repr=False)  # thousands of characters
    mask: tuple[bool, ...] | None = None

    def validate(self) -> None:
        if not self.names or len(set(self.names)) != len(self.names):
            raise ValueError(f"VectorSpec.names must be non-empty and unique, got {self.names}.")
        for name, values in (("units", self.units or None), ("mask", self.mask)):
            if values is not None and len(values) != len(self.names):
                raise ValueError(f"VectorSpec.{name} has {len(values)} entries for {len(self.names)} dimensions.")
        if self.statistics is not None and len(self.statistics.q01) != len(self.names):
            raise ValueError(
                f"VectorSpec.statistics have {len(self.statistics.q01)} dimensions, "
                f"the vector has {len(self.names)}: {list(self.names)}. Are they of another embodiment?"
            )

    @property
    def dim(self) -> int:
        return len(self.names)


@dataclass(frozen=True)
class GripperSpec(StrictRecord):
    """An on/off dimension of the action. The model sees +1 for open and -1 for closed, whatever the robot uses.

    Args:
        dim: its index in the action.
        open_value, closed_value: what the robot's controller understands.
    """

    dim: int
    open_value: float
    closed_value: float

    def validate(self) -> None:
        if not (math.isfinite(self.open_value) and math.isfinite(self.closed_value)):
            raise ValueError(
                f"GripperSpec: open_value = {self.open_value}, closed_value = {self.closed_value}: not finite."
            )
        if self.open_value == self.closed_value:
            raise ValueError(f"GripperSpec: open_value and closed_value are both {self.open_value}.")

    @property
    def threshold(self) -> float:
        """Halfway between closed and open, in the robot's units."""
        return (self.open_value + self.closed_value) / 2


@dataclass(frozen=True)
class CameraSpec(StrictRecord):
    """One camera: its name in observations and the size (pixels) of the images the policy was trained on.

    `centre_crop`: where training cut random crops out of the images, the fraction of their area; the processor then cuts
    as much out of the centre of every image that is not such a crop already, and resizes it to the full size.
    """

    name: str
    height: int
    width: int
    centre_crop: float | None = field(default=None, metadata=ADDED_LATER)

    def validate(self) -> None:
        if self.centre_crop is not None and not 0 < self.centre_crop < 1:
            raise ValueError(
                f"CameraSpec {self.name!r}: centre_crop is a fraction of the area between 0 and 1, got {self.centre_crop}."
            )
        if self.height < 1 or self.width < 1:
            raise ValueError(
                f"CameraSpec {self.name!r}: height and width must be positive, got {self.height}x{self.width}."
            )


@dataclass(frozen=True)
class LearnedActions(StrictRecord):
    """What the model learns in place of the robot's actions.

    Args:
        transform: makes it of the robot's actions, and the robot's actions of it. Where it refers to the state, that is the
            state of the observation at which a chunk begins, in training as in control.
        vector: its names, normalisation and statistics.
        sees_state: False where the state is observed for the transform alone, and the model does not see it.
    """

    transform: ActionTransform
    vector: VectorSpec
    sees_state: bool = True

    def require_fit(self, contract: "ActionContract") -> None:
        """Raises ValueError where the transform does not go with action, state, chunk or grippers, or cannot be saved."""
        transform, there = self.transform, 0 if contract.state is None else contract.state.dim
        transform.require_registered()
        if not self.sees_state and not transform.uses_state:
            raise ValueError(
                "LearnedActions.sees_state is False, and the transform does not need the state: state=None."
            )
        if (names := tuple(transform.names(contract.action.names))) != self.vector.names:
            raise ValueError(f"LearnedActions.vector has {self.vector.names}, the transform makes {names}.")
        if there < transform.needed_state:
            raise ValueError(
                f"LearnedActions.transform: {transform} needs a state of {transform.needed_state} dimensions or more, the "
                f"contract has {there}. A model that must not see it has sees_state=False."
            )
        if transform.uses_state and not transform.per_chunk and contract.chunk_size > 1:
            raise ValueError(
                f"LearnedActions.transform: {transform} refers each action to the state at its own step, which nobody knows "
                f"when a chunk of {contract.chunk_size} is predicted: per_chunk=True, or chunk_size=1."
            )
        lost = transform.rewritten(contract.action.names) & {
            contract.action.names[dim] for dim in contract.gripper_dims
        }
        if lost:
            raise ValueError(
                f"ActionContract.grippers: {sorted(lost)} are on or off; leave them out of the transform {transform}."
            )


@dataclass(frozen=True)
class ActionContract(StrictRecord):
    """What one embodiment's observations and actions mean. JSON round trip; `hash` identifies it.

    Args:
        embodiment: the key that selects this contract in a checkpoint.
        action: names, units, normalisation and statistics of the action's dimensions.
        cameras: in the order in which the policy sees them.
        control_frequency: Hz.
        chunk_size: how many actions one prediction holds.
        n_action_steps: how many of them are executed before the next prediction.
        window_size: how many observations the policy sees.
        history_stride: control steps between two observations of the window.
        state: the proprioceptive state, if the policy uses it, or `learned` refers to it.
        grippers: the on/off dimensions of the action.
        rotation: how the action's rotation is written ("none": it has none).
        frame: the frame in which the action is expressed.
        mode: "absolute" (targets), "delta" (relative to the present pose) or "velocity" (per second).
            These three are "unknown" until somebody says them; whatever needs one refuses then (`require_known`).
        safety: limits on what a robot is told, where somebody has set them.
        learned: what the model learns where that is not the robot's actions as they are; everything else here (`action`,
            `grippers`, `mode`, `frame`, `rotation`, `safety`) is what the robot gets.

    Example:
        contract = action_contract(LeRobotDataset("me/demonstrations"), n_action_steps=5)
        contract = contract.replace(mode="delta", frame="base", rotation="euler_xyz")
        contract.to_json("contract.json")
        assert ActionContract.from_json("contract.json").hash == contract.hash
    """

    embodiment: str
    action: VectorSpec
    cameras: tuple[CameraSpec, ...]
    control_frequency: float
    chunk_size: int
    n_action_steps: int = 1
    window_size: int = 1
    history_stride: int = 1
    state: VectorSpec | None = None
    grippers: tuple[GripperSpec, ...] = ()
    rotation: RotationName = UNKNOWN
    frame: Frame = UNKNOWN
    mode: Mode = UNKNOWN
    notes: str = ""
    safety: SafetyLimits | None = field(default=None, metadata=ADDED_LATER)
    learned: LearnedActions | None = field(default=None, metadata=ADDED_LATER)

    def validate(self) -> None:
        for name in ("chunk_size", "n_action_steps", "window_size", "history_stride"):
            if getattr(self, name) < 1:
                raise ValueError(f"ActionContract.{name} must be at least 1, got {getattr(self, name)}.")
        if self.n_action_steps > self.chunk_size:
            raise ValueError(
                f"ActionContract.n_action_steps = {self.n_action_steps} exceeds chunk_size = {self.chunk_size}."
            )
        if self.window_size > 1 and self.n_action_steps % self.history_stride:
            raise ValueError(
                f"ActionContract.n_action_steps = {self.n_action_steps} must be a multiple of "
                f"history_stride = {self.history_stride}, so that each prediction falls on an observed frame."
            )
        if not self.embodiment:
            raise ValueError("ActionContract.embodiment is empty; it is the key that selects this contract.")
        if not 0 < self.control_frequency < math.inf:
            raise ValueError(f"ActionContract.control_frequency must be positive, got {self.control_frequency}.")
        names = [camera.name for camera in self.cameras]
        if not names or len(set(names)) != len(names):
            raise ValueError(f"ActionContract.cameras must be non-empty with unique names, got {names}.")
        if len(set(self.gripper_dims)) != len(self.gripper_dims):
            raise ValueError(f"ActionContract.grippers name a dimension twice: {self.gripper_dims}.")
        for gripper in self.grippers:
            if not 0 <= gripper.dim < self.action.dim:
                raise ValueError(f"GripperSpec.dim = {gripper.dim} is outside the action of {self.action.dim} dims.")
        if self.safety is not None:
            object.__setattr__(self, "safety", self.safety.spread(self.action.names, self.action.units))
            self.safety.require_widths(self.action_dim, self.state.dim if self.state is not None else 0)
        if self.learned is not None:
            self.learned.require_fit(self)

    @travels_with()
    def __str__(self) -> str:
        """A summary of a few lines; `to_dict()` holds everything."""
        lines = [f"{self.embodiment} ({self.hash}): mode {self.mode}, frame {self.frame}, rotation {self.rotation}"]
        lines.append(f"{self.control_frequency:g} Hz, window {self.window_size} x {self.history_stride} steps, ")
        lines[-1] += f"chunk {self.chunk_size} of which {self.n_action_steps} are executed"
        lines.append("cameras: " + ", ".join(f"{one.name} {one.height}x{one.width}" for one in self.cameras))
        for name, vector in {"action": self.action, "state": self.state}.items():
            if vector is not None:
                dims = zip(vector.names, vector.units or (UNKNOWN,) * vector.dim, strict=True)
                dims = ", ".join(f"{dim} [{unit}]" for dim, unit in dims)
                lines.append(f"{name}, {vector.dim} dimensions, {vector.normalization}: {dims}")
        for one in self.grippers:
            lines.append(f"gripper {self.action.names[one.dim]}: open {one.open_value:g}, closed {one.closed_value:g}")
        limits = self.safety.to_dict() if self.safety is not None else {}
        lines += [f"safety, {limit}: {value}" for limit, value in limits.items() if value is not None]
        lines += [f"learned as: {self.learned.transform}"] if self.learned is not None else []
        lines += [f"notes: {self.notes}"] * bool(self.notes)
        return "\n  ".join(lines)

    @property
    def unknown(self) -> tuple[str, ...]:
        """The fields that nobody has declared, of `mode`, `frame`, `rotation` and `units` (of the action)."""
        fields = [name for name in ("mode", "frame", "rotation") if getattr(self, name) == UNKNOWN]
        if not self.action.units or UNKNOWN in self.action.units:
            fields.append("units")
        return tuple(fields)

    @travels_with()
    def require_known(self, *fields: str, purpose: str) -> None:
        """Raises ValueError, with how to declare them, where one of `fields` is unknown; `purpose` says what needs it."""
        if missing := [name for name in fields if name in self.unknown]:
            names = " and ".join(missing)
            raise ValueError(
                f"{purpose} needs {names}, unknown in the contract of {self.embodiment!r}. {how_to_declare(missing[0])}"
            )

    @property
    def action_dim(self) -> int:
        """Width of the robot's action; that of what the model predicts may be another, see `predicted`."""
        return self.action.dim

    @property
    def predicted(self) -> VectorSpec:
        """What the model predicts: the robot's action, or what it learns in its place."""
        return self.action if self.learned is None else self.learned.vector

    @property
    def transform(self) -> ActionTransform | None:
        """What makes that of the robot's action; None where it is the same."""
        return None if self.learned is None else self.learned.transform

    @property
    def predicted_grippers(self) -> tuple[GripperSpec, ...]:
        """The grippers, at their places in `predicted`."""
        names = [self.action.names[gripper.dim] for gripper in self.grippers]
        places = map(self.predicted.names.index, names)
        return tuple(gripper.replace(dim=dim) for gripper, dim in zip(self.grippers, places, strict=True))

    @property
    def seen_state(self) -> VectorSpec | None:
        """The state that the policy sees."""
        return self.state if self.learned is None or self.learned.sees_state else None

    @property
    def state_dim(self) -> int:
        """Width of the state that the policy sees; 0 where it sees none."""
        return self.seen_state.dim if self.seen_state is not None else 0

    @travels_with()
    @property
    def model_sizes(self) -> dict[str, Any]:
        """The fields of the model's config that follow from the contract."""
        return {
            "action_dim": self.predicted.dim,
            "gripper_dims": [gripper.dim for gripper in self.predicted_grippers],
            "chunk_size": self.chunk_size,
            "window_size": self.window_size,
            "state_dim": self.state_dim,
        }

    @property
    def gripper_dims(self) -> tuple[int, ...]:
        return tuple(gripper.dim for gripper in self.grippers)

    @property
    def camera_names(self) -> tuple[str, ...]:
        return tuple(camera.name for camera in self.cameras)

    @property
    def hash(self) -> str:
        """Twelve hexadecimal digits that change with any field. Goes into model cards and evaluation records."""
        canonical = json.dumps(self.to_dict(), sort_keys=True, separators=(",", ":"), allow_nan=False)
        return hashlib.sha256(canonical.encode()).hexdigest()[:12]

    def to_json(self, file: str | Path) -> None:
        Path(file).write_text(json.dumps(self.to_dict(), indent=2, allow_nan=False) + "\n")

    @classmethod
    def from_json(cls, file: str | Path) -> Self:
        return cls.from_dict(json.loads(Path(file).read_text(encoding="utf-8")))


def how_to_declare(field: str) -> str:
    """Return where somebody who knows a field of the contract says it, in words."""
    values = {"mode": Mode, "frame": Frame, "rotation": RotationName}
    options = [value for value in get_args(values[field]) if value != UNKNOWN] if field in values else []
    listed = f" ({', '.join(options)})" if options else ""
    return (
        f"Declare {field}{listed}: as a key of the dataset in the recipe, in action_contract(dataset, {field}=...), or, of a "
        f"checkpoint that is trained, with processor.contracts[name] = contract.replace({field}=...) and save model and "
        "processor again."
    )
