"""The scripted expert: for every task one action as a function of the present state, without memory."""

import numpy as np

from .interface import POSITION_SCALE, ROTATION_SCALE
from .scene import BLOCK_HALF
from .tasks import SceneState, Task, direction, is_held

TRAVEL_HEIGHT = 0.13
CLEAR_HEIGHT = 0.09
GRASP_HEIGHT = BLOCK_HALF
UP = np.array([0.0, 0.0, 1.0])
BACK = np.array([0.0, 1.0, 0.0])


def expert_action(env) -> np.ndarray:
    """Return the expert's action (7,) float32 in [-1, 1] for the present state and task of a tabletop environment."""
    env = env.unwrapped
    return expert_policy(env.task, env.scene_state)


class Expert:
    """The expert with the interface of a policy, bound to one environment."""

    def __init__(self, env):
        self.env = env

    def reset(self) -> None:
        """Begin an episode; nothing to forget."""

    def select_action(self, observation=None, instruction: str | None = None) -> np.ndarray:
        """Return the expert's action (7,) float32; the arguments are ignored, the environment's own state is used."""
        return expert_action(self.env)


def expert_policy(task: Task, state: SceneState) -> np.ndarray:
    """Return the expert's action (7,) float32 for `task` in `state`."""
    wanted = task.block if task.skill in ("lift", "place") else None
    if any(_between_fingers(state, block) for block in state.blocks if block != wanted):
        return _action(state, state.gripper + 0.05 * UP, close=False)
    return _SKILLS[task.skill](task, state)


def _between_fingers(state: SceneState, block: str) -> bool:
    x, y, z = np.abs(state.blocks[block] - state.gripper)
    return bool(x < 0.025 and y < 0.03 and z < 0.045)


def _action(state: SceneState, target: np.ndarray, close: bool) -> np.ndarray:
    """Move in a straight line to `target` and back to the upright rotation."""
    move = (target - state.gripper) / POSITION_SCALE
    move /= max(1.0, np.abs(move).max())
    turn = -state.rotation / ROTATION_SCALE
    turn /= max(1.0, np.abs(turn).max())
    return np.concatenate([move, turn, [-1.0 if close else 1.0]]).astype(np.float32)


def _funnel(state: SceneState, point: np.ndarray, tolerance: float = 0.008, slope: float = 3.0) -> np.ndarray:
    """Target on the way to `point` from above: the higher, the farther it still is sideways; from below, first up."""
    distance = np.linalg.norm(state.gripper[:2] - point[:2])
    height = min(point[2] + slope * max(0.0, distance - tolerance), max(TRAVEL_HEIGHT, point[2]))
    if height - state.gripper[2] > 0.03:
        return np.array([*state.gripper[:2], height])
    return np.array([*point[:2], height])


def _grasp(state: SceneState, block: np.ndarray) -> np.ndarray:
    """Approach a block with open fingers and close them on it; low, they don't open, for they might hit something."""
    point = np.array([block[0], block[1], GRASP_HEIGHT])
    if state.opening < 0.05 and state.gripper[2] < CLEAR_HEIGHT:
        return _action(state, state.gripper + 0.05 * UP, close=True)
    ready = np.linalg.norm(state.gripper[:2] - block[:2]) < 0.012 and state.gripper[2] < GRASP_HEIGHT + 0.01
    return _action(state, _funnel(state, point), close=bool(ready))


def _gripped(state: SceneState, block: str) -> bool:
    return is_held(state, block) and state.opening < 2 * BLOCK_HALF + 0.008


def _lift(task: Task, state: SceneState) -> np.ndarray:
    if _gripped(state, task.moved):
        return _action(state, state.gripper + 0.05 * UP, close=True)
    return _grasp(state, state.blocks[task.moved])


def _place(task: Task, state: SceneState) -> np.ndarray:
    block, plate = state.blocks[task.moved], state.plates[task.goal]
    over_plate = np.linalg.norm(block[:2] - plate[:2])
    if over_plate < 0.02 and block[2] < BLOCK_HALF + 0.008:
        return _action(state, state.gripper, close=False)
    if not _gripped(state, task.moved):
        return _grasp(state, block)
    goal = plate + BLOCK_HALF * UP + state.gripper - block
    return _action(state, _funnel(state, goal, tolerance=0.01), close=True)


def _push(task: Task, state: SceneState) -> np.ndarray:
    block, side = state.blocks[task.moved], direction(task.goal)
    behind = side * (block[0] - state.gripper[0])
    beside = abs(block[1] - state.gripper[1])
    low = state.gripper[2] < GRASP_HEIGHT + 0.02
    if low and beside < 0.015 and 0.03 < behind < 0.075:
        return _action(state, np.array([state.gripper[0] + side * 0.05, block[1], GRASP_HEIGHT]), close=True)
    return _action(state, _funnel(state, np.array([block[0] - side * 0.06, block[1], GRASP_HEIGHT])), close=True)


def _drawer(task: Task, state: SceneState) -> np.ndarray:
    side = 1.0 if task.goal == "open" else -1.0
    handle = state.handle
    behind = side * (state.gripper[1] - handle[1])
    low = state.gripper[2] < handle[2] + 0.015
    if low and 0.01 < behind < 0.06 and abs(state.gripper[0] - handle[0]) < 0.04:
        return _action(state, np.array([handle[0], state.gripper[1] - side * 0.05, handle[2]]), close=True)
    return _action(state, _funnel(state, handle + (0.027 if side > 0 else -0.035) * BACK), close=True)


def _light(task: Task, state: SceneState) -> np.ndarray:
    button = state.buttons[task.goal]
    return _action(state, _funnel(state, button, tolerance=0.012), close=True)


_SKILLS = {"lift": _lift, "place": _place, "push": _push, "drawer": _drawer, "light": _light}
