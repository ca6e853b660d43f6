"""Demonstrations by Meta-World's scripted experts, with noise in what is executed and none in what is recorded."""

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np

from ..common.collection import Disturbance, Noise, first_success, run_jobs
from ..common.demonstrations import Demonstration, record_demonstration
from .environment import MetaWorldEnv
from .experts import expert_action
from .interface import Rendering

NOISE = Noise(sigma=0.2, burst_probability=0.03, burst_steps=(3, 8), gripper_probability=0.0)
GROUNDING_NAMES = ("object_x", "object_y", "object_z", "goal_x", "goal_y", "goal_z")
GROUNDING_CENTRE, GROUNDING_SCALE = np.array([0.0, 0.7, 0.1]), 0.3
"""Grounding is in units of 0.3 m from a point above the middle of the table, so that it is about -1 to 1."""


def collect_episode(env: MetaWorldEnv, seed: int, task: str, noise: Noise | None = NOISE) -> Demonstration:
    """Record the expert in one episode, successful or not.

    Args:
        env: built with `privileged=True`.
        seed: of the places, the sentence and the noise.
        task: name of the task.
        noise: disturbance of the executed actions; None for none.
    """
    observation, info = env.reset(seed=seed, options={"task": task})
    disturb = None if noise is None else Disturbance(noise, np.random.default_rng([seed, 1]), rotations=0)
    return record_demonstration(env, observation, info, seed, expert_action, _ground, disturb)


def collect(
    tasks: Sequence[str],
    episodes: int = 100,
    seed: int = 0,
    processes: int = 1,
    cameras: Sequence[str] = ("corner2",),
    image_size: int = 128,
    render: Rendering = "default",
    noise: Noise | None = NOISE,
    first: int = 0,
    progress: bool = True,
) -> Iterator[Demonstration]:
    """Successful demonstrations, the tasks taking turns; the same for any number of processes.

    A failed demonstration is replaced by one at other places and counted in `Demonstration.failed_attempts`.

    Args:
        tasks: names of the tasks.
        episodes: how many.
        seed: seed of everything.
        processes: worker processes; 0 or 1 collects in this one.
        cameras, image_size, render: of the environment.
        noise: disturbance of the executed actions, None for none.
        first: number of the first episode to yield, to go on where an earlier collection ended.
        progress: whether to show a progress bar.

    Raises:
        ValueError: unknown task, camera or kind of rendering, or no task.
        ImportError: the `metaworld` package isn't installed.
        RuntimeError: the expert failed 20 times in a row at one episode.
    """
    make_env = partial(
        MetaWorldEnv, tuple(tasks), cameras=tuple(cameras), image_size=image_size, render=render, privileged=True
    )
    make_env().close()  # says what is wrong before work starts
    jobs = [(seed, index, tasks[index % len(tasks)], noise) for index in range(first, episodes)]
    return run_jobs(make_env, _collect_one, jobs, episodes, processes, progress)


def _collect_one(env: MetaWorldEnv, seed: int, index: int, task: str, noise: Noise | None) -> Demonstration:
    return first_success(seed, index, task, lambda scene: collect_episode(env, scene, task, noise))


def _ground(observation: dict[str, Any], info: dict[str, Any]) -> np.ndarray:
    """Find where the object and the goal are, from Meta-World's own observation (39,)."""
    observed = observation["privileged"]["state"]
    places = np.stack([observed[4:7], observed[-3:]])
    return ((places - GROUNDING_CENTRE) / GROUNDING_SCALE).ravel().astype(np.float32)
