"""The embedded tabletop as a suite: all its tasks, its held-out settings and its long-horizon chains."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import numpy as np

from ...evaluation.generalization import GENERALIZATION_SETTINGS
from ...evaluation.rollout import Episode
from ...evaluation.suite import Suite
from ..common.gl import choose_backend
from .environment import TabletopEnv
from .interface import CONTROL_FREQUENCY
from .settings import SETTINGS, sentences, with_unseen_objects
from .tasks import BASE_TASKS, TASK_TABLE

VERSION = "2"
MAX_STEPS = 80


def tabletop_suite(image_size: int = 64, render_size: int = 256) -> Suite:
    """Return the tabletop suite.

    Args:
        image_size: width and height of the images that the policy sees.
        render_size: width and height of the pictures for films.

    Raises:
        NoOpenGLError: nothing here can draw; the message says what to install.
    """
    choose_backend()  # once, here: the environments' processes inherit the answer
    return Suite(
        name="tabletop",
        version=VERSION,
        instructions={name: task.paraphrases for name, task in TASK_TABLE.items()},
        make_env=partial(
            TabletopEnv,
            image_size=image_size,
            render_mode="rgb_array",
            render_size=render_size,
            max_steps=1_000_000,  # the engine counts
        ),
        max_steps=MAX_STEPS,
        control_frequency=CONTROL_FREQUENCY,
        default_tasks=BASE_TASKS,
        settings={setting: partial(_in_setting, setting) for setting in SETTINGS if setting != "seen"}
        | {
            setting.name: partial(_in_setting, setting.tabletop)
            for setting in GENERALIZATION_SETTINGS.values()
            if setting.name != "simple"
        },
        make_chain=make_chain,
    )


def _in_setting(setting: str, episode: Episode) -> Episode:
    instruction = episode.instruction
    if setting in ("unseen_paraphrases", "novel_instructions"):
        instruction = str(np.random.default_rng(episode.seed).choice(sentences(TASK_TABLE[episode.task], setting)))
    if setting == "unseen_objects":
        instruction = with_unseen_objects(instruction)
    return replace(episode, instruction=instruction, options=episode.options | {"setting": setting})


def make_chain(generator: np.random.Generator, tasks: Sequence[str], length: int) -> list[str]:
    """`length` tasks that can be done one after another in any scene of the setting "seen".

    Raises:
        ValueError: `tasks` don't allow a chain of that length.
    """
    for _ in range(1000):
        chain = [str(task) for task in generator.choice(tasks, length)]
        if _possible(chain):
            return chain
    raise ValueError(f"chains: found none of length {length} over the tasks {list(tasks)}")


def _possible(chain: Sequence[str]) -> bool:
    """Whether each task of a chain changes something and has room for it.

    Each block is asked for once at most, because where a block comes to rest decides what can still be done with it;
    a block is pushed only where no other block is moved, because one would be in the way of the other (the scripted expert
    did 86 % of chains that allowed it); a plate takes one block; the drawer and the light must change.
    """
    asked = [TASK_TABLE[name] for name in chain]
    blocks: set[str] = set()
    plates: set[str | None] = set()
    fixtures: dict[str, str | None] = {}
    for task in asked:
        if task.block is None:
            if fixtures.get(task.skill) == task.goal:
                return False
            fixtures[task.skill] = task.goal
        elif task.block in blocks or (task.skill == "place" and task.goal in plates):
            return False
        else:
            blocks.add(task.block)
            plates |= {task.goal} if task.skill == "place" else set()
    return len(blocks) < 2 or all(task.skill != "push" for task in asked)
