"""SimplerEnv's WidowX tasks as a suite: the published starts of each task, in their order."""

from dataclasses import replace
from functools import partial
from importlib.metadata import PackageNotFoundError, version

import numpy as np

from ...evaluation.rollout import Episode
from ...evaluation.suite import FIRST_SUCCESS, Conventions, FixedStartsSuite
from .assets import Table, assets_checksum, check_assets
from .environment import SimplerWidowXEnv, Termination
from .tasks import ACTION_NAMES, CONTROL_FREQUENCY, HEIGHT, STARTS, TASKS, WIDTH

VERSION = "1"
LAST_STEP = (
    "an episode runs to its step limit (60, eggplant 120) and counts as a success if the task is done at the last step"
)
NEEDS_THE_SINK = "eggplant_in_basket"


def simpler_widowx_suite(
    termination: Termination = "truncate",
    table: Table = "published",
    photograph: bool = True,
    height: int = HEIGHT,
    width: int = WIDTH,
) -> FixedStartsSuite:
    """SimplerEnv's four WidowX tasks; three of them with `table="flat_box"`.

    Args:
        termination, table, photograph, height, width: see `SimplerWidowXEnv`.

    Raises:
        ImportError: ManiSkill isn't installed.
        MissingAssetsError: the models are not there; the message says how to get them.
        ValueError: an unknown termination or table.
    """
    if table not in ("published", "flat_box"):
        raise ValueError(f"table must be 'published' or 'flat_box', got {table!r}")
    try:
        maniskill = version("mani-skill")
    except PackageNotFoundError as error:
        raise ImportError("SimplerEnv's WidowX tasks run on ManiSkill 3: pip install 'robovlms[simpler]'") from error
    tasks = [name for name in TASKS if table == "published" or name != NEEDS_THE_SINK]
    check_assets(tasks, table)
    make_env = partial(
        SimplerWidowXEnv,
        height=height,
        width=width,
        termination=termination,
        table=table,
        photograph=photograph,
        render_mode="rgb_array",
    )
    make_env().close()  # refuses what it can't do, before work starts
    return FixedStartsSuite(
        name="simpler_widowx",
        version=f"{VERSION}, mani-skill {maniskill}",
        instructions={name: (TASKS[name].instruction,) for name in tasks},
        make_env=make_env,
        max_steps=max(TASKS[name].max_steps for name in tasks),
        control_frequency=CONTROL_FREQUENCY,
        episodes_per_task=STARTS,
        controls_per_task=0,
        settings={"unseen_paraphrases": _paraphrased},
        conventions=Conventions("euler_xyz", "delta", "base", ((ACTION_NAMES.index("gripper"), 1.0, 0.0),)),
        termination=FIRST_SUCCESS if termination == "accumulate" else LAST_STEP,
        facts={
            "protocol": "visual matching" if photograph else "rendered background (not a published protocol)",
            "simulator": "ManiSkill 3 on the CPU; published scores are mostly of ManiSkill 2",
            "table": "published mesh" if table == "published" else "flat box at its height (not the published scene)",
            "images": f"{height}x{width}"
            + ("" if (height, width) == (HEIGHT, WIDTH) else ", stretched by area averaging"),
            "gripper": "not sticky, as published for WidowX",
            "assets": assets_checksum(tasks, table)[:16],
        },
        timeout=900.0,
        fixed_limits=True,
    )


def _paraphrased(episode: Episode) -> Episode:
    sentences = TASKS[episode.task].paraphrases
    return replace(episode, instruction=str(np.random.default_rng([episode.seed, 4]).choice(sentences)))
