"""Confidence intervals of success rates."""

from math import sqrt

Z_95 = 1.959963984540054  # the normal quantile of 97.5 %


def wilson_interval(successes: int, episodes: int, z: float = Z_95) -> tuple[float, float]:
    """Wilson score interval of a success rate (95 % unless `z` says otherwise).

    Args:
        successes: successful episodes, between 0 and `episodes`.
        episodes: all episodes. With none, nothing is known and the interval is (0, 1).
        z: normal quantile of the confidence wanted.

    Returns:
        (low, high), both within [0, 1].

    Raises:
        ValueError: `successes` is not between 0 and `episodes`.
    """
    if not 0 <= successes <= episodes:
        raise ValueError(f"successes must lie between 0 and episodes ({episodes}), got {successes}")
    if episodes == 0:
        return 0.0, 1.0
    rate = successes / episodes
    centre = (rate + z * z / (2 * episodes)) / (1 + z * z / episodes)
    half = z / (1 + z * z / episodes) * sqrt(rate * (1 - rate) / episodes + z * z / (4 * episodes * episodes))
    low = 0.0 if successes == 0 else max(0.0, centre - half)
    high = 1.0 if successes == episodes else min(1.0, centre + half)
    return low, high


def difference_interval(first: tuple[int, int], second: tuple[int, int], z: float = Z_95) -> tuple[float, float]:
    """Newcombe's interval of the difference of two independent success rates, second minus first (method 10 of
    Newcombe 1998: from both rates' Wilson intervals).

    Args:
        first, second: (successes, episodes) of each, with at least one episode.
        z: normal quantile of the confidence wanted.

    Returns:
        (low, high), within [-1, 1].
    """
    if min(first[1], second[1]) < 1:
        raise ValueError(f"a difference needs episodes on both sides, got {first[1]} and {second[1]}")
    rates = [successes / episodes for successes, episodes in (first, second)]
    (low_1, high_1), (low_2, high_2) = wilson_interval(*first, z), wilson_interval(*second, z)
    difference = rates[1] - rates[0]
    down = sqrt((rates[1] - low_2) ** 2 + (high_1 - rates[0]) ** 2)
    up = sqrt((high_2 - rates[1]) ** 2 + (rates[0] - low_1) ** 2)
    return difference - down, difference + up
