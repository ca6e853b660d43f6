"""The base of all simulators' environments: what is checked, how a step goes, and when an episode is over."""

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces


class InstructedEnv(gymnasium.Env[dict[str, Any], np.ndarray]):
    """An environment whose episodes ask for one task, in words. It terminates with reward 1 when the task is done.

    A simulator adds `reset`, which ends with `_begin`, and the methods below without a body.

    Attributes:
        max_steps: actions after which an episode is truncated; never if None.

    Args:
        render_mode: "rgb_array" or None.

    Raises:
        ValueError: another render mode.
    """

    max_steps: int | None = None

    def __init__(self, render_mode: str | None = None):
        check_choice("render_mode", render_mode, (None, "rgb_array"))
        self.render_mode = render_mode
        self._steps = 0
        self._over = True

    @abstractmethod
    def observe(self) -> dict[str, Any]:
        """Return the present observation, without stepping."""

    @abstractmethod
    def _act(self, action: np.ndarray) -> bool:
        """Execute one action, float64 `(action_dim,)` and finite; return whether the task is done."""

    @abstractmethod
    def _info(self, success: bool) -> dict[str, Any]:
        """What `info` holds."""

    def step(self, action: np.ndarray) -> tuple[dict[str, Any], float, bool, bool, dict[str, Any]]:
        """Execute one action `(action_dim,)`; the class says in which units and for how long.

        Raises:
            ValueError: the action's shape is not that of the action space, or it isn't finite.
            RuntimeError: the episode is over, or none has begun.
        """
        if self._over:
            raise RuntimeError("the episode is over (or none has begun); call reset() before step()")
        action = check_array("action", action, self.action_space.shape)
        self._steps += 1
        success = self._act(action)
        truncated = not success and self.max_steps is not None and self._steps >= self.max_steps
        self._over = success or truncated
        return self.observe(), float(success), success, truncated, self._info(success)

    def _begin(self) -> None:
        """Count steps from now."""
        self._steps, self._over = 0, False


def check_choice(name: str, value: Any, known: Sequence[Any]) -> Any:
    """Return the value.

    Raises:
        ValueError: it is not one of `known`.
    """
    if value not in known:
        raise ValueError(f"{name} must be one of {', '.join(map(repr, known))}, got {value!r}")
    return value


def check_sizes(**sizes: int | None) -> None:
    """Raise ValueError for a size below 1; None is any."""
    for name, value in sizes.items():
        if value is not None and value < 1:
            raise ValueError(f"{name} must be at least 1, got {value}")


def check_array(name: str, value: Any, shape: tuple[int, ...] | None) -> np.ndarray:
    """Return the value as float64.

    Raises:
        ValueError: it has another shape, or isn't finite.
    """
    array = np.asarray(value, dtype=np.float64)
    if array.shape != shape:
        raise ValueError(f"{name} must have shape {shape}, got {array.shape}")
    if not np.isfinite(array).all():
        raise ValueError(f"{name} must be finite, got {array}")
    return array


def read_options(options: dict[str, Any] | None, *known: str) -> dict[str, Any]:
    """Return the options of a reset by name, None for those that aren't given.

    Raises:
        ValueError: an unknown option.
    """
    if unknown := sorted(set(options or {}) - set(known)):
        raise ValueError(f"unknown reset options {unknown}; known: {', '.join(known)}")
    return dict.fromkeys(known) | (options or {})


def image_space(cameras: dict[str, tuple[int, int]]) -> dict[str, spaces.Space]:
    """Build the part "images" of an observation space, from camera -> (height, width); nothing without cameras."""
    images: dict[str, spaces.Space] = {
        name: spaces.Box(0, 255, (height, width, 3), np.uint8) for name, (height, width) in cameras.items()
    }
    return {"images": spaces.Dict(images)} if images else {}
