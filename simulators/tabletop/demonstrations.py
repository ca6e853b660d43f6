"""Demonstrations by the scripted expert, with noise in what is executed and none in what is recorded."""

from collections.abc import Iterator, Sequence
from functools import partial

import gymnasium
import numpy as np

from ..common.collection import DEFAULT_NOISE, Disturbance, Noise, first_success, run_jobs
from ..common.demonstrations import Demonstration, record_demonstration
from .chains import sample_chain, scene_layout
from .environment import TabletopEnv, unwrap
from .expert import expert_action
from .tasks import TASKS, get_task


def collect_episode(
    env: gymnasium.Env,
    seed: int,
    task: str | None = None,
    instruction: str | None = None,
    noise: Noise | None = None,
    setting: str = "seen",
) -> Demonstration:
    """Record the expert in one episode, successful or not.

    Args:
        env: a tabletop environment.
        seed: seed of the scene, of the noise, and of the task and sentence where they are None.
        task: name of the task.
        instruction: sentence; a random paraphrase by default.
        noise: disturbance; none by default.
        setting: one of `settings.SETTINGS`.
    """
    env = unwrap(env)
    observation, info = env.reset(seed=seed, options={"task": task, "instruction": instruction, "setting": setting})
    return _record(env, observation, info, seed, _disturbance(noise, seed))


def collect_chain(
    env: gymnasium.Env, seed: int, length: int = 5, noise: Noise | None = None, tasks: Sequence[str] = TASKS
) -> list[Demonstration]:
    """Record the expert in a chain of subtasks in one scene; ends early, with the failed one, when a subtask fails.

    These episodes begin wherever the subtask before left the scene and the gripper, as in a long-horizon evaluation.
    """
    env = unwrap(env)
    rng = np.random.default_rng([seed, 2])
    disturb = _disturbance(noise, seed)
    episodes: list[Demonstration] = []
    observation, _ = env.reset(seed=seed)
    for task in sample_chain(rng, length, tasks, scene_layout(seed)):
        info = env.set_task(task, str(rng.choice(get_task(task).paraphrases)))
        episodes.append(_record(env, observation, info, seed, disturb))
        if not episodes[-1].success:
            break
        observation = env.observe()
    return episodes


def _disturbance(noise: Noise | None, seed: int) -> Disturbance | None:
    return None if noise is None else Disturbance(noise, np.random.default_rng([seed, 1]))


def _record(env: TabletopEnv, observation: dict, info: dict, seed: int, disturb: Disturbance | None) -> Demonstration:
    return record_demonstration(
        env, observation, info, seed, lambda _: expert_action(env), lambda _, told: told["grounding"], disturb
    )


def _collect_one(
    env: TabletopEnv, seed: int, index: int, task: str, noise: Noise | None, setting: str
) -> Demonstration:
    return first_success(
        seed, index, task, lambda scene: collect_episode(env, scene, task, noise=noise, setting=setting)
    )


def collect(
    tasks: Sequence[str] = TASKS,
    episodes: int = 100,
    seed: int = 0,
    processes: int = 1,
    image_size: int = 64,
    noise: Noise | None = DEFAULT_NOISE,
    setting: str = "seen",
    max_steps: int = 80,
    first: int = 0,
    progress: bool = True,
) -> Iterator[Demonstration]:
    """Successful demonstrations, the tasks taking turns; the same for any number of processes.

    A failed demonstration is replaced by one in another scene and counted in `Demonstration.failed_attempts`; the progress
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
    make_env = partial(TabletopEnv, image_size=image_size, max_steps=max_steps)
    return run_jobs(make_env, _collect_one, jobs, episodes, processes, progress)
