"""A policy without learning, whose score tells whether an installation of CALVIN is right."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from .instructions import INSTRUCTIONS
from .interface import POSITION_SCALE

Waypoint = tuple[float, float, float]

TRAVEL_HEIGHT = 0.58
"""z at which the hand moves from one thing to another (metres)."""
GAIN, PACE, TOLERANCE = 0.4, 0.6, 0.012
PATIENCE = 60
"""Actions after which a waypoint that can't be reached is given up."""

_PRESS: tuple[Waypoint, ...] = ((-0.12, -0.122, 0.54), (-0.12, -0.122, 0.465), (-0.12, -0.122, 0.54))
WAYPOINTS: dict[str, tuple[Waypoint, ...]] = {
    "open_drawer": ((0.18, -0.246, 0.5), (0.18, -0.246, 0.37), (0.18, -0.44, 0.37)),
    "close_drawer": ((0.18, -0.56, 0.52), (0.18, -0.56, 0.38), (0.18, -0.24, 0.38)),
    "move_slider_left": ((0.10, -0.2, 0.56), (0.10, -0.02, 0.54), (0.08, -0.02, 0.53), (-0.22, -0.02, 0.53)),
    "move_slider_right": ((-0.27, -0.2, 0.56), (-0.27, -0.02, 0.54), (-0.25, -0.02, 0.53), (0.06, -0.02, 0.53)),
    "turn_on_led": _PRESS,
    "turn_off_led": _PRESS,
    "turn_on_lightbulb": ((0.3, -0.1, 0.5), (0.3, 0.0, 0.475), (0.3, 0.02, 0.55), (0.3, 0.07, 0.62)),
}
"""Task -> where the tool centre point goes in scene D, in turn (metres). The gripper is closed except for `open_drawer`."""
_TASK_OF = {INSTRUCTIONS[task]: task for task in WAYPOINTS}


class ReferencePolicy:
    """Works the doors and lights of scene D by fixed waypoints, blind to blocks; it stands still for any other instruction."""

    def __init__(self):
        self._plans: dict[int, _Plan] = {}

    def reset(self, rows: Sequence[int] | None = None) -> None:
        """Forget what some rows (all by default) were doing."""
        for row in list(self._plans) if rows is None else rows:
            self._plans.pop(row, None)

    def select_action(
        self, observation: Sequence[dict[str, Any]], instruction: Sequence[str], rows: Sequence[int]
    ) -> np.ndarray:
        """Relative actions (N, 7)."""
        actions = []
        for seen, told, row in zip(observation, instruction, rows, strict=True):
            if row not in self._plans:
                self._plans[row] = _Plan(_TASK_OF.get(told), seen["state"][:3])
            actions.append(self._plans[row].act(seen["state"][:3]))
        return np.stack(actions)


class _Plan:
    """The waypoints that are still to be visited."""

    def __init__(self, task: str | None, position: np.ndarray):
        self.gripper = 1.0 if task == "open_drawer" else -1.0
        self.waypoints: list[np.ndarray] = []
        self.waited = 0
        if task is not None:
            x, y, _ = WAYPOINTS[task][0]
            detour = ((*position[:2], TRAVEL_HEIGHT), (position[0], -0.25, TRAVEL_HEIGHT), (x, y, TRAVEL_HEIGHT))
            self.waypoints = [np.array(waypoint) for waypoint in (*detour, *WAYPOINTS[task])]

    def act(self, position: np.ndarray) -> np.ndarray:
        """Return one action towards the next waypoint."""
        if not self.waypoints:
            return np.array([0, 0, 0, 0, 0, 0, self.gripper])
        offset = self.waypoints[0] - position
        self.waited += 1
        if np.linalg.norm(offset) < TOLERANCE or self.waited > PATIENCE:
            self.waypoints.pop(0)
            self.waited = 0
        step = GAIN * offset / POSITION_SCALE
        step *= min(1.0, PACE / max(np.abs(step).max(), 1e-9))
        return np.array([*step, 0, 0, 0, self.gripper])
