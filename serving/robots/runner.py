"""The loop that runs a policy on a robot."""

import logging
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..client import PolicyConnectionError, PolicyServerError, PolicyTimeoutError
from ..realtime.controllers import Controller
from ..realtime.deadlines import DeadlineMissed, holding_action
from ..realtime.pacing import Pacer
from ..safety import SafetyEnvelope, SafetyStop, Watchdog
from .interface import Robot
from .mapping import RobotMapping

logger = logging.getLogger(__name__)
STOPS = (SafetyStop, DeadlineMissed, PolicyConnectionError, PolicyServerError, PolicyTimeoutError)
"""What ends a rollout, with the robot stopped, instead of the program."""


@dataclass
class RobotRollout:
    """What happened.

    Attributes:
        steps: actions sent (or, in a dry run, not sent).
        stopped: why the robot was stopped, None where the time was up or `ended` said so.
        actions: what the robot was told, float32 `(steps, action_dim)`.
        frames: pictures of the first camera.
    """

    steps: int = 0
    stopped: str | None = None
    actions: list[np.ndarray] = field(default_factory=list, repr=False)
    frames: list[np.ndarray] = field(default_factory=list, repr=False)


class RobotRunner:
    """Observes, asks the controller, checks, acts; at the contract's frequency.

    Whatever goes wrong, the robot is told to hold still (`stop`) before anything else happens; it is not disconnected,
    because many arms let go then. Nothing is sent under a contract whose mode is unknown.

    Args:
        robot: connected, or connected by `with runner:`.
        controller: of `robovlms.serving.realtime`.
        safety: checks every action. None: nothing is checked, for simulated robots.
        mapping: by names, if None.
        dry_run: everything but `send_action`.
        stop: makes the robot safe, instead of the holding action.
        pace: False runs as fast as it goes, for simulators that wait.

    Raises:
        ValueError: the contract's mode is unknown, or the mapping has no place for something.
    """

    def __init__(
        self,
        robot: Robot,
        controller: Controller,
        safety: SafetyEnvelope | None = None,
        mapping: RobotMapping | None = None,
        dry_run: bool = False,
        stop: Callable[[], None] | None = None,
        pace: bool = True,
    ):
        self.robot, self.controller, self.safety = robot, controller, safety
        self.contract = controller.contract
        self.contract.require_known("mode", purpose="moving a robot")
        self.mapping = mapping or RobotMapping(self.contract, robot)
        self.dry_run = dry_run
        self.stop = stop or self.hold
        self._pacer = Pacer(self.contract.control_frequency, controller.times) if pace else None
        self._bus = threading.Lock()  # the watchdog may have to speak while the loop does not
        self._last: np.ndarray | None = None  # what the robot was sent last
        self._seen: Mapping[str, Any] | None = None  # its newest observation

    def __enter__(self) -> "RobotRunner":
        if not self.robot.is_connected:
            self.robot.connect()
        return self

    def __exit__(self, *_: object) -> None:
        self.controller.close()
        if self.robot.is_connected:
            self.robot.disconnect()

    def hold(self) -> None:
        """Tell the robot to stay where it is: see `SafetyEnvelope.hold`."""
        free = self._bus.acquire(timeout=0.2)  # then without: a bus that is stuck must not keep the robot moving
        try:
            position = self._position(free) if self.contract.mode == "absolute" else None
            if self.safety is not None:
                held = self.safety.hold(self._last, position)
            else:
                last = position if self._last is None else self._last
                held = None if last is None else holding_action(self.contract, last)
            if held is not None and not self.dry_run:
                self.robot.send_action(self.mapping.command(held))
        finally:
            if free:
                self._bus.release()

    def _position(self, fresh: bool) -> np.ndarray | None:
        """What an absolute action's dimensions are: read now, or last seen where the robot does not answer."""
        if fresh:
            try:
                self._seen = self.robot.get_observation()
            except Exception:
                logger.exception("no observation to hold by: the last one is taken")
        return None if self._seen is None else self.mapping.position(self._seen)

    def run(
        self,
        instruction: str,
        seconds: float,
        ended: Callable[[], bool] | None = None,
        record_every: int | None = None,
    ) -> RobotRollout:
        """One rollout of at most so many seconds.

        Args:
            ended: asked after every action; True ends the rollout.
            record_every: steps between two pictures; none by default.
        """
        rollout = RobotRollout()
        self.controller.reset()
        self._last = self._seen = None
        if self.safety is not None:
            self.safety.reset()
        timeout = None if self.safety is None else self.safety.limits.watchdog
        try:
            with Watchdog(timeout, self.stop) if timeout is not None else nullcontext() as watchdog:
                self.controller.warm_up(self.mapping.observation(self._observe()), instruction)
                if self._pacer is not None:
                    self._pacer.reset()
                for step in range(round(seconds * self.contract.control_frequency)):
                    if self._pacer is not None:
                        self._pacer.wait()
                    self._step(instruction, rollout, watchdog, bool(record_every and step % record_every == 0))
                    if ended is not None and ended():
                        break
        except STOPS as reason:
            rollout.stopped = f"{type(reason).__name__}: {reason}"
            logger.error("the robot is stopped: %s", rollout.stopped)
        finally:
            self.stop()
        return rollout

    def _step(self, instruction: str, rollout: RobotRollout, watchdog: Watchdog | None, recorded: bool) -> None:
        raw = self._observe()
        seen = time.monotonic()
        observation = self.mapping.observation(raw)
        if recorded:
            rollout.frames.append(observation["images"][self.contract.camera_names[0]])
        action = self.controller.step(observation, instruction)
        if self.safety is not None:
            action = self.safety.check(
                action,
                state=observation.get("state"),
                position=self.mapping.position(raw),
                observation_age=time.monotonic() - seen,
            )
        with self._bus:
            if watchdog is not None:
                watchdog.feed()
            if not self.dry_run:
                self.robot.send_action(self.mapping.command(action))
            self._last = action
        self.controller.note_executed(action)
        rollout.actions.append(action)
        rollout.steps += 1

    def _observe(self) -> Mapping[str, Any]:
        with self._bus:
            self._seen = self.robot.get_observation()
            return self._seen
