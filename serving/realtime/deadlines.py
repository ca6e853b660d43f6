"""What a controller does at a control step for which it has no action."""

from typing import Literal

import numpy as np

from ...configuration.action_contract import ActionContract

OnMiss = Literal["hold", "repeat", "stop"]
"""hold: stay where the robot is. repeat: the last action again. stop: raise `DeadlineMissed`."""


class DeadlineMissed(RuntimeError):
    """The next chunk did not arrive in time, and the controller was told to stop then."""


def holding_action(contract: ActionContract, last: np.ndarray) -> np.ndarray:
    """Return the action that keeps the robot where it is: no displacement or velocity, or the last target again where
    actions are absolute. Grippers, declared or so called, stay as they are.

    Raises:
        ValueError: the contract's mode is unknown.
    """
    contract.require_known("mode", purpose="holding still")
    if contract.mode == "absolute":
        return last.copy()
    held = np.zeros_like(last)
    grippers = {
        *contract.gripper_dims,
        *(dim for dim, name in enumerate(contract.action.names) if "gripper" in name.lower()),
    }
    held[list(grippers)] = last[list(grippers)]
    return held
