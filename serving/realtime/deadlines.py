"""What a controller does at a control step for which it has no action."""

from typing import Literal

import numpy as np

from ...configuration.action_contract import ActionContract

OnMiss = Literal["hold", "repeat", "stop"]
"""hold: stay where the robot is. repeat: the last action again. stop: raise `DeadlineMissed`."""


class DeadlineMissed(RuntimeError):
    """The next chunk did not arrive in time, and the controller was told to stop then."""


def holding_action(contract: ActionContract, last: np.ndarray) -> np.ndarray:
    """The action that keeps the robot where it is: no displacement, or the last target again where actions are absolute.
    Grippers stay as they are."""
    if contract.mode == "absolute":
        return last.copy()
    held = np.zeros_like(last)
    grippers = list(contract.gripper_dims)
    held[grippers] = last[grippers]
    return held
