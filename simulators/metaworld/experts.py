"""Meta-World's scripted experts as a policy for the rollout engine."""

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np

from .environment import TASKS
from .package import expert_class


class MetaWorldExpert:
    """Plays each task's scripted expert. It needs environments with `privileged=True`, and no images or words."""

    def reset(self, rows: Sequence[int] | None = None) -> None:
        """Begin episodes; the experts are functions of the present state, so there is nothing to forget."""

    def select_action(
        self, observation: Sequence[Mapping[str, Any]], instruction: Sequence[str], rows: Sequence[int]
    ) -> np.ndarray:
        """Return the experts' actions, float32 (N, 4).

        Raises:
            ValueError: the observations say nothing privileged.
        """
        return np.stack([expert_action(seen) for seen in observation])


def expert_action(observation: Mapping[str, Any]) -> np.ndarray:
    """Return the action, float32 (4,) in [-1, 1], of the scripted expert for one observation of a privileged
    environment.

    Raises:
        ValueError: the observation says nothing privileged.
    """
    if "privileged" not in observation:
        raise ValueError(
            "observation: the scripted experts need 'privileged'; build the environment with privileged=True"
        )
    privileged = observation["privileged"]
    action = _expert(TASKS[privileged["task"]]).get_action(privileged["state"])
    return np.clip(action, -1.0, 1.0).astype(np.float32)


@cache
def _expert(task: str) -> Any:
    return expert_class(task)()
