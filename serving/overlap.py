"""How firmly a new chunk must join the running one: the soft mask of real-time chunking."""

from dataclasses import dataclass

import numpy as np


@dataclass
class RunningChunk:
    """A chunk under execution, as the next one sees it.

    Args:
        actions: what is left of it from the new chunk's first step on, in the robot's units, `(steps, action_dim)`.
        delay: how many of these will have been executed before the new chunk arrives.
    """

    actions: np.ndarray
    delay: int

    def __post_init__(self):
        self.actions = np.asarray(self.actions, dtype=np.float32)
        if self.actions.ndim != 2:
            raise ValueError(f"running chunk: actions must be (steps, action_dim), got shape {self.actions.shape}.")
        if not 0 <= self.delay <= len(self.actions):
            raise ValueError(
                f"running chunk: delay = {self.delay} is not between 0 and its {len(self.actions)} steps."
            )


def overlap_weights(chunk_size: int, known: int, delay: int) -> np.ndarray:
    """Weights `(chunk_size,)`: 1 for the first `delay` steps, which are executed in any case, falling exponentially
    to 0 at step `known`, where the running chunk ends (equation 5 of Black et al. 2025)."""
    steps = np.arange(chunk_size)
    remaining = np.clip((known - steps) / (known - delay + 1), 0.0, 1.0)
    weights = remaining * np.expm1(remaining) / np.expm1(1.0)
    return np.where(steps < delay, 1.0, np.where(steps < known, weights, 0.0)).astype(np.float32)
