"""Other ways to write the same actions, each with its exact inverse. Statistics are those of the written form.

`encode(actions, state)` takes actions (..., action_dim) and the state (..., state_dim) that they refer to, whose leading
axes broadcast; `decode(actions, state)` undoes it. A dataset applies a transform with `transform=`; whoever runs the
policy decodes with the state that it observed.
"""

import math
from collections.abc import Sequence

import numpy as np

from .rotations import WIDTHS, Convention, from_rotation, to_rotation


class ActionTransform:
    """Base: leaves actions as they are. `per_chunk`: a whole chunk refers to the state at its first step."""

    uses_state = True
    per_chunk = False

    def encode(self, actions: np.ndarray, state: np.ndarray | None) -> np.ndarray:
        return actions

    def decode(self, actions: np.ndarray, state: np.ndarray | None) -> np.ndarray:
        return actions

    def names(self, names: Sequence[str]) -> list[str]:
        """Names of the encoded dimensions."""
        return list(names)

    def __str__(self) -> str:
        return type(self).__name__


class ConvertRotation(ActionTransform):
    """Writes the rotation that begins at dimension `start` in another convention (see `rotations`)."""

    def __init__(self, source: Convention, target: Convention, start: int = 3):
        for convention in (source, target):
            if convention not in WIDTHS:
                raise ValueError(f"unknown rotation convention {convention!r}, there are {list(WIDTHS)}")
        self.source: Convention = source
        self.target: Convention = target
        self.start = start
        self.uses_state = False

    def encode(self, actions, state=None):
        return self._convert(actions, self.source, self.target)

    def decode(self, actions, state=None):
        return self._convert(actions, self.target, self.source)

    def names(self, names):
        end = self.start + WIDTHS[self.source]
        new = [f"{self.target}_{number}" for number in range(WIDTHS[self.target])]
        return [*names[: self.start], *new, *names[end:]]

    def _convert(self, actions: np.ndarray, source: Convention, target: Convention) -> np.ndarray:
        end = self.start + WIDTHS[source]
        rotation = to_rotation(actions[..., self.start : end].reshape(-1, WIDTHS[source]), source)
        middle = from_rotation(rotation, target).reshape(*actions.shape[:-1], WIDTHS[target])
        parts = [actions[..., : self.start], middle, actions[..., end:]]
        return np.concatenate(parts, axis=-1).astype(np.float32)

    def __str__(self) -> str:
        return f"ConvertRotation({self.source} -> {self.target} at {self.start})"


class AbsoluteToDelta(ActionTransform):
    """Absolute targets as differences to the state.

    Args:
        dims: the dimensions that are subtracted (positions or joints).
        state_dims: the state's dimensions that they refer to; the same numbers by default.
        rotation: convention of a rotation that follows them in action and state, composed rather than subtracted.
        rotation_start, state_rotation_start: where it begins; directly behind `dims` and `state_dims` by default.
        frame: "base", or "tool" to write position and rotation in the state's own frame (needs a rotation).
        per_chunk: all actions of a chunk refer to the state at the chunk's first step, instead of each to its own.
    """

    def __init__(
        self,
        dims: Sequence[int] = (0, 1, 2),
        state_dims: Sequence[int] | None = None,
        rotation: Convention | None = None,
        rotation_start: int | None = None,
        state_rotation_start: int | None = None,
        frame: str = "base",
        per_chunk: bool = True,
    ):
        self.dims, self.state_dims = list(dims), list(dims if state_dims is None else state_dims)
        if len(self.dims) != len(self.state_dims):
            raise ValueError(f"dims {self.dims} and state_dims {self.state_dims} differ in number")
        if frame not in ("base", "tool"):
            raise ValueError(f"frame must be 'base' or 'tool', got {frame!r}")
        if frame == "tool" and (rotation is None or len(self.dims) != 3):
            raise ValueError("frame='tool' needs three position dims and a rotation")
        self.rotation: Convention | None = rotation
        self.frame, self.per_chunk = frame, per_chunk
        self.rotation_start = max(self.dims) + 1 if rotation_start is None else rotation_start
        self.state_rotation_start = max(self.state_dims) + 1 if state_rotation_start is None else state_rotation_start

    def encode(self, actions, state):
        actions, state = _together(actions, state)
        result = actions.copy()
        offset = actions[..., self.dims] - state[..., self.state_dims]
        if self.rotation is not None:
            here, target = self._here(state), self._target(actions)
            if self.frame == "tool":
                offset = here.inv().apply(offset.reshape(-1, 3)).reshape(offset.shape)
                delta = here.inv() * target
            else:
                delta = target * here.inv()
            self._set_rotation(result, delta)
        result[..., self.dims] = offset
        return result.astype(np.float32)

    def decode(self, actions, state):
        actions, state = _together(actions, state)
        result = actions.copy()
        offset = actions[..., self.dims]
        if self.rotation is not None:
            here, delta = self._here(state), self._target(actions)
            if self.frame == "tool":
                offset = here.apply(offset.reshape(-1, 3)).reshape(offset.shape)
                target = here * delta
            else:
                target = delta * here
            self._set_rotation(result, target)
        result[..., self.dims] = offset + state[..., self.state_dims]
        return result.astype(np.float32)

    def _here(self, state: np.ndarray):
        return self._read(state, self.state_rotation_start)

    def _target(self, actions: np.ndarray):
        return self._read(actions, self.rotation_start)

    def _read(self, values: np.ndarray, start: int):
        assert self.rotation is not None
        width = WIDTHS[self.rotation]
        return to_rotation(values[..., start : start + width].reshape(-1, width), self.rotation)

    def _set_rotation(self, actions: np.ndarray, rotation) -> None:
        assert self.rotation is not None
        width = WIDTHS[self.rotation]
        values = from_rotation(rotation, self.rotation).reshape(*actions.shape[:-1], width)
        actions[..., self.rotation_start : self.rotation_start + width] = values

    def __str__(self) -> str:
        reference = "chunk" if self.per_chunk else "step"
        return f"AbsoluteToDelta({self.dims}, {self.rotation}, {self.frame} frame, per {reference})"


class WorldToTool(ActionTransform):
    """Relative poses (x, y, z, three angles, ...) from the world frame to the tool's, as RoboVLMs does it on CALVIN.

    The state holds the tool's angles at `state_rotation_start` (intrinsic xyz). Angles are differences of Euler angles
    taken as infinitesimal: they are scaled down by `scale` before they are turned into a rotation.
    """

    def __init__(self, state_rotation_start: int = 3, scale: float = 0.01):
        self.state_rotation_start, self.scale = state_rotation_start, scale

    def encode(self, actions, state):
        angles, positions, turns, shape = self._parts(actions, state)
        here = to_rotation(angles, "euler_xyz_intrinsic")
        after = to_rotation(angles + turns * self.scale, "euler_xyz_intrinsic")
        turned = from_rotation(after.inv() * here, "euler_xyz_intrinsic") / self.scale
        return self._joined(here.inv().apply(positions), turned, actions, shape)

    def decode(self, actions, state):
        angles, positions, turns, shape = self._parts(actions, state)
        here = to_rotation(angles, "euler_xyz_intrinsic")
        after = here * to_rotation(turns * self.scale, "euler_xyz_intrinsic").inv()
        difference = from_rotation(after, "euler_xyz_intrinsic") - angles
        difference = (difference + math.pi) % (2 * math.pi) - math.pi
        return self._joined(here.apply(positions), difference / self.scale, actions, shape)

    def _parts(self, actions: np.ndarray, state: np.ndarray | None):
        actions, state = _together(actions, state)
        angles = state[..., self.state_rotation_start : self.state_rotation_start + 3]
        return *(part.reshape(-1, 3) for part in (angles, actions[..., :3], actions[..., 3:6])), actions.shape

    def _joined(self, positions: np.ndarray, turns: np.ndarray, actions: np.ndarray, shape: tuple) -> np.ndarray:
        pose = np.concatenate([positions, turns], axis=-1).reshape(*shape[:-1], 6)
        return np.concatenate([pose, actions[..., 6:]], axis=-1).astype(np.float32)


class Chain(ActionTransform):
    """Several transforms, one after the other."""

    def __init__(self, *transforms: ActionTransform):
        referring = {transform.per_chunk for transform in transforms if transform.uses_state}
        if len(referring) > 1:
            raise ValueError("a chain refers to the state per step or per chunk, not both")
        self.transforms = transforms
        self.per_chunk, self.uses_state = True in referring, bool(referring)

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

    def __str__(self) -> str:
        return " -> ".join(map(str, self.transforms))


def _together(actions: np.ndarray, state: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    """Both in float64, the state broadcast to the actions' leading axes."""
    if state is None:
        raise ValueError("this transform needs the state, and the dataset has none")
    actions, state = np.asarray(actions, np.float64), np.asarray(state, np.float64)
    return actions, np.broadcast_to(state, (*actions.shape[:-1], state.shape[-1]))
