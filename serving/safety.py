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
from ..configuration.safety_limits import SafetyLimits

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
    order acceleration, velocity, value, workspace: the last is kept.

    Args:
        contract: of the actions.
        limits: instead of the contract's own.

    Attributes:
        counts: violations by limit, since the envelope was made.
        violations: the last 1000 of them.

    Raises:
        ValueError: there are no limits, or they need something that the contract does not have.
    """

    def __init__(self, contract: ActionContract, limits: SafetyLimits | None = None):
        chosen = limits or contract.safety
        if chosen is None:
            raise ValueError(
                f"the contract of {contract.embodiment!r} has no safety limits: pass some, or put them into the contract."
            )
        chosen.require_widths(contract.action_dim, contract.state_dim)
        if chosen.workspace is not None and contract.mode == "delta" and contract.state is None:
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
        """The action to execute, `(action_dim,)`: the given one, or the nearest within the limits.

        Args:
            state: the contract's, for a workspace of displacements.
            position: what the dimensions of an absolute action are now, for the velocity of the first one.
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
        for name, low, high in self._bounds(state):
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

    def _begin(self, position: np.ndarray | None) -> None:
        """What "the action before" is at the first step."""
        if self.contract.mode == "delta":
            self._previous = np.zeros(self.contract.action_dim)
            return
        if position is None and (self.limits.max_velocity or self.limits.max_acceleration):
            raise SafetyStop(
                "the robot's position is not known, so neither is the velocity of the first absolute action"
            )
        known = (
            np.full(self.contract.action_dim, np.nan) if position is None else np.asarray(position, dtype=np.float64)
        )
        self._before = self._previous = known

    def _bounds(self, state: np.ndarray | None) -> list[tuple[str, np.ndarray, np.ndarray]]:
        """Lower and upper bounds of the action by each limit, the strongest last."""
        limits, frequency = self.limits, self.contract.control_frequency
        bounds = []
        assert self._previous is not None
        absolute = self.contract.mode == "absolute"
        if limits.max_acceleration is not None:
            reach = _numbers(limits.max_acceleration, np.inf) / frequency**2
            middle = 2 * self._previous - self._before if absolute else self._previous
            bounds.append(("acceleration", middle - reach, middle + reach))
        if limits.max_velocity is not None:
            reach = _numbers(limits.max_velocity, np.inf) / frequency
            middle = self._previous if absolute else np.zeros_like(self._previous)
            bounds.append(("velocity", middle - reach, middle + reach))
        free = np.full(self.contract.action_dim, np.inf)
        low = _numbers(limits.low, -np.inf) if limits.low is not None else -free
        high = _numbers(limits.high, np.inf) if limits.high is not None else free
        bounds.append(("value", low, high))
        if limits.workspace is not None:
            bounds.append(("workspace", *self._box(state)))
        return bounds

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
        low[dims] = np.minimum(0.0, np.array(box.low) - place) / box.action_scale
        high[dims] = np.maximum(0.0, np.array(box.high) - place) / box.action_scale
        return low, high

    def _violations(self, limit: str, asked: np.ndarray, before: np.ndarray, after: np.ndarray) -> list[Violation]:
        beyond = np.abs(after - before) > TOLERANCE * np.maximum(1.0, np.abs(before))
        names = self.contract.action.names
        return [
            Violation(self._step, limit, names[dim], float(asked[dim]), float(after[dim]))
            for dim in np.flatnonzero(beyond)
        ]


def _numbers(values: tuple[float | None, ...], free: float) -> np.ndarray:
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
