"""What the on/off dimensions of recorded actions mean, and where nothing moves."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from .correlation import MAX_DELAY, correlate, pair

FOLLOWS = 0.6  # correlation from which on a dimension of the state is the gripper's
METRES = (0.01, 0.2)  # of fingers that open
SHOWN_STRETCHES = 5


def find_gripper(dim: int, names: list[str], state_names: list[str], episodes) -> dict[str, Any]:
    """Describe an on/off dimension: its values, which dimension of the state follows it, which value opens (if told)."""
    all_values = np.concatenate([action[:, dim] for action, _ in episodes])
    values = [float(all_values.min()), float(all_values.max())]
    starts = float(np.mean([action[0, dim] == values[1] for action, _ in episodes]))
    result: dict[str, Any] = {"dim": dim, "name": names[dim], "values": values, "starts_at": starts}
    result |= {"state_dim": None, "correlation": None, "open_value": None, "why": "no state follows it"}
    best = 0.0
    for delay in range(MAX_DELAY + 1) if state_names else ():
        pairs = [pair(action[:, dim], state, delay, "absolute") for action, state in episodes if len(action) > delay]
        if pairs:
            correlation, _ = correlate(*(np.concatenate(part) for part in zip(*pairs, strict=True)))
            state = int(np.argmax(np.abs(correlation)))
            if abs(correlation[state]) > abs(best):
                best = float(correlation[state])
                result |= {"state_dim": state, "correlation": best}
    if abs(best) < FOLLOWS:
        return result
    followed = np.concatenate([state[:, result["state_dim"]] for _, state in episodes])
    name: str = state_names[int(result["state_dim"])]
    grows = _opens(name, followed)
    larger = f"state {name!r} goes with it ({best:.2f})"
    if grows is None:
        return result | {"why": f"{larger}; whether that is an opening is not told"}
    opens = values[1] if grows == (best > 0) else values[0]
    what = "an opening" if grows else "a closing"
    return result | {"open_value": opens, "why": f"{larger}, which is {what}: {opens:g} opens"}


def _opens(name: str, values: np.ndarray) -> bool | None:
    """Whether a dimension of the state grows as the gripper opens: by its name, or as the metres between fingers."""
    lower = name.lower()
    if any(part in lower for part in ("clos", "grasp")):
        return False
    if any(part in lower for part in ("open", "width", "aperture")):
        return True
    is_gripper = "grip" in lower or "finger" in lower
    return True if is_gripper and values.min() > -0.005 and METRES[0] < values.max() < METRES[1] else None


def find_idle(episodes, mode: str, on_off: Sequence[int]) -> tuple[float, list[dict[str, int]]]:
    """(share of frames, longest stretches) in which the action asks for no motion."""
    stretches, idle, count = [], 0, 0
    for number, (action, _) in enumerate(episodes):
        if len(action) < 2:
            continue
        still = np.all(np.diff(action, axis=0) == 0, axis=1)
        if mode in ("delta", "velocity"):
            moving = [dim for dim in range(action.shape[1]) if dim not in on_off]
            still = np.all(np.abs(action[1:, moving]) < 1e-6, axis=1) & np.all(
                np.diff(action[:, list(on_off)], axis=0) == 0, axis=1
            )
        idle, count = idle + int(still.sum()), count + len(still)
        edges = np.flatnonzero(np.diff(np.concatenate([[False], still, [False]]).astype(int)))
        for first, end in edges.reshape(-1, 2).tolist():
            stretches.append({"episode": number, "frame": first, "frames": end - first + 1})
    stretches.sort(key=lambda one: -one["frames"])
    return idle / count if count else 0.0, stretches[:SHOWN_STRETCHES]
