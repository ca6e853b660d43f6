"""What a dataset's actions mean, measured: do they lead the state there, or by how much it changes, and how late."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from ..configuration.action_contract import UNKNOWN

MAX_DELAY = 15  # frames
TRACKS, CHANGES, APART = 0.95, 0.8, 0.15
"""Correlations from which on an action follows the state, or its differences (noisier, as robots do not reach all of a
commanded displacement), and by how much the other reading must be worse."""
FEW = 30  # rows; fewer show nothing


def infer_conventions(dataset) -> dict[str, Any]:
    """What can be told from the recorded numbers of a LeRobotDataset, CalvinDataset or RLDSDataset; what can't is "unknown".

    Returns:
        mode: "absolute" where actions are states that the robot reaches later, "delta" where they are in proportion to
            the state's differences, "velocity" where they are these differences times the frequency, else "unknown".
        rotation: "rot6d" or "none" where the numbers or the names of joints say so, else "unknown".
        grippers: the dimensions with two values, each {"dim", "name", "values", "starts_at" (the share of episodes that begin
            at the larger one), "state_dim", "correlation" (of the state's dimension that follows it best, or None)}.
        delay: frames from an action to the state that it leads to (the median of its dimensions), None where unknown.
        idle: share of frames in which no action dimension changes from the frame before.
        evidence: {"dimensions": [{"name", "reading", "state", "delay", "absolute", "difference", "scale"}], "frames",
            "episodes"}: the best correlations of each dimension with states and with their differences.
    """
    episodes = recordings(dataset)
    names, state_names = list(dataset.action_names), list(dataset.state_names) if episodes[0][1] is not None else []
    actions = np.concatenate([action for action, _ in episodes]).astype(np.float64)
    on_off = [dim for dim in range(actions.shape[1]) if _is_on_off(actions[:, dim])]
    readings = [
        _read(dim, names, state_names, episodes) if dim not in on_off and np.ptp(actions[:, dim]) > 0 else None
        for dim in range(len(names))
    ]
    found = [reading for reading in readings if reading is not None]
    mode, delay = _verdict(found, float(dataset.fps))
    still = [np.all(np.diff(action, axis=0) == 0, axis=1) for action, _ in episodes if len(action) > 1]
    return {
        "mode": mode,
        "rotation": _rotation(names, actions),
        "grippers": [_gripper(dim, names, state_names, episodes) for dim in on_off],
        "delay": delay,
        "idle": float(np.concatenate(still).mean()) if still else 0.0,
        "evidence": {"dimensions": found, "frames": len(actions), "episodes": len(episodes)},
    }


def recordings(dataset) -> list[tuple[np.ndarray, np.ndarray | None]]:
    """(actions, states or None) of each episode, or unbroken stretch, as recorded: without the dataset's transform."""
    dataset = dataset if getattr(dataset, "transform", None) is None else dataset.as_recorded()
    edges, states = dataset.episode_starts, dataset.state
    rows = (slice(int(start), int(end)) for start, end in pairwise(edges))
    return [(dataset.action[row], None if states is None else states[row]) for row in rows]


def describe(found: dict[str, Any]) -> str:
    """The evidence for the mode, in a sentence."""
    dims = [one for one in found["evidence"]["dimensions"] if one["reading"] == found["mode"]]
    what = "absolute" if found["mode"] == "absolute" else "difference"
    if not dims:
        return "the data don't tell the mode"
    weakest = min(abs(one[what]) for one in dims)
    follows = "states" if what == "absolute" else "differences of states"
    return (
        f"mode {found['mode']!r} measured: {len(dims)} of {len(found['evidence']['dimensions'])} moving dimensions follow "
        f"{follows} (correlation at least {weakest:.3f}), {found['delay']} frames later"
    )


def _read(dim: int, names: Sequence[str], state_names: Sequence[str], episodes) -> dict[str, Any]:
    """How one dimension of the action goes with the state's dimensions and with their differences."""
    result: dict[str, Any] = {"name": names[dim], "reading": UNKNOWN, "state": None, "delay": None}
    result |= {"absolute": 0.0, "difference": 0.0, "scale": None}
    best: dict[str, tuple[float, int, int, float]] = {}
    if not state_names:
        return result
    for what in ("absolute", "difference"):
        for delay in range(0 if what == "absolute" else 1, MAX_DELAY + 1):
            pairs = [_pair(action[:, dim], state, delay, what) for action, state in episodes if len(action) > delay]
            if not pairs:
                break
            one, many = np.concatenate([a for a, _ in pairs]), np.concatenate([b for _, b in pairs])
            if len(one) < FEW:
                break
            correlation, scale = _correlations(one, many)
            state = int(np.argmax(np.abs(correlation)))
            if what not in best or abs(correlation[state]) > abs(best[what][0]):
                best[what] = float(correlation[state]), state, delay, float(scale[state])
    if not best:
        return result
    (absolute, *_), (difference, *_) = (best.get(what, (0.0,)) for what in ("absolute", "difference"))
    reading = UNKNOWN
    if absolute >= TRACKS and absolute > abs(difference) + APART and 0.8 < best["absolute"][3] < 1.25:
        reading = "absolute"
    elif difference >= CHANGES and difference > abs(absolute) + APART:
        reading = "delta"
    _, state, delay, scale = best["difference" if reading == "delta" else "absolute"]
    result |= {"reading": reading, "state": state_names[state], "delay": delay, "scale": scale}
    return result | {"absolute": absolute, "difference": difference}


def _pair(action: np.ndarray, state: np.ndarray, delay: int, what: str) -> tuple[np.ndarray, np.ndarray]:
    """An action (rows,) and what the state (rows, width) is, or has changed by, `delay` frames later."""
    state = np.asarray(state, np.float64)
    values = state[delay:] if what == "absolute" else np.diff(state, axis=0)[delay - 1 :]
    return action[: len(values)].astype(np.float64), values


def _correlations(one: np.ndarray, many: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of `one` (rows,) with each column of `many` (rows, width), and the factor from that column to `one`."""
    one, many = one - one.mean(), many - many.mean(0)
    product, size = one @ many, (many**2).sum(0)
    norm = np.sqrt((one**2).sum() * size)
    safe = norm > 1e-12
    return np.where(safe, product / np.where(safe, norm, 1), 0), np.where(safe, product / np.where(safe, size, 1), 0)


def _is_on_off(values: np.ndarray) -> bool:
    """Whether all but a few rows, on the way from one to the other, hold one of two values."""
    low, high = values.min(), values.max()
    between = (values > low + 0.01 * (high - low)) & (values < high - 0.01 * (high - low))
    return bool(high > low and between.mean() < 0.05)


def _verdict(found: Sequence[dict[str, Any]], fps: float) -> tuple[str, int | None]:
    """The mode that dimensions show and none contradicts (two of them, or the only one), and its delay."""
    readings = {one["reading"] for one in found} - {UNKNOWN}
    told = [one for one in found if one["reading"] != UNKNOWN]
    if len(readings) != 1 or len(told) < min(2, len(found)):
        return UNKNOWN, None
    mode = readings.pop()
    if mode == "delta" and all(0.95 < one["scale"] / fps < 1.05 for one in told):
        mode = "velocity"
        for one in told:
            one["reading"] = mode
    return mode, int(np.median([one["delay"] for one in told]))


def _rotation(names: Sequence[str], actions: np.ndarray) -> str:
    for start in range(actions.shape[1] - 5):
        first, second = actions[:, start : start + 3], actions[:, start + 3 : start + 6]
        lengths = np.concatenate([np.linalg.norm(first, axis=1), np.linalg.norm(second, axis=1)])
        if np.abs(lengths - 1).max() < 1e-3 and np.abs((first * second).sum(1)).max() < 1e-3:
            return "rot6d"
    said = " ".join(names).lower()
    if not any(part in said for part in ("joint", "shoulder", "elbow")):  # a hand's or wrist's may be a pose
        return UNKNOWN
    joints = ("joint", "shoulder", "elbow", "wrist", "hand", "finger", "gripper", "waist", "hip", "knee", "ankle")
    return "none" if all(any(part in name.lower() for part in joints) for name in names) else UNKNOWN


def _gripper(dim: int, names: Sequence[str], state_names: Sequence[str], episodes) -> dict[str, Any]:
    all_values = np.concatenate([action[:, dim] for action, _ in episodes])
    values = [float(all_values.min()), float(all_values.max())]
    starts = float(np.mean([action[0, dim] == values[1] for action, _ in episodes]))
    result = {"dim": dim, "name": names[dim], "values": values, "starts_at": starts}
    result |= {"state_dim": None, "correlation": None}
    best = 0.0
    for delay in range(MAX_DELAY + 1) if state_names else ():
        pairs = [_pair(action[:, dim], state, delay, "absolute") for action, state in episodes if len(action) > delay]
        if pairs:
            correlation, _ = _correlations(*(np.concatenate(part) for part in zip(*pairs, strict=True)))
            state = int(np.argmax(np.abs(correlation)))
            if abs(correlation[state]) > abs(best):
                best = float(correlation[state])
                result |= {"state_dim": state, "correlation": best}
    return result
