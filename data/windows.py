"""Which rows of an episode a window sample holds: observed frames, chunk labels and their masks."""

from collections import UserDict
from collections.abc import Sequence
from typing import Any

import numpy as np


class WindowSample(UserDict[str, Any]):
    """One sample of a dataset, with the keys of `LeRobotDataset`. It is no `dict`, from which `transformers.Trainer` would
    take everything that the model's forward does not name, images included (`remove_unused_columns`)."""


def window_rows(
    frame: int, length: int, window_size: int, chunk_size: int, history_stride: int = 1, repeat: bool = False
):
    """Rows of the window that ends at `frame` of an episode of `length` frames.

    Returns (frames, frame_mask, steps, action_mask): frames (window,) and steps (window, chunk) are rows inside the
    episode, clamped to its edges; the boolean masks are False where a row was clamped. Labels of a padded frame are
    masked, too: `action_mask[w]` is all False where `frame_mask[w]` is. `repeat` counts repeated first frames as real.
    """
    wanted = frame - history_stride * np.arange(window_size - 1, -1, -1)
    frame_mask = (wanted >= 0) | repeat
    frames = np.maximum(wanted, 0)
    steps = frames[:, None] + np.arange(chunk_size)
    action_mask = (steps < length) & frame_mask[:, None]
    return frames, frame_mask, np.minimum(steps, length - 1), action_mask


def check_sizes(**sizes: int) -> None:
    """Raises ValueError where one of the named sizes is not a positive whole number."""
    for name, value in sizes.items():
        if isinstance(value, bool) or not isinstance(value, (int, np.integer)):
            raise ValueError(f"{name} must be a whole number, got {value!r}")
        if value < 1:
            raise ValueError(f"{name} must be at least 1, got {value}")


def check_positive(**numbers: float) -> None:
    """Raises ValueError where one of the named numbers is none, or is not positive."""
    for name, value in numbers.items():
        if isinstance(value, bool) or not isinstance(value, (int, float, np.number)) or not value > 0:
            raise ValueError(f"{name} must be a positive number, got {value!r}")


def check_distinct(**names: Sequence[str] | None) -> None:
    """Raises ValueError where one of the named lists of names is none, or has a name twice."""
    for name, value in names.items():
        if isinstance(value, str):
            raise ValueError(f"{name} must be a list of names, got {value!r}")
        if twice := sorted({one for one in value or () if list(value or ()).count(one) > 1}):
            raise ValueError(f"{name} has {twice} more than once: {list(value or ())}")
