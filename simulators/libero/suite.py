"""LIBERO's and LIBERO-PRO's benchmarks as suites: the published initial states, in their order."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from importlib.metadata import version

from ...evaluation.rollout import Episode
from ...evaluation.suite import Conventions, FixedStartsSuite
from ..common.gl import choose_backend
from .benchmarks import PACKAGE, base_of, benchmark_tasks
from .environment import LiberoEnv
from .interface import CLOSED, CONTROL_FREQUENCY, MAX_STEPS, OPEN, SETTLE_STEPS
from .settings import SETTINGS, paraphrase

VERSION = "1"
STATES = 50
"""Initial states of every task."""
_RENDERING = {
    "default": "default: shadows and 4 samples per pixel, as published",
    "tuned": "tuned: no shadows, no reflections, 1 sample per pixel; the pixels differ from the published ones",
}
_IMAGES = {
    "published": "turned by 180 degrees, which mirrors them, as published policies are trained",
    "upright": "upright and not mirrored, unlike those of published policies",
}


def libero_suite(
    benchmark: str,
    cameras: Sequence[str] = ("agentview", "wrist"),
    image_size: int = 256,
    images: str = "published",
    render: str = "default",
    privileged: bool = False,
    render_size: int = 256,
) -> FixedStartsSuite:
    """Return a benchmark of LIBERO or LIBERO-PRO; for the options see `LiberoEnv`.

    Raises:
        ValueError: unknown or incomplete benchmark, unknown options.
        ImportError: the package isn't installed; the message says how to install it.
        NoOpenGLError: nothing here can draw; the message says what to install.
    """
    backend = choose_backend()  # once, here: the environments' processes inherit the answer
    make_env = partial(
        LiberoEnv, benchmark=benchmark, cameras=tuple(cameras), image_size=image_size, images=images, render=render,
        privileged=privileged, render_mode="rgb_array", render_size=render_size,
    )  # fmt: skip
    make_env().close()  # says what is wrong with the options before processes are started
    tasks = benchmark_tasks(benchmark)
    return FixedStartsSuite(
        name=benchmark,
        version=VERSION,
        instructions={name: (task.sentence,) for name, task in tasks.items()},
        make_env=make_env,
        max_steps=MAX_STEPS[base_of(benchmark)],
        control_frequency=CONTROL_FREQUENCY,
        episodes_per_task=STATES,
        controls_per_task=0,
        start_option="initial_state",
        settings={setting: partial(_in_setting, setting) for setting in SETTINGS if setting != "seen"},
        termination=f"an episode begins after {SETTLE_STEPS} actions without motion and ends at the first success or at "
        "the step limit",
        conventions=Conventions(rotation="axis_angle", mode="delta", grippers=((6, OPEN, CLOSED),)),
        facts={
            PACKAGE: version(PACKAGE),
            "robosuite": version("robosuite"),
            "mujoco": version("mujoco"),
            "initial states": "the package's, from the first on",
            "images": _IMAGES[images],
            "rendering": _RENDERING[render],
            "image_size": image_size,
            "opengl": backend,
            "privileged": privileged,
        },
        timeout=300.0,
    )


def _in_setting(setting: str, episode: Episode) -> Episode:
    words = paraphrase(episode.instruction) if setting == "unseen_paraphrases" else episode.instruction
    return replace(episode, instruction=words, options=episode.options | {"setting": setting})
