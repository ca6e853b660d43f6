"""Numbers of a dataset's episodes for an inspection: what they suffer from, and what they show of the conventions."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np

from .conventions import infer_conventions
from .correlation import pair
from .inspection_findings import Inspection

MOST_FRAMES = 50_000  # measured; of larger datasets as many episodes, evenly chosen
TRACE = 200  # frames drawn


@dataclass(frozen=True)
class Recorded:
    """What `infer_conventions` takes of a dataset: `action` and `state` (rows, width) of `episodes`, which begin at rows
    `episode_starts` (one more than there are episodes); `fps` is nan where nobody says it."""

    episodes: Sequence[int]
    episode_starts: np.ndarray
    action: np.ndarray
    state: np.ndarray | None
    action_names: Sequence[str]
    state_names: Sequence[str]
    fps: float

    def choose(self, positions: Sequence[int]) -> "Recorded":
        """The episodes at these positions alone."""
        edges = [(int(self.episode_starts[i]), int(self.episode_starts[i + 1])) for i in positions]
        rows = np.concatenate([np.arange(*edge) for edge in edges]) if edges else np.zeros(0, int)
        return replace(
            self,
            episodes=[self.episodes[i] for i in positions],
            episode_starts=np.concatenate([[0], np.cumsum([b - a for a, b in edges])]).astype(int),
            action=self.action[rows],
            state=None if self.state is None else self.state[rows],
        )


def measure_conventions(found: Inspection, recorded: Recorded) -> None:
    """Adds what `infer_conventions` shows of the episodes whose numbers are all finite, and the traces of its evidence."""
    vectors = [values for values in (recorded.action, recorded.state) if values is not None]
    rows = np.concatenate(vectors, axis=1)
    edges = list(enumerate(pairwise(recorded.episode_starts.tolist())))
    sound = [position for position, (a, b) in edges if b > a and np.isfinite(rows[a:b]).all()]
    frames = sum(int(recorded.episode_starts[i + 1] - recorded.episode_starts[i]) for i in sound)
    if not sound:
        return
    few = max(1, len(sound) * MOST_FRAMES // max(frames, MOST_FRAMES))
    chosen = recorded.choose([sound[i] for i in np.linspace(0, len(sound) - 1, few).astype(int)])
    found.conventions = infer_conventions(chosen)
    for stretch in found.conventions["evidence"]["idle_stretches"]:
        stretch["episode"] = int(chosen.episodes[stretch["episode"]])
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
