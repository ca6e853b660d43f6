"""From chunks to one action per control step."""

import time
from collections import deque
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from math import ceil
from typing import Any, Protocol

import numpy as np

from ...configuration.action_contract import ActionContract
from .deadlines import DeadlineMissed, OnMiss, holding_action
from .sources import as_chunk_source
from .timeline import ActionTimeline
from .timing import ControlTimes

Observation = Mapping[str, Any]
REMEMBERED_DELAYS = 10


class Controller(Protocol):
    """One action per control step."""

    times: ControlTimes
    contract: ActionContract

    def reset(self) -> None:
        """Begin an episode."""

    def warm_up(self, observation: Observation, instruction: str) -> None:
        """Wait, while the robot stands still, for what the first `step` would wait for."""

    def step(self, observation: Observation, instruction: str) -> np.ndarray:
        """Return the action for this control step, `(action_dim,)` in the robot's units."""
        ...

    def note_executed(self, action: np.ndarray) -> None:
        """Told what the robot was sent for the last `step`, `(action_dim,)`, where limits made it another action."""

    def close(self) -> None:
        """Let go of threads."""


class SynchronousController:
    """The robot waits while the policy thinks: every `n_action_steps` steps a chunk, whose first actions are executed.

    Args:
        policy: a `ChunkPredictor`, `Policy`, `PolicyClient` or chunk source.
        n_action_steps: steps between two predictions, instead of the contract's.
        ensemble: see `ActionTimeline`; makes sense with `n_action_steps` below the chunk's length.
    """

    def __init__(self, policy: Any, n_action_steps: int | None = None, ensemble: float | None = None):
        self.source = as_chunk_source(policy)
        self.contract = self.source.contract
        # The contract checks it: prediction falls on observed frames, within the chunk.
        self.contract = self.contract.replace(n_action_steps=n_action_steps or self.contract.n_action_steps)
        self.n_action_steps = self.contract.n_action_steps
        self.times = ControlTimes(1 / self.contract.control_frequency)
        self._timeline = ActionTimeline(self.contract, ensemble)
        self.reset()

    def reset(self) -> None:
        self.source.reset()
        self._timeline.clear()
        self._step = 0

    def warm_up(self, observation: Observation, instruction: str) -> None:
        pass

    def step(self, observation: Observation, instruction: str) -> np.ndarray:
        contract = self.contract
        replan = self._step % self.n_action_steps == 0
        if replan or (contract.window_size > 1 and self._step % contract.history_stride == 0):
            start = time.monotonic()
            chunk = self.source.predict(observation, instruction)
            self.times.latencies.append(time.monotonic() - start)
            self.times.delays.append(0)
            if replan:
                self._timeline.put(self._step, chunk)
        action = self._timeline.get(self._step)
        assert action is not None, "n_action_steps never exceeds the chunk"
        self.times.note_step(True)
        self._step += 1
        return action

    def note_executed(self, action: np.ndarray) -> None:
        pass

    def close(self) -> None:
        pass


class AsynchronousController:
    """The policy thinks while the robot moves: the next chunk is computed as the current one is executed.

    A chunk begins at the observation that it was computed from. By the time it arrives some of its steps are past and are
    left out. With `join` the policy is told what runs and what will have been executed by then, and continues it
    (real-time chunking; heads that do not sample mix the two chunks). The first chunk of an episode is waited for.

    Args:
        policy: a `ChunkPredictor`, `Policy`, `PolicyClient` or chunk source; used from another thread.
        n_action_steps: steps after which a new chunk is asked for, if the one before has arrived, instead of the
            contract's. A chunk must last for the longer of these and the latency, and for the latency once more.
        join: whether new chunks continue the running one; by default those of heads that sample do.
        on_miss: what to do at a step that no chunk covers; "stop" raises `DeadlineMissed`.
        patience: how long such a step waits for a chunk on its way before that, as a part of the control period.
        ensemble: see `ActionTimeline`.
        frequency: of the control loop (Hz), instead of the contract's.

    Raises:
        ValueError: `n_action_steps` leaves nothing of a chunk for the latency.
    """

    def __init__(
        self,
        policy: Any,
        n_action_steps: int | None = None,
        join: bool | None = None,
        on_miss: OnMiss = "hold",
        patience: float = 0.5,
        ensemble: float | None = None,
        frequency: float | None = None,
    ):
        self.source = as_chunk_source(policy)
        self.contract = self.source.contract
        self.n_action_steps = n_action_steps or self.contract.n_action_steps
        if not 0 < self.n_action_steps < self.contract.chunk_size:
            raise ValueError(
                f"n_action_steps = {self.n_action_steps} must be below chunk_size = {self.contract.chunk_size}: the rest "
                "is executed while the next chunk is computed."
            )
        if on_miss not in ("hold", "repeat", "stop"):
            raise ValueError(f"on_miss must be 'hold', 'repeat' or 'stop', got {on_miss!r}.")
        if on_miss == "hold":
            self.contract.require_known("mode", purpose="on_miss='hold'")
        if not 0 <= patience < 1:
            raise ValueError(f"patience must be a part of the control period, from 0 to below 1, got {patience}.")
        self.join = self.source.guided if join is None else join
        self.on_miss, self.patience = on_miss, patience
        self.times = ControlTimes(1 / (frequency or self.contract.control_frequency))
        self._timeline = ActionTimeline(self.contract, ensemble)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="inference")
        self._delays: deque[int] = deque(maxlen=REMEMBERED_DELAYS)
        self._pending: Future[tuple[np.ndarray, float]] | None = None
        self.reset()

    def reset(self) -> None:
        if self._pending is not None:
            self._pending.exception()  # wait for what is under way: it belongs to the episode before
        self._pending = None
        self.source.reset()
        self._timeline.clear()
        self._unseen: list[Observation] = []
        self._last: np.ndarray | None = None
        self._warm = False
        self._step = self._start = 0

    def warm_up(self, observation: Observation, instruction: str) -> None:
        if not self._warm:
            self._ask(observation, instruction)
            self._collect(timeout=None)
            self._warm = True

    def step(self, observation: Observation, instruction: str) -> np.ndarray:
        """Raises whatever the policy raised, at the next step after it did."""
        self.warm_up(observation, instruction)
        self._collect()
        if self._timeline.get(self._step) is None:
            self._collect(self.patience * self.times.period)
        if self._is_due():
            self._ask(observation, instruction)
        elif self._is_observed() and self._step > 0:
            self._unseen = [*self._unseen, observation][1 - self.contract.window_size :]
        action = self._timeline.get(self._step)
        self.times.note_step(action is not None)
        self._last = action = self._missing() if action is None else action
        self._step += 1
        return action.copy()

    def note_executed(self, action: np.ndarray) -> None:
        self._last = action.copy()

    def close(self) -> None:
        self._thread.shutdown(cancel_futures=True)

    def _is_observed(self) -> bool:
        """Whether this step's observation belongs into the policy's window."""
        contract = self.contract
        return contract.window_size > 1 and self._step % contract.history_stride == 0

    def _is_due(self) -> bool:
        """Whether to ask for a chunk now."""
        waited = self._step - self._start >= self.n_action_steps
        fits = self.contract.window_size == 1 or self._is_observed()
        return self._pending is None and waited and fits

    def _ask(self, observation: Observation, instruction: str) -> None:
        self._start = self._step
        options: dict[str, Any] = {"history": self._unseen}
        running = self._timeline.running(self._step)
        if self.join and len(running):
            delay = max(self._delays, default=ceil(self.times.latencies[0] / self.times.period))
            options |= {"running": running, "delay": min(delay, len(running))}
        self._unseen = []
        self._pending = self._thread.submit(self._predict, observation, instruction, options)

    def _predict(
        self, observation: Observation, instruction: str, options: dict[str, Any]
    ) -> tuple[np.ndarray, float]:
        start = time.monotonic()
        chunk = self.source.predict(observation, instruction, **options)
        return chunk, time.monotonic() - start

    def _collect(self, timeout: float | None = 0.0) -> None:
        """Lay a chunk that has arrived, or arrives within so many seconds (None: whenever), onto the timeline."""
        if self._pending is None or not wait([self._pending], timeout).done:
            return
        pending, self._pending = self._pending, None
        chunk, latency = pending.result()
        self._timeline.put(self._start, chunk)
        self.times.latencies.append(latency)
        if self._warm:  # nothing passes while the first chunk is waited for
            self._delays.append(self._step - self._start)
            self.times.delays.append(self._step - self._start)

    def _missing(self) -> np.ndarray:
        assert self._last is not None, "the first step has a chunk"
        if self.on_miss == "stop":
            raise DeadlineMissed(
                f"no action for control step {self._step}: the chunk asked for at step {self._start} is not there. "
                f"Latencies so far: up to {1000 * max(self.times.latencies):.0f} ms; a chunk of "
                f"{self.contract.chunk_size} steps every {self.n_action_steps} allows "
                f"{1000 * self.times.period * (self.contract.chunk_size - self.n_action_steps):.0f} ms."
            )
        return self._last if self.on_miss == "repeat" else holding_action(self.contract, self._last)
