"""How numbers of actions go with numbers of states, some frames later."""

import numpy as np

MAX_DELAY = 15  # frames


def pair(action: np.ndarray, state: np.ndarray, delay: int, what: str) -> tuple[np.ndarray, np.ndarray]:
    """Return an action (rows,) and what the state (rows, width) is, or has changed by, `delay` frames later."""
    state = np.asarray(state, np.float64)
    values = state[delay:] if what == "absolute" else np.diff(state, axis=0)[delay - 1 :]
    return action[: len(values)].astype(np.float64), values


def correlate(one: np.ndarray, many: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Correlate `one` (rows,) with each column of `many` (rows, width); also the factor from that column to `one`."""
    one, many = one - one.mean(), many - many.mean(0)
    product, size = one @ many, (many**2).sum(0)
    norm = np.sqrt((one**2).sum() * size)
    safe = norm > 1e-12
    return np.where(safe, product / np.where(safe, norm, 1), 0), np.where(safe, product / np.where(safe, size, 1), 0)
