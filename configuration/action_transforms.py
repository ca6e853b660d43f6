"""Other ways to write the same actions, each with its exact inverse: what a policy learns in place of a robot's commands.

`encode(actions, state)` takes actions (..., action_dim) and the state (..., state_dim) that they refer to, whose leading
axes broadcast; `decode(actions, state)` undoes it. A dataset encodes with `transform=`; the action contract holds the
transform, and whoever decodes by it (`processor.decode_actions`, `Policy`, the server) commands the robot in its own units.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, TypeVar

import numpy as np

from .rotations import WIDTHS, Convention, from_matrix, to_matrix
from .serialization import StrictRecord


@dataclass(frozen=True)
class ActionTransform(StrictRecord):
    """Base: a record that rewrites actions. One of your own is a frozen dataclass, too, and registers itself
    (`register_action_transform`), so that contracts that hold it can be saved and read.

    Attributes:
        type: its name in JSON.
        uses_state: whether it refers to the state.
        per_chunk: whether a whole chunk refers to the state at its first step, which the policy observes when it
            predicts; else each action refers to the state at its own step.
    """

    type: ClassVar[str]
    uses_state = True
    per_chunk = False

    def encode(self, actions: np.ndarray, state: np.ndarray | None) -> np.ndarray:
        """Return the robot's actions rewritten, float32."""
        raise NotImplementedError

    def decode(self, actions: np.ndarray, state: np.ndarray | None) -> np.ndarray:
        """Return the inverse of `encode`: the robot's actions, float32."""
        raise NotImplementedError

    def names(self, names: Sequence[str]) -> list[str]:
        """Names of the encoded dimensions, those of the robot's action given; unchanged dimensions keep theirs."""
        return list(names)

    def rewritten(self, names: Sequence[str]) -> set[str]:
        """Return which of the robot's dimensions do not stay as they are."""
        return set(names)

    @property
    def needed_state(self) -> int:
        """How many dimensions the state must have at least."""
        return int(self.uses_state)

    @property
    def steps(self) -> "tuple[ActionTransform, ...]":
        """The transforms of a chain; else itself."""
        return (self,)

    def to_dict(self) -> dict[str, Any]:
        return {"type": self.type, **super().to_dict()}

    @classmethod
    def class_of(cls, data: dict[str, Any], where: str) -> tuple[Any, dict[str, Any]]:
        fields = dict(data)
        name = fields.pop("type", None) if cls is ActionTransform else fields.pop("type", cls.type)
        if name not in ACTION_TRANSFORMS:
            raise ValueError(
                f"{where}: unknown action transform {name!r}, here are {sorted(ACTION_TRANSFORMS)}. Without it the "
                "policy's actions cannot become the robot's: import the module that registers it (robovlms --import "
                "MODULE), or use the version of robovlms that the checkpoint was saved with."
            )
        return ACTION_TRANSFORMS[name], fields

    def require_registered(self) -> None:
        """Raises ValueError where the transform, or a step of a chain, could not be read back from a contract."""
        for step in self.steps:
            if ACTION_TRANSFORMS.get(getattr(type(step), "type", "")) is not type(step):
                raise ValueError(
                    f"transform: {type(step).__name__} cannot be saved with a contract, and a checkpoint without it would "
                    "command the robot wrongly. Make it a frozen dataclass derived from ActionTransform, with a `type`, "
                    "and decorate it with register_action_transform."
                )

    def __str__(self) -> str:
        return type(self).__name__


TransformClass = TypeVar("TransformClass", bound=type[ActionTransform])

ACTION_TRANSFORMS: dict[str, type[ActionTransform]] = {}
"""By `type`."""


def register_action_transform(transform: TransformClass) -> TransformClass:
    """Class decorator: makes it known by its `type`."""
    ACTION_TRANSFORMS[transform.type] = transform
    return transform


@register_action_transform
@dataclass(frozen=True)
class ConvertRotation(ActionTransform):
    """Writes the rotation that begins at dimension `start` in another convention (see `rotations`)."""

    type: ClassVar[str] = "convert_rotation"
    uses_state = False
    source: Convention
    target: Convention
    start: int = 3

    def encode(self, actions, state=None):
        return self._convert(actions, self.source, self.target)

    def decode(self, actions, state=None):
        return self._convert(actions, self.target, self.source)

    def names(self, names):
        _require_dims(self, range(self.start, self.start + WIDTHS[self.source]), len(names))
        new = [f"{self.target}_{number}" for number in range(WIDTHS[self.target])]
        return [*names[: self.start], *new, *names[self.start + WIDTHS[self.source] :]]

    def rewritten(self, names):
        return set(names[self.start : self.start + WIDTHS[self.source]])

    def _convert(self, actions: np.ndarray, source: Convention, target: Convention) -> np.ndarray:
        end = self.start + WIDTHS[source]
        middle = from_matrix(to_matrix(actions[..., self.start : end], source), target)
        parts = [actions[..., : self.start], middle, actions[..., end:]]
        return np.concatenate(parts, axis=-1).astype(np.float32)

    def __str__(self) -> str:
        return f"ConvertRotation({self.source} -> {self.target} at {self.start})"


@register_action_transform
@dataclass(frozen=True)
class AbsoluteToDelta(ActionTransform):
    """Absolute targets as differences to the state.

    Args:
        dims: the dimensions that are subtracted (positions or joints); leave grippers out.
        state_dims: the state's dimensions that they refer to; the same numbers by default.
        rotation: convention of a rotation that follows them in action and state, composed rather than subtracted.
        rotation_start, state_rotation_start: where it begins; directly behind `dims` and `state_dims` by default.
        frame: "base", or "tool" to write position and rotation in the state's own frame (needs a rotation).
        per_chunk: all actions of a chunk refer to the state at the chunk's first step, instead of each to its own.
    """

    type: ClassVar[str] = "absolute_to_delta"
    dims: tuple[int, ...] = (0, 1, 2)
    state_dims: tuple[int, ...] | None = None
    rotation: Convention | None = None
    rotation_start: int | None = None
    state_rotation_start: int | None = None
    frame: Literal["base", "tool"] = "base"
    per_chunk: bool = True

    def validate(self) -> None:
        if self.state_dims is None:
            object.__setattr__(self, "state_dims", self.dims)
        if not self.dims or len(set(self.dims)) != len(self.dims) or len(self.dims) != len(self.state_dims or ()):
            raise ValueError(
                f"AbsoluteToDelta: dims {self.dims} must be different numbers, as many as state_dims {self.state_dims}."
            )
        if self.frame == "tool" and (self.rotation is None or len(self.dims) != 3):
            raise ValueError("AbsoluteToDelta: frame='tool' needs three position dims and a rotation.")
        for name, dims in (("rotation_start", self.dims), ("state_rotation_start", self.state_dims or ())):
            if self.rotation is not None and getattr(self, name) is None:
                object.__setattr__(self, name, max(dims) + 1)
            elif self.rotation is None and getattr(self, name) is not None:
                raise ValueError(f"AbsoluteToDelta.{name} = {getattr(self, name)} is given without a rotation.")

    @property
    def needed_state(self) -> int:
        return 1 + max(*(self.state_dims or ()), *self._turned(self.state_rotation_start), -1)

    def encode(self, actions, state):
        actions, state = _together(actions, state)
        result = actions.copy()
        offset = actions[..., list(self.dims)] - state[..., list(self.state_dims or ())]
        if self.rotation is not None:
            target, here = self._poses(actions, state, self.rotation)
            back = np.swapaxes(here, -1, -2)
            delta = back @ target if self.frame == "tool" else target @ back
            offset = _turn(back, offset) if self.frame == "tool" else offset
            result[..., self._turned(self.rotation_start)] = from_matrix(delta, self.rotation)
        result[..., list(self.dims)] = offset
        return result.astype(np.float32)

    def decode(self, actions, state):
        actions, state = _together(actions, state)
        result = actions.copy()
        offset = actions[..., list(self.dims)]
        if self.rotation is not None:
            delta, here = self._poses(actions, state, self.rotation)
            target = here @ delta if self.frame == "tool" else delta @ here
            offset = _turn(here, offset) if self.frame == "tool" else offset
            result[..., self._turned(self.rotation_start)] = from_matrix(target, self.rotation)
        result[..., list(self.dims)] = offset + state[..., list(self.state_dims or ())]
        return result.astype(np.float32)

    def names(self, names):
        _require_dims(self, [*self.dims, *self._turned(self.rotation_start)], len(names))
        return list(names)

    def rewritten(self, names):
        return {names[dim] for dim in (*self.dims, *self._turned(self.rotation_start))}

    def _turned(self, start: int | None) -> list[int]:
        """The dimensions of the rotation that begins at `start`."""
        return [] if self.rotation is None or start is None else list(range(start, start + WIDTHS[self.rotation]))

    def _poses(self, actions: np.ndarray, state: np.ndarray, rotation: Convention) -> tuple[np.ndarray, np.ndarray]:
        """The rotation matrices in action and state."""
        places = (self._turned(self.rotation_start), self._turned(self.state_rotation_start))
        written = [values[..., place] for values, place in zip((actions, state), places, strict=True)]
        return to_matrix(written[0], rotation), to_matrix(written[1], rotation)

    def __str__(self) -> str:
        reference = "chunk" if self.per_chunk else "step"
        return f"AbsoluteToDelta({list(self.dims)}, {self.rotation}, {self.frame} frame, per {reference})"


@register_action_transform
@dataclass(frozen=True)
class WorldToTool(ActionTransform):
    """Relative poses (x, y, z, three angles, ...) from the world frame to the tool's, as RoboVLMs does it on CALVIN.

    The state holds the tool's angles at `state_rotation_start` (intrinsic xyz). Angles are differences of Euler angles
    taken as infinitesimal: they are scaled down by `scale` before they are turned into a rotation. `per_chunk`: all
    actions of a chunk in the tool's frame at its first step.
    """

    type: ClassVar[str] = "world_to_tool"
    state_rotation_start: int = 3
    scale: float = 0.01
    per_chunk: bool = False

    def validate(self) -> None:
        if self.scale <= 0 or self.state_rotation_start < 0:
            raise ValueError(f"WorldToTool: scale and state_rotation_start must be positive, got {self}.")

    @property
    def needed_state(self) -> int:
        return self.state_rotation_start + 3

    def encode(self, actions, state):
        actions, angles, here = self._parts(actions, state)
        after = to_matrix(angles + actions[..., 3:6] * self.scale, "euler_xyz_intrinsic")
        turned = from_matrix(np.swapaxes(after, -1, -2) @ here, "euler_xyz_intrinsic") / self.scale
        return self._joined(_turn(np.swapaxes(here, -1, -2), actions[..., :3]), turned, actions)

    def decode(self, actions, state):
        actions, angles, here = self._parts(actions, state)
        turned = to_matrix(actions[..., 3:6] * self.scale, "euler_xyz_intrinsic")
        difference = from_matrix(here @ np.swapaxes(turned, -1, -2), "euler_xyz_intrinsic") - angles
        difference = (difference + math.pi) % (2 * math.pi) - math.pi
        return self._joined(_turn(here, actions[..., :3]), difference / self.scale, actions)

    def names(self, names):
        _require_dims(self, range(6), len(names))
        return list(names)

    def rewritten(self, names):
        return set(names[:6])

    def _parts(self, actions: np.ndarray, state: np.ndarray | None) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        actions, state = _together(actions, state)
        angles = state[..., self.state_rotation_start : self.state_rotation_start + 3]
        return actions, angles, to_matrix(angles, "euler_xyz_intrinsic")

    def _joined(self, positions: np.ndarray, turns: np.ndarray, actions: np.ndarray) -> np.ndarray:
        return np.concatenate([positions, turns, actions[..., 6:]], axis=-1).astype(np.float32)


@register_action_transform
@dataclass(frozen=True, init=False)
class Chain(ActionTransform):
    """Several transforms, one after the other: `Chain(AbsoluteToDelta(...), ConvertRotation(...))`."""

    type: ClassVar[str] = "chain"
    transforms: tuple[ActionTransform, ...]

    def __init__(self, *steps: ActionTransform, transforms: Sequence[Any] = ()):
        object.__setattr__(self, "transforms", (*steps, *transforms))
        self.__post_init__()

    def validate(self) -> None:
        if not self.transforms:
            raise ValueError("Chain.transforms is empty.")
        if len({transform.per_chunk for transform in self.transforms if transform.uses_state}) > 1:
            raise ValueError("Chain: a chain refers to the state per step or per chunk, not both.")

    @property
    def uses_state(self) -> bool:
        return any(transform.uses_state for transform in self.transforms)

    @property
    def per_chunk(self) -> bool:
        return any(transform.uses_state and transform.per_chunk for transform in self.transforms)

    @property
    def needed_state(self) -> int:
        return max(transform.needed_state for transform in self.transforms)

    @property
    def steps(self) -> tuple[ActionTransform, ...]:
        return tuple(step for transform in self.transforms for step in transform.steps)

    def encode(self, actions, state):
        for transform in self.transforms:
            actions = transform.encode(actions, state)
        return actions

    def decode(self, actions, state):
        for transform in reversed(self.transforms):
            actions = transform.decode(actions, state)
        return actions

    def names(self, names):
        for transform in self.transforms:
            names = transform.names(names)
        return list(names)

    def rewritten(self, names):
        changed, now = set[str](), names
        for transform in self.transforms:
            changed |= transform.rewritten(now)
            now = transform.names(now)
        return changed & set(names)

    def __str__(self) -> str:
        return " -> ".join(map(str, self.transforms))


def _together(actions: np.ndarray, state: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    """Both in float64, the state broadcast to the actions' leading axes."""
    if state is None:
        raise ValueError("this transform needs the state, and there is none")
    actions, state = np.asarray(actions, np.float64), np.asarray(state, np.float64)
    return actions, np.broadcast_to(state, (*actions.shape[:-1], state.shape[-1]))


def _turn(matrix: np.ndarray, vectors: np.ndarray) -> np.ndarray:
    """Vectors `(..., 3)`, each by its matrix `(..., 3, 3)`."""
    return (matrix @ vectors[..., None])[..., 0]


def _require_dims(transform: ActionTransform, dims: Sequence[int], width: int) -> None:
    """Raises ValueError where a transform is of a wider action."""
    if outside := [dim for dim in dims if not 0 <= dim < width]:
        raise ValueError(f"transform {transform}: dimensions {outside} are outside of an action of {width}.")
