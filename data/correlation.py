"""How numbers of actions go with numbers of states, some frames later."""

import re
from collections.abc import Sequence

import numpy as np

MAX_DELAY = 15  # frames
SUMMED = 8  # frames over which a rate is summed: noise of poses counts less than in their differences
FOLLOWS = 0.8  # correlation from which on such a sum is the way that another dimension went
RATES = {"vel", "velocity", "velocities", "qvel", "speed"}  # in names


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


def find_rates(states: Sequence[np.ndarray], names: Sequence[str]) -> list[int]:
    """Dimensions of the state, of episodes (rows, width), that say how fast it changes, and not where the robot is: velocities,
    or the last action where actions are displacements. By name, or where their sums go with the way of another dimension."""
    named = {dim for dim, name in enumerate(names) if RATES & set(re.split(r"[^a-z]+", name.lower()))}
    states = [np.asarray(state, np.float64) for state in states if len(state) > SUMMED]
    if not names or not states:
        return sorted(named)
    totals = [np.cumsum(state, axis=0) for state in states]
    sums = np.concatenate([total[SUMMED:] - total[:-SUMMED] for total in totals])
    ways = np.concatenate([state[SUMMED:] - state[:-SUMMED] for state in states])
    for dim in range(len(names)):
        correlation = np.abs(correlate(sums[:, dim], ways)[0])
        correlation[dim] = 0
        if correlation.max() >= FOLLOWS:
            named.add(dim)
    return sorted(named)
