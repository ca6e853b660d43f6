"""What the numbers of an inspected dataset show of its conventions, with traces of the evidence."""

from itertools import pairwise
from typing import Any

import numpy as np

from .conventions import infer_conventions
from .correlation import pair
from .inspection_findings import Inspection
from .recorded import Recorded

TRACE = 200  # frames drawn


def measure_conventions(found: Inspection, recorded: Recorded) -> None:
    """Adds what `infer_conventions` shows of the episodes whose numbers are all finite, and the traces of its evidence."""
    vectors = [values for values in (recorded.action, recorded.state) if values is not None]
    rows = np.concatenate(vectors, axis=1)
    edges = list(enumerate(pairwise(recorded.episode_starts.tolist())))
    sound = [position for position, (a, b) in edges if b > a and np.isfinite(rows[a:b]).all()]
    if not sound:
        return
    chosen = recorded.choose(sound)
    found.conventions = infer_conventions(chosen)
    longest = chosen.choose([int(np.argmax(np.diff(chosen.episode_starts)))])
    for one in found.conventions["evidence"]["dimensions"]:
        found.traces[one["name"]] = _trace(one, longest)


def _trace(one: dict[str, Any], episode: Recorded) -> list[np.ndarray]:
    """The first frames of a dimension's action, and of what it goes with, `delay` frames later and in its unit."""
    action = episode.action[:TRACE, one["dim"]].astype(np.float64)
    if episode.state is None or one["state"] is None:
        return [action]
    what = "absolute" if abs(one["absolute"]) >= abs(one["difference"]) else "difference"
    what = {"absolute": "absolute", "delta": "difference", "velocity": "difference"}.get(one["reading"], what)
    state = episode.state[:, list(episode.state_names).index(one["state"])][:, None]
    if len(state) <= one["delay"] + 1 or (what == "difference" and one["delay"] < 1):
        return [action]
    _, values = pair(action, state, one["delay"], what)
    values = values[:TRACE, 0] * (one["scale"] if what == "difference" else 1)
    return [action, values]
