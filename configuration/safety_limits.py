"""What a robot may be told to do at most."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import zip_longest
from typing import Any, Literal, Self

from .serialization import ADDED_LATER, StrictRecord

OnViolation = Literal["clamp", "stop"]
PerDimension = tuple[float | None, ...] | float | dict
PER_DIMENSION = ("low", "high", "max_velocity", "max_acceleration", "max_lead")


@dataclass(frozen=True)
class Workspace(StrictRecord):
    """A box that the end effector must not leave.

    Args:
        low, high: its corners, in the units of the state.
        state_dims: where the position is in the state (not needed where actions are absolute).
        action_dims: where the position, or the displacement, is in the action.
        action_scale: how far an action of 1 moves, in the units of the state.
    """

    low: tuple[float, ...]
    high: tuple[float, ...]
    action_dims: tuple[int, ...] = (0, 1, 2)
    state_dims: tuple[int, ...] = (0, 1, 2)
    action_scale: float = 1.0

    def validate(self) -> None:
        axes = {len(self.low), len(self.high), len(self.action_dims), len(self.state_dims)}
        if len(axes) != 1:
            raise ValueError("Workspace: low, high, action_dims and state_dims must be of one length.")
        if any(low >= high for low, high in zip(self.low, self.high, strict=True)):
            raise ValueError(f"Workspace: low = {self.low} must be below high = {self.high}.")
        if not 0 < self.action_scale < math.inf:
            raise ValueError(f"Workspace.action_scale must be positive, got {self.action_scale}.")


@dataclass(frozen=True)
class SafetyLimits(StrictRecord):
    """Limits on actions, in the robot's units: one number for all dimensions, one for each, or one for each unit or name
    ({"rad": 0.5, "m": 0.1, "gripper": None}). None leaves a dimension free.

    Args:
        low, high: of each dimension.
        max_velocity: per second. Of displacements ("delta" actions) it is the action times the control frequency, of
            targets ("absolute" ones) their change, of velocities the action itself.
        max_acceleration: per second squared: how fast that velocity may change.
        max_lead: how far a target ("absolute" action) may lie from where the robot is; one control step at `max_velocity`
            where it isn't given. A robot that follows its targets late needs more, or is slowed down.
        workspace: a box for the end effector.
        max_observation_age: seconds between an observation and an action that follows from it.
        watchdog: seconds without a new action after which the robot is stopped.
        on_violation: "clamp" to the nearest action within the limits, or "stop". What is not finite, of the wrong width
            or too old always stops.
    """

    low: PerDimension | None = None
    high: PerDimension | None = None
    max_velocity: PerDimension | None = None
    max_acceleration: PerDimension | None = None
    workspace: Workspace | None = None
    max_observation_age: float | None = None
    watchdog: float | None = None
    on_violation: OnViolation = "stop"
    max_lead: PerDimension | None = field(default=None, metadata=ADDED_LATER)

    def validate(self) -> None:
        for name in PER_DIMENSION:
            value = getattr(self, name)
            numbers = value.values() if isinstance(value, dict) else _row(value)
            if any(isinstance(number, float) and math.isnan(number) for number in numbers):
                raise ValueError(
                    f"SafetyLimits.{name} must be numbers, or None where a dimension is free, got {value}."
                )
        for name in PER_DIMENSION[2:]:
            if any(value is not None and value <= 0 for value in _row(getattr(self, name))):
                raise ValueError(f"SafetyLimits.{name} must be positive, got {getattr(self, name)}.")
        for name in ("max_observation_age", "watchdog"):
            value = getattr(self, name)
            if value is not None and value <= 0:
                raise ValueError(f"SafetyLimits.{name} must be positive, got {value}.")
        for low, high in zip(_row(self.low), _row(self.high), strict=False):  # lengths: see `require_widths`
            if low is not None and high is not None and low > high:
                raise ValueError(f"SafetyLimits: low = {self.low} must not be above high = {self.high}.")

    def spread(self, names: Sequence[str], units: Sequence[str] = ()) -> Self:
        """Return the limits with one number for each dimension of an action; ValueError where a mapping doesn't fit
        its names and units."""
        rows = {}
        for limit in PER_DIMENSION:
            value = getattr(self, limit)
            if isinstance(value, float):
                rows[limit] = (value,) * len(names)
            elif isinstance(value, dict):
                keys = [name if name in value else unit for name, unit in zip_longest(names, units)]
                if set(keys) != set(value):
                    raise ValueError(
                        f"SafetyLimits.{limit}: needs a number, or None, for each unit or name of {list(names)} in "
                        f"{list(units) or 'unknown units'}, got {value}."
                    )
                rows[limit] = tuple(value[key] for key in keys)
        return self.replace(**rows)

    def require_widths(self, action_dim: int, state_dim: int) -> None:
        """Raises ValueError where the limits are of another action or state."""
        for name in PER_DIMENSION:
            value = _row(getattr(self, name))
            if value and len(value) != action_dim:
                raise ValueError(f"SafetyLimits.{name} has {len(value)} entries for {action_dim} action dimensions.")
        if self.workspace is None:
            return
        for name, size in (("action_dims", action_dim), ("state_dims", state_dim)):
            outside = [dim for dim in getattr(self.workspace, name) if not 0 <= dim < size]
            if outside and (name == "action_dims" or state_dim):
                raise ValueError(f"Workspace.{name}: {outside} are outside of {size} dimensions.")


def _row(value: Any) -> tuple[float | None, ...]:
    """The numbers of a limit, as far as they are known before `spread`."""
    return value if isinstance(value, tuple) else (value,) if isinstance(value, float) else ()
