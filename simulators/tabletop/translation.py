"""The tabletop with fewer actions, for experiments that must be quick."""

import gymnasium
import numpy as np
from gymnasium import spaces

from .environment import TabletopEnv


class TranslationOnly(gymnasium.ActionWrapper):
    """The gripper moves and stays closed and upright: actions are `delta_x, delta_y, delta_z`, float32 (3,) in [-1, 1],
    times 2 cm. Enough for the drawer, the light and pushing."""

    def __init__(self, env: gymnasium.Env):
        super().__init__(env)
        self.action_space = spaces.Box(-1.0, 1.0, (3,), np.float32)

    def action(self, action: np.ndarray) -> np.ndarray:
        return np.concatenate([action, [0.0, 0.0, 0.0, -1.0]]).astype(np.float32)


def translation_env(image_size: int = 32) -> gymnasium.Env:
    """Return a tabletop for `EnvironmentPool` (`functools.partial` sets the size); the rollout engine counts the
    steps."""
    return TranslationOnly(TabletopEnv(image_size=image_size, render_size=image_size, max_steps=1_000_000))
