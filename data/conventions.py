"""What a dataset's actions mean, measured: do they lead the state there, or by how much it changes, and how late."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from tqdm import tqdm

from ..configuration.action_contract import UNKNOWN
from .conventions_grippers import find_gripper, find_idle
from .conventions_rotation import find_rotations
from .correlation import MAX_DELAY, correlate, find_rates, pair
from .recorded import Recorded

TRACKS, CHANGES, APART = 0.95, 0.8, 0.1
"""Correlations from which on an action follows the state, or its differences (noisier, as robots do not reach all of a
commanded displacement), and by how much the other reading must be worse."""
FEW = 30  # rows; fewer show nothing
MOST_FRAMES = 50_000  # measured; of larger datasets as many episodes, evenly chosen


def infer_conventions(dataset) -> dict[str, Any]:
    """Return what can be told from the recorded numbers of a LeRobotDataset, CalvinDataset, RLDSDataset or of `Recorded`;
    what can't is "unknown". It is measured on at most about 50,000 frames, of evenly chosen episodes.

    Returns:
        mode: "absolute" where actions are states that the robot reaches later, "delta" where they are in proportion to
            the state's differences, "velocity" where they are these differences times the frequency, else "unknown".
        rotation: how the action's rotation is written, as in an `ActionContract`, or "matrix" (nine numbers), "quaternion" or
            "euler" where their order can't be told; "none" where names of joints say so, else "unknown".
        grippers: the dimensions with two values, each {"dim", "name", "values", "starts_at" (the share of episodes that begin
            at the larger one), "state_dim", "correlation" (of the state's dimension that follows it best, or None),
            "open_value" (where that dimension is known to be an opening, or a closing, else None), "why"}.
        delay: frames from an action to the state that it leads to (the median of its dimensions), None where unknown.
        idle: share of frames in which the action asks for no motion: it stays what it was (of deltas: it is 0).
        evidence: {"dimensions": [{"name", "dim", "reading", "state", "delay", "absolute", "difference", "scale"}], "frames",
            "episodes", "rotations", "state_rotations" (see `find_rotations`), "idle_stretches": the longest,
            [{"episode" (place in the dataset), "frame", "frames"}]}: the best correlations of each dimension with states
            and with their differences.
    """
    recorded = (dataset if isinstance(dataset, Recorded) else Recorded.of(dataset)).thin_out(MOST_FRAMES)
    episodes, starts, names = list(recorded), recorded.episode_starts, list(recorded.action_names)
    state_names = list(recorded.state_names)
    actions = recorded.action.astype(np.float64)
    on_off = [dim for dim in range(actions.shape[1]) if _is_on_off(actions[:, dim])]
    rates = find_rates([state for _, state in episodes if state is not None], state_names)
    readings = [
        _read(dim, names, state_names, episodes, rates) if dim not in on_off and np.ptp(actions[:, dim]) > 0 else None
        for dim in tqdm(range(len(names)), desc="measuring conventions", unit="dimension", delay=2)
    ]
    found = [reading for reading in readings if reading is not None]
    mode, delay = _verdict(found, recorded.fps)
    driven = {one["dim"]: one["state"] for one in found if one["reading"] != UNKNOWN}
    told = [f"{name} {driven.get(dim) or ''}" for dim, name in enumerate(names)]
    rotations, state_rotations = find_rotations(actions, told, starts, mode), []
    if recorded.state is not None:
        state_rotations = find_rotations(recorded.state.astype(np.float64), state_names, starts, "absolute")
    idle, stretches = find_idle(episodes, mode, on_off)
    for stretch in stretches:
        stretch["episode"] = int(recorded.episodes[stretch["episode"]])
    return {
        "mode": mode,
        "rotation": _rotation(names, rotations, state_rotations if mode == "absolute" else []),
        "grippers": [find_gripper(dim, names, state_names, episodes) for dim in on_off],
        "delay": delay,
        "idle": idle,
        "evidence": {
            "dimensions": found,
            "frames": len(actions),
            "episodes": len(episodes),
            "rotations": rotations,
            "state_rotations": state_rotations,
            "idle_stretches": stretches,
        },
    }


def describe(found: dict[str, Any]) -> str:
    """Return the evidence for the mode, in a sentence."""
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


def _read(
    dim: int, names: Sequence[str], state_names: Sequence[str], episodes, rates: Sequence[int]
) -> dict[str, Any]:
    """How one dimension of the action goes with the state's dimensions and with their differences. A dimension of `rates`,
    how fast another one changes, is no pose that an action could name."""
    result: dict[str, Any] = {"name": names[dim], "dim": dim, "reading": UNKNOWN, "state": None, "delay": None}
    result |= {"absolute": 0.0, "difference": 0.0, "scale": None}
    best: dict[str, tuple[float, int, int, float]] = {}
    if not state_names:
        return result
    for what in ("absolute", "difference"):
        for delay in range(0 if what == "absolute" else 1, MAX_DELAY + 1):
            pairs = [pair(action[:, dim], state, delay, what) for action, state in episodes if len(action) > delay]
            if not pairs:
                break
            one, many = np.concatenate([a for a, _ in pairs]), np.concatenate([b for _, b in pairs])
            if len(one) < FEW:
                break
            correlation, scale = correlate(one, many)
            correlation[list(rates)] = 0
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


def _is_on_off(values: np.ndarray) -> bool:
    """Whether all but a few rows, on the way from one to the other, hold one of two values."""
    low, high = values.min(), values.max()
    if high - low < 1e-3 * max(1.0, abs(high)):  # noise
        return False
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


def _rotation(names: Sequence[str], found: list[dict[str, Any]], of_state: list[dict[str, Any]]) -> str:
    """The one way in which all rotations of the action are written, or the state's, where it says more of the same."""
    if found:
        kinds = {one["kind"] for one in found}
        if kinds == {"quaternion"}:  # absolute ones follow the state's, in its order
            ordered = {one["kind"] for one in of_state if one["kind"].startswith("quaternion_")}
            kinds = ordered if len(ordered) == 1 else kinds
        return kinds.pop() if len(kinds) == 1 else UNKNOWN
    said = " ".join(names).lower()
    if not any(part in said for part in ("joint", "shoulder", "elbow")):  # a hand's or wrist's may be a pose
        return UNKNOWN
    joints = ("joint", "shoulder", "elbow", "wrist", "hand", "finger", "gripper", "waist", "hip", "knee", "ankle")
    return "none" if all(any(part in name.lower() for part in joints) for name in names) else UNKNOWN
