"""What stands between a policy and a robot: limits on actions, old observations, and a watchdog."""

import logging
import threading
import time
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

import numpy as np

from ..configuration.action_contract import ActionContract
from ..configuration.safety_limits import PerDimension, SafetyLimits
from .realtime.deadlines import holding_action

logger = logging.getLogger(__name__)
REMEMBERED = 1000
TOLERANCE = 1e-6
"""Relative; a limit that is met exactly must not be violated by rounding."""


class SafetyStop(RuntimeError):
    """The robot must not go on; the message says why."""


@dataclass(frozen=True)
class Violation:
    """An action that went beyond a limit: which ("velocity", ...), where, what was asked and what is allowed."""

    step: int
    limit: str
    dimension: str
    asked: float
    allowed: float

    def __str__(self) -> str:
        return f"step {self.step}: {self.limit} of {self.dimension}: {self.asked:.5g}, allowed {self.allowed:.5g}"


class SafetyEnvelope:
    """Checks every action before the robot gets it. Violations are logged and counted in any case.

    Where limits contradict each other (a velocity that can't be braked before the workspace ends), they give way in the
    order acceleration, velocity, value, workspace, lead: the last is kept. A robot that stands outside of its values or
    workspace comes back to them by as much at a time as its lead allows.

    Args:
        contract: of the actions.
        limits: instead of the contract's own.

    Attributes:
        counts: violations by limit, since the envelope was made.
        violations: the last 1000 of them.

    Raises:
        ValueError: there are no limits, or they need something that the contract does not have; the contract's mode is
            unknown.
    """

    def __init__(self, contract: ActionContract, limits: SafetyLimits | None = None):
        chosen = limits or contract.safety
        if chosen is None:
            raise ValueError(
                f"the contract of {contract.embodiment!r} has no safety limits: pass some, or put them into the contract."
            )
        chosen = chosen.spread(contract.action.names, contract.action.units)
        chosen.require_widths(contract.action_dim, contract.state.dim if contract.state is not None else 0)
        contract.require_known("mode", purpose="a safety envelope")
        if chosen.workspace is not None and contract.mode != "absolute" and contract.state is None:
            raise ValueError("a workspace for displacements needs the position, and this policy has no state.")
        self.contract, self.limits = contract, chosen
        self.counts: Counter[str] = Counter()
        self.violations: deque[Violation] = deque(maxlen=REMEMBERED)
        self.reset()

    def reset(self) -> None:
        """Begin an episode: the robot stands still."""
        self._step = 0
        self._previous: np.ndarray | None = None
        self._before: np.ndarray | None = None

    def check(
        self,
        action: np.ndarray,
        state: np.ndarray | None = None,
        position: np.ndarray | None = None,
        observation_age: float = 0.0,
    ) -> np.ndarray:
        """Return the action to execute, `(action_dim,)`: the given one, or the nearest within the limits.

        Args:
            state: the contract's, for a workspace of displacements.
            position: what the dimensions of an absolute action are now, for the velocity of the first one and the lead.
            observation_age: seconds since the observation that the action follows from.

        Raises:
            SafetyStop: the action is not finite, of the wrong width or from too old an observation; or it goes beyond a
                limit and the limits say "stop".
        """
        action = np.asarray(action, dtype=np.float64)
        if action.shape != (self.contract.action_dim,) or not np.isfinite(action).all():
            self.counts["not finite"] += 1
            raise SafetyStop(f"step {self._step}: not {self.contract.action_dim} finite numbers: {action}")
        oldest = self.limits.max_observation_age
        if oldest is not None and observation_age > oldest:
            self.counts["observation age"] += 1
            raise SafetyStop(
                f"step {self._step}: the observation is {observation_age:.3f} s old, allowed are {oldest} s"
            )
        if self._previous is None:
            self._begin(position)
        allowed, found = action, list[Violation]()
        for name, low, high in self._bounds(state, position):
            clamped = allowed.clip(low, np.maximum(low, high))
            found += self._violations(name, action, allowed, clamped)
            allowed = clamped
        for violation in found:
            self.counts[violation.limit] += 1
            self.violations.append(violation)
            logger.warning("%s", violation)
        if found and self.limits.on_violation == "stop":
            raise SafetyStop(str(found[0]))
        self._before, self._previous = self._previous, allowed
        self._step += 1
        return allowed.astype(np.float32)

    def hold(self, last: np.ndarray | None, position: np.ndarray | None = None) -> np.ndarray | None:
        """Return the command that keeps the robot where it is, `(action_dim,)`, within the limits.

        No displacement or velocity; of absolute actions the last target again, brought within the lead of where the robot
        is, or where it is if nothing was sent yet. It never raises for a limit and heeds no acceleration: it is how the
        robot stops.

        Args:
            last: what the robot was sent last, None if nothing.
            position: what the dimensions of an absolute action are now, None where the robot does not tell.

        Returns:
            None where there is nothing to send: the robot was sent nothing and does not tell where it is.
        """
        start = position if last is None and self.contract.mode == "absolute" else last
        if start is None:
            return None
        held = holding_action(self.contract, np.asarray(start, dtype=np.float64))
        if self.contract.mode == "absolute":
            for _, low, high in (self._values(), *self._lead(position)):
                held = held.clip(low, np.maximum(low, high))
        self._before = self._previous = held
        return held.astype(np.float32)

    def _begin(self, position: np.ndarray | None) -> None:
        """What "the action before" is at the first step."""
        if self.contract.mode != "absolute":
            self._previous = np.zeros(self.contract.action_dim)
            return
        limited = (self.limits.max_velocity, self.limits.max_acceleration, self.limits.max_lead)
        if position is None and any(limit is not None for limit in limited):
            raise SafetyStop(
                "the robot's position is not known, so neither is the velocity of the first absolute action"
            )
        known = (
            np.full(self.contract.action_dim, np.nan) if position is None else np.asarray(position, dtype=np.float64)
        )
        self._before = self._previous = known

    def _bounds(
        self, state: np.ndarray | None, position: np.ndarray | None
    ) -> list[tuple[str, np.ndarray, np.ndarray]]:
        """Lower and upper bounds of the action by each limit, the strongest last."""
        # What a velocity is in actions: displacements and changes of targets are per control step.
        limits, frequency = self.limits, 1.0 if self.contract.mode == "velocity" else self.contract.control_frequency
        bounds = []
        assert self._previous is not None
        absolute = self.contract.mode == "absolute"
        if limits.max_acceleration is not None:
            reach = _numbers(limits.max_acceleration, np.inf) / (frequency * self.contract.control_frequency)
            middle = 2 * self._previous - self._before if absolute else self._previous
            bounds.append(("acceleration", middle - reach, middle + reach))
        if limits.max_velocity is not None:
            reach = _numbers(limits.max_velocity, np.inf) / frequency
            middle = self._previous if absolute else np.zeros_like(self._previous)
            bounds.append(("velocity", middle - reach, middle + reach))
        bounds.append(self._values())
        if limits.workspace is not None:
            bounds.append(("workspace", *self._box(state)))
        return [*bounds, *self._lead(position)]

    def _values(self) -> tuple[str, np.ndarray, np.ndarray]:
        free = np.full(self.contract.action_dim, np.inf)
        low, high = self.limits.low, self.limits.high
        return (
            "value",
            _numbers(low, -np.inf) if low is not None else -free,
            _numbers(high, np.inf) if high is not None else free,
        )

    def _lead(self, position: np.ndarray | None) -> list[tuple[str, np.ndarray, np.ndarray]]:
        """How far a target may lie from where the robot is; nothing where that is not known or not limited."""
        limits = self.limits
        if position is None or self.contract.mode != "absolute":
            return []
        if limits.max_lead is not None:
            reach = _numbers(limits.max_lead, np.inf)
        elif limits.max_velocity is not None:
            reach = _numbers(limits.max_velocity, np.inf) / self.contract.control_frequency
        else:
            return []
        here = np.asarray(position, dtype=np.float64)
        return [("lead", here - reach, here + reach)]

    def _box(self, state: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
        box = self.limits.workspace
        assert box is not None
        low, high = (np.full(self.contract.action_dim, sign * np.inf) for sign in (-1, 1))
        dims = list(box.action_dims)
        if self.contract.mode == "absolute":
            low[dims], high[dims] = np.array(box.low) / box.action_scale, np.array(box.high) / box.action_scale
            return low, high
        if state is None:
            raise SafetyStop(f"step {self._step}: the workspace can't be minded without the state")
        place = np.asarray(state, dtype=np.float64)[list(box.state_dims)]
        # Outside already, the robot may stay or come back, but is not sent back.
        step = box.action_scale / (self.contract.control_frequency if self.contract.mode == "velocity" else 1.0)
        low[dims] = np.minimum(0.0, np.array(box.low) - place) / step
        high[dims] = np.maximum(0.0, np.array(box.high) - place) / step
        return low, high

    def _violations(self, limit: str, asked: np.ndarray, before: np.ndarray, after: np.ndarray) -> list[Violation]:
        beyond = np.abs(after - before) > TOLERANCE * np.maximum(1.0, np.abs(before))
        names = self.contract.action.names
        return [
            Violation(self._step, limit, names[dim], float(asked[dim]), float(after[dim]))
            for dim in np.flatnonzero(beyond)
        ]


def _numbers(values: PerDimension, free: float) -> np.ndarray:
    assert isinstance(values, tuple)  # the envelope has spread them
    return np.array([free if value is None else value for value in values])


class Watchdog:
    """Calls `stop` once, from a thread of its own, when it has not been fed for too long.

    Args:
        seconds: how long that is, from the first `feed` on.
        stop: makes the robot safe.
    """

    def __init__(self, seconds: float, stop: Callable[[], None]):
        self.seconds, self._stop = seconds, stop
        self.tripped = False
        self._fed: float | None = None
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="watchdog", daemon=True)

    def feed(self) -> None:
        """All is well.

        Raises:
            SafetyStop: it has tripped meanwhile.
        """
        if self.tripped:
            raise SafetyStop(f"watchdog: no new action for {self.seconds:g} s")
        self._fed = time.monotonic()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closed.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._closed.wait(self.seconds / 10):
            if self._fed is not None and time.monotonic() - self._fed > self.seconds:
                self.tripped = True
                logger.error("watchdog: no new action for %g s, stopping the robot", self.seconds)
                self._stop()
                return
