"""A policy without learning, whose score tells whether an installation of LIBERO is right."""

import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from .interface import ACTION_NAMES, CLOSED, OPEN

ABOVE, GRASP, DROP = 0.14, 0.0, 0.22
"""Height over a thing before it is grasped, at which it is grasped, and over the basket at which it is let go (m)."""
GAIN, NEAR = 8.0, 0.012
CLOSING = 12
"""Actions that the gripper gets to close or to open."""


class ReferencePolicy:
    """Puts the thing that the instruction names into the basket, by the privileged positions of `libero_object`.

    It turns nothing: what is too wide for the gripper as it lies is not grasped.
    """

    def __init__(self):
        self._stages: dict[int, tuple[int, int]] = {}

    def reset(self, rows: Sequence[int] | None = None) -> None:
        """Forget what some rows (all by default) were doing."""
        for row in list(self._stages) if rows is None else rows:
            self._stages.pop(row, None)

    def select_action(
        self, observation: list[dict[str, Any]], instruction: list[str], rows: Sequence[int]
    ) -> np.ndarray:
        """Actions (N, 7)."""
        return np.stack([self._act(*each) for each in zip(rows, observation, instruction, strict=True)])

    def _act(self, row: int, observation: dict[str, Any], instruction: str) -> np.ndarray:
        stage, waited = self._stages.get(row, (0, 0))
        things, hand = observation["privileged"], observation["state"][:3]
        thing, basket = things[f"{named(instruction)}_1"], things["basket_1"]
        height = thing[2] + GRASP
        goals = (
            (np.array([*thing[:2], height + ABOVE]), OPEN, False),
            (np.array([*thing[:2], height]), OPEN, False),
            (np.array([*hand[:2], height]), CLOSED, True),
            (np.array([*hand[:2], basket[2] + DROP]), CLOSED, False),
            (np.array([*basket[:2], basket[2] + DROP]), CLOSED, False),
            (np.array([*basket[:2], basket[2] + DROP]), OPEN, True),
        )
        goal, gripper, waits = goals[min(stage, len(goals) - 1)]
        error = goal - hand
        over = waited >= CLOSING if waits else np.linalg.norm(error) < NEAR or waited > 60
        self._stages[row] = (stage + 1, 0) if over else (stage, waited + 1)
        action = np.zeros(len(ACTION_NAMES), dtype=np.float32)
        action[:3] = 0.0 if waits else np.clip(GAIN * error, -1.0, 1.0)
        action[-1] = gripper
        return action


def named(instruction: str) -> str:
    """Return what is to be put into the basket, as the simulator names it."""
    found = re.match(r"pick up the (.+) and place it in the basket$", instruction)
    if found is None:
        raise ValueError(f"instruction: the reference policy does libero_object alone, got {instruction!r}")
    return found[1].replace(" ", "_")
