"""CALVIN as a suite: its 1000 chains, and single tasks from the conditions in which chains begin."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np

from ...evaluation.rollout import Episode
from ...evaluation.suite import Conventions, Suite
from .assets import assets_checksum, find_assets
from .chains import CHAIN_LENGTH, MAX_STEPS, NUM_CHAINS, published_chains
from .conditions import Condition, after, initial_conditions
from .environment import CalvinEnv
from .initial_states import initial_state
from .instructions import INSTRUCTIONS
from .interface import CAMERAS, CONTROL_FREQUENCY
from .scenes import get_scene
from .settings import SETTINGS, check_setting, sentences
from .tasks import TASKS

VERSION = "1"


@dataclass(frozen=True)
class CalvinSuite(Suite):
    """A suite whose chains are the published list, and whose episodes begin where chains begin.

    Attributes:
        setting: in which episodes and chains are run.
    """

    setting: str = "seen"

    def episodes(self, tasks: Sequence[str], count: int, seed: int) -> list[Episode]:
        """`count` episodes, the tasks in turn, each from a condition in which it can be asked for.

        Raises:
            ValueError: a task that needs another one before it (place, stack, unstack, lift from the drawer).
        """
        for task in tasks:
            if task not in self.default_tasks:
                raise ValueError(f"tasks: {task!r} can't be begun from a reset, only within chains")
        episodes = [_begun(episode) for episode in super().episodes(tasks, count, seed)]
        return [_in_setting(self.setting, episode) for episode in episodes]

    def chains(self, tasks: Sequence[str], count: int, length: int, seed: int) -> list[Episode]:
        """Return the first `count` of the published chains; `tasks` and `seed` don't matter.

        Raises:
            ValueError: more chains, or longer ones, than there are.
        """
        if count > NUM_CHAINS or length > CHAIN_LENGTH:
            raise ValueError(
                f"chains: CALVIN has {NUM_CHAINS} of {CHAIN_LENGTH} tasks, got chains={count}, chain_length={length}"
            )
        episodes = []
        for number, chain in enumerate(published_chains()[:count]):
            asked = [(task, INSTRUCTIONS[task]) for task in chain.tasks[:length]]
            options = _options(chain.condition)
            episodes.append(Episode(*asked[0], seed=number, options=options, then=tuple(asked[1:])))
        return [_in_setting(self.setting, episode) for episode in episodes]


def calvin_suite(
    scene: str = "D",
    assets: str | Path | None = None,
    renderer: Literal["tiny", "egl"] = "tiny",
    cameras: Sequence[str] = tuple(CAMERAS),
    setting: str = "seen",
) -> CalvinSuite:
    """CALVIN.

    Args:
        scene: where to evaluate; the protocol's states are made for D.
        assets: where CALVIN's assets are; the environment variable CALVIN_ASSETS by default.
        renderer: "tiny" or "egl".
        cameras: those that the policy sees.
        setting: one of `SETTINGS`, for everything that is run, chains too.

    Raises:
        ValueError: unknown scene or setting.
        MissingAssetsError: the assets are not there; the message says how to get them.
    """
    folder = find_assets(assets, get_scene(scene))
    checksum = assets_checksum(folder, get_scene(scene))[:16]
    return CalvinSuite(
        name="calvin",
        version=f"{VERSION}, scene {scene}, renderer {renderer}, assets {checksum}",
        instructions={task: (INSTRUCTIONS[task],) for task in TASKS},
        make_env=partial(
            CalvinEnv, scene=scene, assets=folder, renderer=renderer, cameras=cameras, render_mode="rgb_array"
        ),
        max_steps=MAX_STEPS,
        control_frequency=CONTROL_FREQUENCY,
        default_tasks=tuple(task for task in TASKS if _beginnings(task)),
        settings={name: partial(_in_setting, name) for name in SETTINGS if name != "seen"},
        conventions=Conventions("euler_xyz", "delta", grippers=((6, 1.0, -1.0),)),
        facts={"setting": setting, "scene": scene, "renderer": renderer, "assets": checksum},
        setting=check_setting(setting),
    )


def _beginnings(task: str) -> list[Condition]:
    return [condition for condition in initial_conditions() if after(condition, task) is not None]


def _begun(episode: Episode) -> Episode:
    """The episode, begun in a condition drawn by its seed."""
    beginnings = _beginnings(episode.task)
    number = int(np.random.default_rng([episode.seed, 3]).integers(len(beginnings)))
    return replace(episode, options=_options(beginnings[number]))


def _in_setting(setting: str, episode: Episode) -> Episode:
    """The episode, or chain, in a setting; its words are drawn by its seed."""
    if setting == "seen":
        return episode
    generator = np.random.default_rng([episode.seed, 4])
    first, *then = (
        (task, str(generator.choice(sentences(task, setting))))
        for task in (episode.task, *(task for task, _ in episode.then))
    )
    options = episode.options | {"setting": setting}
    return replace(episode, instruction=first[1], then=tuple(then), options=options)


def _options(condition: Condition) -> dict[str, list[float]]:
    robot_obs, scene_obs = initial_state(condition)
    return {"robot_obs": robot_obs.tolist(), "scene_obs": scene_obs.tolist()}
