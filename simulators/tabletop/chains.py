"""Chains of instructions that can be followed one after the other in one scene, as in CALVIN's long-horizon test."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from gymnasium.utils import seeding

from .scene import BLOCK_COLORS, CABINET_POSITION
from .settings import Layout, sample_layout
from .tasks import TASKS, Task, direction, get_task

CHAIN_LENGTH = 5
PUSHED = 0.09
"""How far a block usually gets when it is pushed (metres)."""


@dataclass
class SymbolicState:
    """What matters for whether a task can follow.

    Attributes:
        layout: where things were at the start, or None if that isn't known.
        drawer: "half", "open" or "closed".
        light: "dim", "on" or "off".
        held: colour of the block in the gripper, or None.
        plate: colour of the plate on which each block lies, or None.
        side: how far each block was pushed: -1 left, 0, 1 right.
        position: where each block is now (x, y), by what the tasks so far usually do; empty without a layout.
    """

    layout: Layout | None = None
    drawer: str = "half"
    light: str = "dim"
    held: str | None = None
    plate: dict[str, str | None] = field(default_factory=lambda: dict.fromkeys(BLOCK_COLORS))
    side: dict[str, int] = field(default_factory=lambda: dict.fromkeys(BLOCK_COLORS, 0))
    position: dict[str, np.ndarray] = field(default_factory=dict)

    def __post_init__(self):
        if self.layout is not None:
            self.position = {color: pose[:2].copy() for color, pose in self.layout.blocks.items()}

    def allows(self, task: Task) -> bool:
        """Return whether the task can be begun: its goal isn't reached yet, and there is room."""
        return self._lacks(task) and (self.layout is None or self._has_room(task, self.layout))

    def _lacks(self, task: Task) -> bool:
        if task.skill == "drawer":
            return self.drawer != task.goal
        if task.skill == "light":
            return self.light != task.goal
        if task.skill == "lift":
            return self.held != task.block
        if task.skill == "push":
            return self.held != task.block and self.side[task.moved] != direction(task.goal)
        return task.goal not in self.plate.values()

    def _has_room(self, task: Task, layout: Layout) -> bool:
        if task.skill == "light":
            return True
        if task.skill == "drawer":
            front = np.array([CABINET_POSITION[0] + layout.cabinet_shift, 0.02])
            return task.goal == "open" or self._is_free(front, 0.08, 0.07)
        here = self.position[task.moved]
        if task.skill == "push":
            ahead = np.array([direction(task.goal), 0.0])
            inside = abs((here + PUSHED * ahead)[0]) < 0.29
            return bool(inside) and self._is_free(here + 0.025 * ahead, 0.145, 0.075, task.block)
        free = self._is_free(here, 0.105, 0.055, task.block)
        if task.skill == "lift":
            return free
        plate = layout.plates[task.goal][:2]
        apart = self.held == task.block or np.linalg.norm(here - plate) > 0.06
        return free and bool(apart) and self._is_free(plate, 0.105, 0.075, task.block)

    def _is_free(self, point: np.ndarray, width: float, depth: float, apart_from: str | None = None) -> bool:
        """Whether no other block is within `width` along x and `depth` along y of a point."""
        offsets = [np.abs(position - point) for block, position in self.position.items() if block != apart_from]
        return not any(x < width and y < depth for x, y in offsets)

    def apply(self, task: Task) -> None:
        """Take over what the task, when achieved, changes."""
        self.held = None
        if task.skill == "drawer":
            self.drawer = task.goal
        elif task.skill == "light":
            self.light = task.goal
        elif task.skill == "lift":
            self.held = task.block
        elif task.skill == "push":
            self.plate[task.moved] = None
            self.side[task.moved] += int(direction(task.goal))
            if self.layout is not None:
                self.position[task.moved] = self.position[task.moved] + np.array([PUSHED * direction(task.goal), 0.0])
        else:
            self.plate[task.moved], self.side[task.moved] = task.goal, 0
            if self.layout is not None:
                self.position[task.moved] = self.layout.plates[task.goal][:2].copy()


def scene_layout(seed: int, setting: str = "seen") -> Layout:
    """Return the layout with which `reset(seed=seed)` begins in that setting, without an environment."""
    return sample_layout(seeding.np_random(seed)[0], setting)


def sample_chain(
    rng: np.random.Generator,
    length: int = CHAIN_LENGTH,
    tasks: Sequence[str] = TASKS,
    layout: Layout | None = None,
) -> list[str]:
    """Draw names of tasks that can be done in sequence, each different from the others.

    Args:
        rng: source of randomness.
        length: number of tasks.
        tasks: names to choose from.
        layout: the scene in which the chain will be followed (see `scene_layout`). Without it only facts are checked
            (drawer, light, plates), and blocks that were moved may turn out to be in each other's way.

    Raises:
        ValueError: the tasks don't suffice for a chain of that length.
    """
    for _ in range(200):
        state, chain = SymbolicState(layout), []
        while len(chain) < length:
            possible = [name for name in tasks if name not in chain and state.allows(get_task(name))]
            if not possible:
                break
            name = possible[rng.integers(len(possible))]
            state.apply(get_task(name))
            chain.append(name)
        else:
            return chain
    raise ValueError(f"no chain of {length} different feasible tasks found among {tuple(tasks)}")
