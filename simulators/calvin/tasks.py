"""The 34 tasks: each has a detector that compares the scene now with the scene when the task began."""

from collections.abc import Callable
from functools import partial

import numpy as np
from scipy.spatial.transform import Rotation

from .snapshot import Snapshot

Detector = Callable[[Snapshot, Snapshot], bool]
"""(start, now) -> whether the task was done in between."""

TABLE, PLANK, DRAWER = ("table", "base_link"), ("table", "plank_link"), ("table", "drawer_link")


def rotated(start: Snapshot, now: Snapshot, color: str, low: float, high: float) -> bool:
    """The block turned about the vertical by `low` to `high` degrees, hardly moved, and does not hang in the air."""
    before, after = start.blocks[color], now.blocks[color]
    turn = Rotation.from_quat(after.orientation) * Rotation.from_quat(before.orientation).inv()
    x, y, z = turn.as_euler("xyz", degrees=True)
    return bool(
        low < z < high
        and abs(x) < 30
        and abs(y) < 30
        and np.linalg.norm(after.position - before.position) <= 0.1
        and after.bodies - {"robot"}
    )


def pushed(start: Snapshot, now: Snapshot, color: str, direction: int) -> bool:
    """The block moved along x by more than 10 cm and touches everything that it touched (apart from the robot)."""
    before, after = (
        {contact for contact in scene.blocks[color].contacts if contact[0] != "robot"} for scene in (start, now)
    )
    moved = now.blocks[color].position[0] - start.blocks[color].position[0]
    return bool(direction * moved > 0.1 and before and before <= after)


def slid(start: Snapshot, now: Snapshot, direction: int) -> bool:
    return direction * (now.slide - start.slide) > 0.15


def drawn(start: Snapshot, now: Snapshot, direction: int) -> bool:
    return direction * (now.drawer - start.drawer) > 0.12


def lifted(start: Snapshot, now: Snapshot, color: str, surface: tuple[str, str], height: float) -> bool:
    """The block left the surface, rose by more than `height`, and touches nothing but the robot."""
    before, after = start.blocks[color], now.blocks[color]
    return bool(
        surface in before.contacts and after.position[2] - before.position[2] > height and after.bodies == {"robot"}
    )


def placed(start: Snapshot, now: Snapshot, surface: tuple[str, str]) -> bool:
    """The block that the robot held alone in the air now lies on the surface, let go."""
    if len(start.robot_touches) != 1:
        return False
    (held,) = start.robot_touches
    if held not in start.blocks or start.blocks[held].bodies != {"robot"}:
        return False
    return "robot" not in now.blocks[held].bodies and surface in now.blocks[held].contacts


def _on_blocks_only(scene: Snapshot, color: str) -> bool:
    block = scene.blocks[color]
    return bool(block.bodies) and block.bodies <= set(scene.blocks) and block.resting


def _touches_a_block(scene: Snapshot, color: str) -> bool:
    return bool(scene.blocks[color].bodies & set(scene.blocks))


def stacked(start: Snapshot, now: Snapshot) -> bool:
    """Some block that touched no block now rests on blocks alone."""
    return any(not _touches_a_block(start, color) and _on_blocks_only(now, color) for color in now.blocks)


def unstacked(start: Snapshot, now: Snapshot) -> bool:
    """Some block that rested on blocks alone now touches no block."""
    return any(_on_blocks_only(start, color) and not _touches_a_block(now, color) for color in now.blocks)


def switched(start: Snapshot, now: Snapshot, light: str, on: bool) -> bool:
    """The light is on (or off) and was not; how it came about doesn't matter."""
    return getattr(start, light) != on and getattr(now, light) == on


def pushed_into_drawer(start: Snapshot, now: Snapshot) -> bool:
    """Some block that lay on the table, and that the robot touches neither then nor now, lies in the drawer."""
    return any(
        start.blocks[color].contacts == {TABLE}
        and DRAWER in now.blocks[color].contacts
        and "robot" not in now.blocks[color].bodies
        for color in now.blocks
    )


def _tasks() -> dict[str, Detector]:
    """Task name -> detector, in the original's order."""
    tasks: dict[str, Detector] = {}
    for color in ("red", "blue", "pink"):
        tasks[f"rotate_{color}_block_right"] = partial(rotated, color=color, low=-180, high=-60)
        tasks[f"rotate_{color}_block_left"] = partial(rotated, color=color, low=60, high=180)
    for color in ("red", "blue", "pink"):
        tasks[f"push_{color}_block_right"] = partial(pushed, color=color, direction=1)
        tasks[f"push_{color}_block_left"] = partial(pushed, color=color, direction=-1)
    tasks["move_slider_left"] = partial(slid, direction=1)
    tasks["move_slider_right"] = partial(slid, direction=-1)
    tasks["open_drawer"] = partial(drawn, direction=1)
    tasks["close_drawer"] = partial(drawn, direction=-1)
    for color in ("red", "blue", "pink"):
        for name, surface, height in (("table", TABLE, 0.05), ("slider", PLANK, 0.03), ("drawer", DRAWER, 0.05)):
            tasks[f"lift_{color}_block_{name}"] = partial(lifted, color=color, surface=surface, height=height)
    tasks["place_in_slider"] = partial(placed, surface=PLANK)
    tasks["place_in_drawer"] = partial(placed, surface=DRAWER)
    tasks["stack_block"] = stacked
    tasks["unstack_block"] = unstacked
    for light in ("lightbulb", "led"):
        tasks[f"turn_on_{light}"] = partial(switched, light=light, on=True)
        tasks[f"turn_off_{light}"] = partial(switched, light=light, on=False)
    tasks["push_into_drawer"] = pushed_into_drawer
    return tasks


DETECTORS = _tasks()
TASKS = tuple(DETECTORS)


def detect(start: Snapshot, now: Snapshot) -> tuple[str, ...]:
    """Names of the tasks that were done between two moments, in the order of `TASKS`."""
    return tuple(name for name, detector in DETECTORS.items() if detector(start, now))


def check_task(name: str) -> str:
    """The name itself.

    Raises:
        ValueError: CALVIN has no such task.
    """
    if name not in DETECTORS:
        raise ValueError(f"task: unknown {name!r}, CALVIN has {', '.join(TASKS)}")
    return name
