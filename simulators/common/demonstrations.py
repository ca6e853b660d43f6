"""What a demonstration is, and how one is recorded: an expert acts, noise disturbs what is executed."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from .environment import InstructedEnv


@dataclass
class Demonstration:
    """One demonstration of T steps.

    Attributes:
        images: uint8 `(T, size, size, 3)` by camera; frame t was seen before action t.
        state: float32 `(T, state_dim)`.
        actions: float32 `(T, action_dim)`, the expert's own (without noise).
        grounding: float32 `(T, grounding_dim)`, where the task's things are; the simulator names the dimensions.
        instruction: the sentence.
        task: name of the task.
        seed: of the environment's reset.
        success: whether the task was done.
        failed_attempts: demonstrations thrown away before this one because they failed.
    """

    images: dict[str, np.ndarray]
    state: np.ndarray
    actions: np.ndarray
    grounding: np.ndarray
    instruction: str
    task: str
    seed: int
    success: bool
    failed_attempts: int = 0

    def __len__(self) -> int:
        return len(self.actions)

    def steps(self) -> Iterator[dict[str, Any]]:
        """Yield one dict per step: `observation`, `action`, `grounding`, `instruction`."""
        for t in range(len(self)):
            images = {camera: frames[t] for camera, frames in self.images.items()}
            yield {
                "observation": {"images": images, "state": self.state[t]},
                "action": self.actions[t],
                "grounding": self.grounding[t],
                "instruction": self.instruction,
            }


def record_demonstration(
    env: InstructedEnv,
    observation: dict[str, Any],
    info: dict[str, Any],
    seed: int,
    act: Callable[[dict[str, Any]], np.ndarray],
    ground: Callable[[dict[str, Any], dict[str, Any]], np.ndarray],
    disturb: Callable[[np.ndarray], np.ndarray] | None,
) -> Demonstration:
    """Let an expert act until the episode is over, successful or not.

    Args:
        env: in an episode that has begun.
        observation, info: what it said last.
        seed: for the record.
        act: gives the expert's action `(action_dim,)` for an observation.
        ground: gives the grounding `(grounding_dim,)` for an observation and its `info`.
        disturb: what is executed instead of an action.
    """
    observations, actions, groundings = [], [], []
    over = False
    while not over:
        action = act(observation)
        observations.append(observation)
        actions.append(action)
        groundings.append(ground(observation, info))
        observation, _, terminated, truncated, info = env.step(action if disturb is None else disturb(action))
        over = terminated or truncated
    return Demonstration(
        images={
            camera: np.stack([seen["images"][camera] for seen in observations]) for camera in observation["images"]
        },
        state=np.stack([seen["state"] for seen in observations]),
        actions=np.stack(actions),
        grounding=np.stack(groundings),
        instruction=info["instruction"],
        task=info["task"],
        seed=seed,
        success=info["success"],
    )
