"""The tasks: their sentences, when they are feasible, when they are done, and what they are about.

Everything here is a pure function of `SceneState`.
"""

from dataclasses import dataclass, field

import numpy as np

from .scene import BLOCK_COLORS, BLOCK_HALF, DRAWER_TRAVEL, PLATE_COLORS

LIFT_HEIGHT = 0.06
PUSH_DISTANCE = 0.08
OPEN_DRAWER = 0.085
CLOSED_DRAWER = 0.015
PLATE_TOLERANCE = 0.04

SENTENCES: dict[str, tuple[str, ...]] = {
    "lift": (
        "lift the {block} block",
        "pick up the {block} block",
        "raise the {block} block",
        "grab the {block} block and lift it",
        "lift up the {block} block",
        "take the {block} block and pick it up",
    ),
    "push": (
        "push the {block} block to the {goal}",
        "push the {block} block {goal}",
        "slide the {block} block to the {goal}",
        "move the {block} block to the {goal} by pushing it",
        "slide the {block} block {goal}",
        "push the {block} block towards the {goal}",
    ),
    "place": (
        "put the {block} block on the {goal} plate",
        "place the {block} block on the {goal} plate",
        "set the {block} block down on the {goal} plate",
        "pick up the {block} block and put it on the {goal} plate",
        "put the {block} block onto the {goal} plate",
        "move the {block} block onto the {goal} plate",
    ),
    "drawer open": (
        "open the drawer",
        "pull the drawer open",
        "pull open the drawer",
        "pull the handle of the drawer",
        "slide the drawer open",
    ),
    "drawer closed": (
        "close the drawer",
        "push the drawer closed",
        "push the drawer in",
        "shut the drawer",
        "slide the drawer closed",
    ),
    "light on": (
        "turn on the light",
        "switch on the light",
        "turn the light on",
        "press the white button",
        "switch the lamp on",
    ),
    "light off": (
        "turn off the light",
        "switch off the light",
        "turn the light off",
        "press the black button",
        "switch the lamp off",
    ),
}
"""Training sentences by skill (and goal); the first is the canonical one."""

HELD_OUT_SENTENCES: dict[str, tuple[str, ...]] = {
    "lift": ("hoist the {block} cube", "bring the {block} block up off the table", "can you pick the {block} one up?"),
    "push": (
        "shove the {block} cube {goal}",
        "nudge the {block} block over to the {goal} side",
        "the {block} block should go further {goal}, push it",
    ),
    "place": (
        "drop the {block} cube onto the {goal} dish",
        "the {block} block belongs on the {goal} plate",
        "bring the {block} block over to the {goal} plate and let go",
    ),
    "drawer open": ("draw the drawer out", "get the drawer opened up", "tug the drawer towards you"),
    "drawer closed": ("make sure the drawer is shut", "push the drawer all the way back in", "get the drawer closed"),
    "light on": ("make it bright", "activate the lamp", "give me some light, please"),
    "light off": ("make it dark", "deactivate the lamp", "no more light, please"),
}
"""Sentences never used for training (setting "unseen_paraphrases")."""

NOVEL_SENTENCES: dict[str, tuple[str, ...]] = {
    "lift": (
        "hold the {block} block in the air",
        "elevate the {block} block",
        "the {block} block should hover above the table",
    ),
    "push": (
        "shift the {block} block {goal}",
        "sweep the {block} block along the table, {goal}",
        "shuffle the {block} block further to the {goal}",
    ),
    "place": (
        "serve the {block} block on the {goal} plate",
        "let the {block} block rest on the {goal} plate",
        "deliver the {block} block to the {goal} plate",
    ),
    "drawer open": ("extend the drawer", "let me look into the drawer", "give access to what is in the drawer"),
    "drawer closed": ("retract the drawer", "let nobody look into the drawer", "make the drawer flush with its front"),
    "light on": ("illuminate the table", "let there be light", "we want to see something here, light please"),
    "light off": ("extinguish the light", "kill the light", "let the light go out"),
}
"""Sentences with descriptions of the skills that share no verb with training (setting "novel_instructions")."""


@dataclass(frozen=True)
class Task:
    """One thing to do.

    Attributes:
        name: identifier such as `push_red_block_left`.
        skill: "lift", "push", "place", "drawer" or "light".
        block: colour of the block that it moves, or None.
        goal: "left"/"right", a plate's colour, "open"/"closed", "on"/"off", or "".
    """

    name: str
    skill: str
    block: str | None = None
    goal: str = ""

    @property
    def moved(self) -> str:
        """The colour of the block that it moves.

        Raises:
            ValueError: it moves none.
        """
        if self.block is None:
            raise ValueError(f"task {self.name} moves no block")
        return self.block

    def _fill(self, sentences: dict[str, tuple[str, ...]]) -> tuple[str, ...]:
        key = self.skill if self.block else f"{self.skill} {self.goal}"
        return tuple(sentence.format(block=self.block, goal=self.goal) for sentence in sentences[key])

    @property
    def instruction(self) -> str:
        """The canonical sentence."""
        return self.paraphrases[0]

    @property
    def paraphrases(self) -> tuple[str, ...]:
        """Training sentences, the canonical one first."""
        return self._fill(SENTENCES)

    @property
    def held_out_paraphrases(self) -> tuple[str, ...]:
        """Sentences never used for training."""
        return self._fill(HELD_OUT_SENTENCES)

    @property
    def novel_instructions(self) -> tuple[str, ...]:
        """Sentences that share no verb with training."""
        return self._fill(NOVEL_SENTENCES)

    @property
    def sentences(self) -> tuple[str, ...]:
        """All of these."""
        return (*self.paraphrases, *self.held_out_paraphrases, *self.novel_instructions)


def _all_tasks() -> list[Task]:
    tasks = [Task(f"lift_{block}_block", "lift", block) for block in BLOCK_COLORS]
    tasks += [Task(f"push_{b}_block_{side}", "push", b, side) for b in BLOCK_COLORS for side in ("left", "right")]
    tasks += [Task("open_drawer", "drawer", goal="open"), Task("close_drawer", "drawer", goal="closed")]
    tasks += [Task("turn_on_light", "light", goal="on"), Task("turn_off_light", "light", goal="off")]
    tasks += [Task(f"place_{b}_block_on_{p}_plate", "place", b, p) for b in BLOCK_COLORS for p in PLATE_COLORS]
    return tasks


TASK_TABLE: dict[str, Task] = {task.name: task for task in _all_tasks()}
"""All tasks by name."""
TASKS: tuple[str, ...] = tuple(TASK_TABLE)
"""Names of all 19 tasks: lift 3, push 6, drawer 2, light 2, place 6."""
BASE_TASKS: tuple[str, ...] = tuple(name for name, task in TASK_TABLE.items() if task.skill != "place")
"""The 13 tasks that are quickest to learn, over four skills."""
SKILLS: tuple[str, ...] = ("lift", "push", "drawer", "light", "place")

_BY_SENTENCE = {sentence: task.name for task in TASK_TABLE.values() for sentence in task.sentences}


def get_task(name: str) -> Task:
    """Return the task of that name.

    Raises:
        ValueError: there is none.
    """
    if name not in TASK_TABLE:
        raise ValueError(f"unknown task {name!r}; known tasks: {', '.join(TASKS)}")
    return TASK_TABLE[name]


def task_of_instruction(instruction: str) -> str:
    """Return the name of the task that a known sentence asks for.

    Raises:
        ValueError: the sentence is not one of the tasks' paraphrases.
    """
    if instruction not in _BY_SENTENCE:
        raise ValueError(
            f"instruction {instruction!r} is not a sentence of the tabletop tasks; give options['task'] along with it "
            f"(known tasks: {', '.join(TASKS)})"
        )
    return _BY_SENTENCE[instruction]


@dataclass(frozen=True)
class SceneState:
    """What is where, in the table frame (metres, radians).

    Attributes:
        gripper: position between the finger tips (3,).
        rotation: roll, pitch and yaw of the gripper (3,).
        opening: distance between the fingers.
        blocks: centre of each block by colour (3,).
        plates: centre of each plate by colour (3,).
        drawer: how far the drawer is pulled out.
        handle: middle of the drawer handle's bar (3,).
        buttons: middle of the top of each button, "on" and "off" (3,).
        light: "off", "dim" or "on".
    """

    gripper: np.ndarray
    rotation: np.ndarray
    opening: float
    blocks: dict[str, np.ndarray] = field(default_factory=dict)
    plates: dict[str, np.ndarray] = field(default_factory=dict)
    drawer: float = 0.0
    handle: np.ndarray = field(default_factory=lambda: np.zeros(3))
    buttons: dict[str, np.ndarray] = field(default_factory=dict)
    light: str = "dim"


def direction(side: str) -> float:
    """Sign of x for "left" or "right" as the static camera sees it."""
    return -1.0 if side == "left" else 1.0


def _on_plate(state: SceneState, task: Task) -> bool:
    block, plate = state.blocks[task.moved], state.plates[task.goal]
    near = np.linalg.norm(block[:2] - plate[:2]) < PLATE_TOLERANCE
    return bool(near and block[2] < BLOCK_HALF + 0.01)


def is_done(task: Task, state: SceneState, start: SceneState) -> bool:
    """Return whether `task`, begun in `start`, is achieved in `state`. A goal that held at the start already doesn't
    count."""
    if task.skill == "lift":
        return bool(
            state.blocks[task.moved][2] - start.blocks[task.moved][2] > LIFT_HEIGHT and is_held(state, task.moved)
        )
    if task.skill == "push":
        x, _, z = state.blocks[task.moved]
        moved = direction(task.goal) * (x - start.blocks[task.moved][0])
        return bool(moved > PUSH_DISTANCE and 0 < z < BLOCK_HALF + 0.02)
    if task.skill == "place":
        return _on_plate(state, task) and not is_held(state, task.moved) and not _on_plate(start, task)
    if task.skill == "drawer" and task.goal == "open":
        return state.drawer > OPEN_DRAWER >= start.drawer
    if task.skill == "drawer":
        return state.drawer < CLOSED_DRAWER <= start.drawer
    return state.light == task.goal != start.light


def is_feasible(task: Task, state: SceneState) -> bool:
    """Return whether `task` can be begun in `state`."""
    if task.skill == "lift":
        return bool(0 < state.blocks[task.moved][2] < BLOCK_HALF + 0.02)
    if task.skill == "push":
        x, _, z = state.blocks[task.moved]
        return bool(abs(x + direction(task.goal) * (PUSH_DISTANCE + 0.02)) < 0.36 and z > 0)
    if task.skill == "place":
        return bool(not _on_plate(state, task) and state.blocks[task.moved][2] > 0)
    if task.skill == "drawer":
        return state.drawer <= OPEN_DRAWER if task.goal == "open" else state.drawer >= CLOSED_DRAWER
    return state.light != task.goal


def is_held(state: SceneState, block: str) -> bool:
    """Return whether the fingers have the block between them and are closed on it."""
    offset = np.abs(state.blocks[block] - state.gripper)
    return bool(offset[0] < 0.02 and offset[1] < 0.03 and offset[2] < 0.03 and state.opening < 0.075)


GROUNDING_NAMES = tuple(
    f"{thing}_{axis}"
    for thing in ("target", "goal", *(f"{c}_block" for c in BLOCK_COLORS), *(f"{c}_plate" for c in PLATE_COLORS))
    for axis in "xyz"
)
"""What `grounding` holds: where the named thing is now and where it has to get, then where every block and plate is.
To find each thing by its looks alone is what a policy learns first; to find the one that is named builds on it."""
GROUNDING_CENTER = np.array([0.0, 0.0, 0.08])
GROUNDING_SCALE = np.array([0.3, 0.25, 0.08])


def grounding(task: Task, state: SceneState, start: SceneState) -> np.ndarray:
    """Positions float32 of what the instruction names, of its goal and of all things that can be named, about [-1, 1]
    (see `GROUNDING_NAMES`)."""
    if task.skill == "drawer":
        target = state.handle
        pull = (DRAWER_TRAVEL if task.goal == "open" else 0.0) - state.drawer
        goal = target - np.array([0.0, pull, 0.0])
    elif task.skill == "light":
        target = state.buttons[task.goal]
        goal = target
    else:
        target = state.blocks[task.moved]
        if task.skill == "lift":
            goal = start.blocks[task.moved] + [0, 0, LIFT_HEIGHT]
        elif task.skill == "push":
            goal = start.blocks[task.moved] + [direction(task.goal) * PUSH_DISTANCE, 0, 0]
        else:
            goal = state.plates[task.goal] + [0, 0, BLOCK_HALF]
    things = [*(state.blocks[color] for color in BLOCK_COLORS), *(state.plates[color] for color in PLATE_COLORS)]
    points = (np.stack([target, goal, *things]) - GROUNDING_CENTER) / GROUNDING_SCALE
    return points.reshape(-1).astype(np.float32)
