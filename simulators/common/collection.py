"""What collecting demonstrations has in common in all simulators: seeds, noise, worker processes."""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_all_start_methods, get_context
from multiprocessing.context import BaseContext
from typing import Any

import gymnasium
import numpy as np

from .demonstrations import Demonstration
from .gl import choose_backend

MAX_ATTEMPTS = 20
FIRST_SCENE_SEED = 2**32
"""Scenes of demonstrations have seeds from here on, those of evaluations lie below: no policy has seen the latter."""


@dataclass(frozen=True)
class Noise:
    """Disturbance of the executed actions; the recorded ones stay the expert's own.

    Attributes:
        sigma: standard deviation of white noise on the motion dimensions, in action units.
        burst_probability: chance per step that a burst begins.
        burst_steps: shortest and longest burst.
        burst_scale: largest constant offset of a burst, in action units.
        rotation_scale: factor on the noise of rotation dimensions.
        gripper_probability: chance that a burst also flips the gripper.
    """

    sigma: float = 0.15
    burst_probability: float = 0.05
    burst_steps: tuple[int, int] = (2, 5)
    burst_scale: float = 1.0
    rotation_scale: float = 0.3
    gripper_probability: float = 0.1


DEFAULT_NOISE = Noise()


class Disturbance:
    """The noise of one episode, step by step.

    Args:
        noise: how much.
        rng: where it comes from.
        rotations: how many of the motion dimensions, the last ones, are rotations. The gripper comes after them.
    """

    def __init__(self, noise: Noise, rng: np.random.Generator, rotations: int = 3):
        self._noise, self._rng, self._left = noise, rng, 0
        self._scale = np.array([1.0] * 3 + [noise.rotation_scale] * rotations)

    def __call__(self, action: np.ndarray) -> np.ndarray:
        noise, rng, motion = self._noise, self._rng, len(self._scale)
        if self._left == 0 and rng.random() < noise.burst_probability:
            self._left = int(rng.integers(noise.burst_steps[0], noise.burst_steps[1] + 1))
            self._offset = rng.uniform(-noise.burst_scale, noise.burst_scale, motion) * self._scale
            self._flip = rng.random() < noise.gripper_probability
        executed = action.copy()
        executed[:motion] += rng.normal(0.0, noise.sigma, motion) * self._scale
        if self._left:
            self._left -= 1
            executed[:motion] += self._offset
            if self._flip:
                executed[motion] = -executed[motion]
        return np.clip(executed, -1.0, 1.0)


def first_success(seed: int, index: int, task: str, attempt: Callable[[int], Demonstration]) -> Demonstration:
    """Return number `index` of a collection: the first success among scenes whose seeds depend on the number alone.

    Raises:
        RuntimeError: the expert failed `MAX_ATTEMPTS` times in a row.
    """
    scenes = np.random.SeedSequence([seed, index]).generate_state(MAX_ATTEMPTS)
    for failed, scene in enumerate(scenes):
        episode = attempt(FIRST_SCENE_SEED + int(scene))
        if episode.success:
            episode.failed_attempts = failed
            return episode
    raise RuntimeError(f"the expert failed {MAX_ATTEMPTS} times in a row at {task} (seed {seed}, episode {index})")


def run_jobs(
    make_env: Callable[[], gymnasium.Env],
    collect_one: Callable[..., Demonstration],
    jobs: Sequence[tuple[Any, ...]],
    total: int,
    processes: int,
    progress: bool,
) -> Iterator[Demonstration]:
    """Yield `collect_one(env, *job)` for each job, in order, with a progress bar that also counts failed attempts.

    Args:
        make_env: builds the environment of each process.
        collect_one: a function of a module, so that processes can be told which.
        jobs: what to collect.
        total: episodes in all, of which the jobs are the last ones.
        processes: worker processes; 0 or 1 collects in this one.
        progress: whether to show the bar.
    """
    from tqdm.auto import tqdm  # here, because an environment's process imports this module and may lack it

    failed = 0
    initial = total - len(jobs)
    with tqdm(total=total, initial=initial, desc="demonstrations", unit="episode", disable=not progress) as bar:
        for episode in _run(make_env, collect_one, jobs, processes):
            failed += episode.failed_attempts
            bar.set_postfix(failed=failed)
            bar.update()
            yield episode


_worker_env: gymnasium.Env | None = None  # the environment of a worker process


def _begin_worker(make_env: Callable[[], gymnasium.Env]) -> None:
    global _worker_env
    _worker_env = make_env()


def _collect_in_worker(collect_one: Callable[..., Any], job: tuple[Any, ...]) -> Any:
    assert _worker_env is not None, "_begin_worker runs first"
    return collect_one(_worker_env, *job)


def _run(make_env: Callable, collect_one: Callable, jobs: Iterable[tuple], processes: int) -> Iterator[Any]:
    if processes <= 1:
        env = make_env()
        try:
            for job in jobs:
                yield collect_one(env, *job)
        finally:
            env.close()
        return
    choose_backend()
    os.environ.setdefault("LP_NUM_THREADS", "1")  # one thread of Mesa's software renderer per worker
    with ProcessPoolExecutor(processes, _context(), _begin_worker, (make_env,)) as pool:
        try:
            waiting: deque[Future] = deque()
            for job in jobs:
                waiting.append(pool.submit(_collect_in_worker, collect_one, job))
                if len(waiting) >= 8 * processes:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            pool.shutdown(cancel_futures=True)


def _context() -> BaseContext:
    """Return a way to start workers that never copies a process with an OpenGL context, and imports once if it can."""
    if "forkserver" not in get_all_start_methods():
        return get_context("spawn")
    context = get_context("forkserver")
    context.set_forkserver_preload([__name__])
    return context
