"""Meta-World as a suite: MT10 by default, all fifty tasks by name, and the looks that it never shows."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from importlib.metadata import version
from typing import Any

import numpy as np

from ...evaluation.rollout import Episode
from ...evaluation.suite import Suite
from ..common.gl import choose_backend
from .environment import MetaWorldEnv
from .instructions import INSTRUCTIONS
from .interface import CONTROL_FREQUENCY, MAX_STEPS
from .package import mt10
from .settings import SETTINGS

VERSION = "1"
TERMINATION = (
    "an episode ends at the first step at which Meta-World reports success, or after 500 steps, which is its failure"
)


def metaworld_suite(
    cameras: Sequence[str] = ("corner2",),
    image_size: int = 128,
    render: str = "default",
    privileged: bool = False,
    render_size: int = 256,
) -> Suite:
    """Return the Meta-World suite.

    Args:
        cameras: those that the policy sees, upright; "corner4" is what LeRobot's datasets and checkpoints show.
        image_size: width and height of the images that the policy sees.
        render: "default" or "tuned", see `MetaWorldEnv`.
        privileged: whether observations say what the scripted experts need.
        render_size: width and height of the pictures for films.

    Raises:
        ImportError: the `metaworld` package isn't installed; the message says how to install it.
        NoOpenGLError: nothing here can draw; the message says what to install.
    """
    backend = choose_backend()  # once, here: the environments' processes inherit the answer
    options: dict[str, Any] = {"cameras": tuple(cameras), "image_size": image_size, "render": render}
    make_env = partial(
        MetaWorldEnv, **options, privileged=privileged, render_mode="rgb_array", render_size=render_size
    )
    default_tasks = mt10()
    make_env().close()  # says what is wrong with the options before processes are started
    return Suite(
        name="metaworld",
        version=VERSION,
        instructions={task: sentences.seen for task, sentences in INSTRUCTIONS.items()},
        make_env=make_env,
        max_steps=MAX_STEPS,
        control_frequency=CONTROL_FREQUENCY,
        default_tasks=default_tasks,
        settings={setting: partial(_in_setting, setting) for setting in SETTINGS if setting != "seen"},
        termination=TERMINATION,
        facts={
            "metaworld": version("metaworld"),
            "mujoco": version("mujoco"),
            "cameras": list(cameras),
            "image_size": image_size,
            "rendering": _RENDERING[render],
            "opengl": backend,
            "placements": "drawn by the episode's seed from each task's own distribution, not from a list of fifty",
            "privileged": privileged,
        },
    )


_RENDERING = {
    "default": "default: Meta-World's shadows, reflections and 4 samples per pixel",
    "tuned": "tuned: no shadows, no reflections, 1 sample per pixel; the pixels differ from Meta-World's",
}


def _in_setting(setting: str, episode: Episode) -> Episode:
    instruction = episode.instruction
    if setting == "unseen_paraphrases":
        held_out = INSTRUCTIONS[episode.task].held_out
        instruction = str(np.random.default_rng(episode.seed).choice(held_out))
    return replace(episode, instruction=instruction, options=episode.options | {"setting": setting})
