"""Demonstrations by the scripted expert, with noise in what is executed and none in what is recorded."""

import os
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_all_start_methods, get_context
from multiprocessing.context import BaseContext
from typing import Any

import gymnasium
import numpy as np
from tqdm.auto import tqdm

from ..gl import choose_backend
from .chains import sample_chain, scene_layout
from .environment import TabletopEnv
from .expert import expert_action
from .interface import CAMERAS
from .tasks import TASKS, get_task

MAX_ATTEMPTS = 20
# Scenes of demonstrations have seeds from here on, those of evaluations lie below: no policy has seen the latter.
FIRST_SCENE_SEED = 2**32


@dataclass(frozen=True)
class Noise:
    """Disturbance of the executed actions; the recorded ones stay the expert's own.

    Attributes:
        sigma: standard deviation of white noise on the six motion dimensions, in action units.
        burst_probability: chance per step that a burst begins.
        burst_steps: shortest and longest burst.
        burst_scale: largest constant offset of a burst, in action units.
        rotation_scale: factor on the noise of the three rotation dimensions.
        gripper_probability: chance that a burst also flips the gripper.
    """

    sigma: float = 0.15
    burst_probability: float = 0.05
    burst_steps: tuple[int, int] = (2, 5)
    burst_scale: float = 1.0
    rotation_scale: float = 0.3
    gripper_probability: float = 0.1


class _Disturbance:
    """The noise of one episode, step by step."""

    def __init__(self, noise: Noise, rng: np.random.Generator):
        self._noise, self._rng, self._left = noise, rng, 0

    def __call__(self, action: np.ndarray) -> np.ndarray:
        noise, rng = self._noise, self._rng
        scale = np.array([1.0] * 3 + [noise.rotation_scale] * 3)
        if self._left == 0 and rng.random() < noise.burst_probability:
            self._left = int(rng.integers(noise.burst_steps[0], noise.burst_steps[1] + 1))
            self._offset = rng.uniform(-noise.burst_scale, noise.burst_scale, 6) * scale
            self._flip = rng.random() < noise.gripper_probability
        executed = action.copy()
        executed[:6] += rng.normal(0.0, noise.sigma, 6) * scale
        if self._left:
            self._left -= 1
            executed[:6] += self._offset
            if self._flip:
                executed[6] = -executed[6]
        return np.clip(executed, -1.0, 1.0)


@dataclass
class Episode:
    """One demonstration of T steps.

    Attributes:
        images: uint8 (T, size, size, 3) by camera; frame t was seen before action t.
        state: float32 (T, 7).
        actions: float32 (T, 7), the expert's own (without noise).
        grounding: float32 (T, 6), see `tasks.grounding`.
        instruction: the sentence.
        task: name of the task.
        seed: seed of the scene.
        success: whether the task was achieved.
        failed_attempts: demonstrations thrown away before this one because they failed (see `collect`).
    """

    images: dict[str, np.ndarray]
    state: np.ndarray
    actions: np.ndarray
    grounding: np.ndarray
    instruction: str
    task: str
    seed: int
    success: bool
    failed_attempts: int = 0

    def __len__(self) -> int:
        return len(self.actions)

    def steps(self) -> Iterator[dict[str, Any]]:
        """Yield one dict per step: `observation`, `action`, `grounding`, `instruction`."""
        for t in range(len(self)):
            yield {
                "observation": {
                    "images": {camera: frames[t] for camera, frames in self.images.items()},
                    "state": self.state[t],
                },
                "action": self.actions[t],
                "grounding": self.grounding[t],
                "instruction": self.instruction,
            }


def collect_episode(
    env: gymnasium.Env,
    seed: int,
    task: str | None = None,
    instruction: str | None = None,
    noise: Noise | None = None,
    setting: str = "seen",
) -> Episode:
    """Record the expert in one episode, successful or not.

    Args:
        env: a tabletop environment.
        seed: seed of the scene, of the noise, and of the task and sentence where they are None.
        task: name of the task.
        instruction: sentence; a random paraphrase by default.
        noise: disturbance; none by default.
        setting: one of `settings.SETTINGS`.
    """
    env = _tabletop(env)
    observation, info = env.reset(seed=seed, options={"task": task, "instruction": instruction, "setting": setting})
    return _record(env, observation, info, seed, _disturbance(noise, seed))


def collect_chain(
    env: gymnasium.Env, seed: int, length: int = 5, noise: Noise | None = None, tasks: Sequence[str] = TASKS
) -> list[Episode]:
    """Record the expert in a chain of subtasks in one scene; ends early, with the failed one, when a subtask fails.

    These episodes begin wherever the subtask before left the scene and the gripper, as in a long-horizon evaluation.
    """
    env = _tabletop(env)
    rng = np.random.default_rng([seed, 2])
    disturb = _disturbance(noise, seed)
    episodes: list[Episode] = []
    observation, _ = env.reset(seed=seed)
    for task in sample_chain(rng, length, tasks, scene_layout(seed)):
        info = env.set_task(task, str(rng.choice(get_task(task).paraphrases)))
        episodes.append(_record(env, observation, info, seed, disturb))
        if not episodes[-1].success:
            break
        observation = env.observe()
    return episodes


def _tabletop(env: gymnasium.Env) -> TabletopEnv:
    if not isinstance(env.unwrapped, TabletopEnv):
        raise TypeError(f"env must be a tabletop environment, got {type(env.unwrapped).__name__}")
    return env.unwrapped


def _disturbance(noise: Noise | None, seed: int) -> _Disturbance | None:
    return None if noise is None else _Disturbance(noise, np.random.default_rng([seed, 1]))


def _record(env: TabletopEnv, observation: dict, info: dict, seed: int, disturb: _Disturbance | None) -> Episode:
    observations, actions, groundings = [], [], []
    over = False
    while not over:
        action = expert_action(env)
        observations.append(observation)
        actions.append(action)
        groundings.append(info["grounding"])
        observation, _, terminated, truncated, info = env.step(action if disturb is None else disturb(action))
        over = terminated or truncated
    return Episode(
        images={camera: np.stack([o["images"][camera] for o in observations]) for camera in CAMERAS},
        state=np.stack([o["state"] for o in observations]),
        actions=np.stack(actions),
        grounding=np.stack(groundings),
        instruction=info["instruction"],
        task=info["task"],
        seed=seed,
        success=info["success"],
    )


_worker_env: TabletopEnv | None = None  # the environment of a worker process


def _begin_worker(image_size: int, max_steps: int) -> None:
    global _worker_env
    _worker_env = TabletopEnv(image_size=image_size, max_steps=max_steps)


def _collect_in_worker(job: tuple[int, int, str, Noise | None, str]) -> Episode:
    assert _worker_env is not None, "_begin_worker runs first"
    return _collect_one(_worker_env, *job)


def _collect_one(env: TabletopEnv, seed: int, index: int, task: str, noise: Noise | None, setting: str) -> Episode:
    """Collect episode number `index`: the first success among scenes whose seeds depend on nothing but the number."""
    scenes = np.random.SeedSequence([seed, index]).generate_state(MAX_ATTEMPTS)
    for attempt, scene in enumerate(scenes):
        episode = collect_episode(env, int(scene), task, noise=noise, setting=setting)
        if episode.success:
            episode.failed_attempts = attempt
            return episode
    raise RuntimeError(f"the expert failed {MAX_ATTEMPTS} times in a row at {task} (seed {seed}, episode {index})")


def collect(
    tasks: Sequence[str] = TASKS,
    episodes: int = 100,
    seed: int = 0,
    processes: int = 1,
    image_size: int = 64,
    noise: Noise | None = Noise(),
    setting: str = "seen",
    max_steps: int = 80,
    first: int = 0,
    progress: bool = True,
) -> Iterator[Episode]:
    """Yield successful demonstrations, the tasks taking turns; the same for any number of processes.

    A failed demonstration is replaced by one in another scene and counted in `Episode.failed_attempts`; the progress
    bar shows the sum.

    Args:
        tasks: names of the tasks.
        episodes: how many.
        seed: seed of everything.
        processes: worker processes; 0 or 1 collects in this one.
        image_size: width and height of the images.
        noise: disturbance of the executed actions, None for none.
        setting: one of `settings.SETTINGS`.
        max_steps: longest demonstration.
        first: number of the first episode to yield, to go on where an earlier collection ended.
        progress: whether to show a progress bar.

    Raises:
        ValueError: unknown task or no task.
        RuntimeError: the expert failed 20 times in a row at one episode.
    """
    names = [get_task(name).name for name in tasks]
    if not names:
        raise ValueError("tasks must name at least one task, got none")
    jobs = [(seed, index, names[index % len(names)], noise, setting) for index in range(first, episodes)]
    failed = 0
    with tqdm(total=episodes, initial=first, desc="demonstrations", unit="episode", disable=not progress) as bar:
        for episode in _run(jobs, processes, image_size, max_steps):
            failed += episode.failed_attempts
            bar.set_postfix(failed=failed)
            bar.update()
            yield episode


def _run(jobs: list, processes: int, image_size: int, max_steps: int) -> Iterator[Episode]:
    if processes <= 1:
        env = TabletopEnv(image_size=image_size, max_steps=max_steps)
        try:
            for job in jobs:
                yield _collect_one(env, *job)
        finally:
            env.close()
        return
    choose_backend()
    os.environ.setdefault("LP_NUM_THREADS", "1")  # one thread of Mesa's software renderer per worker
    with ProcessPoolExecutor(processes, _context(), _begin_worker, (image_size, max_steps)) as pool:
        try:
            waiting: deque[Future] = deque()
            for job in jobs:
                waiting.append(pool.submit(_collect_in_worker, job))
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
