"""The numbers of a dataset's episodes as they were recorded, apart from its samples."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np


@dataclass(frozen=True)
class Recorded:
    """What `infer_conventions` takes of a dataset: `action` and `state` (rows, width) of `episodes` (their numbers), which
    begin at rows `episode_starts` (one more than there are episodes); `fps` is nan where nobody says it."""

    episodes: Sequence[int]
    episode_starts: np.ndarray
    action: np.ndarray
    state: np.ndarray | None
    action_names: Sequence[str]
    state_names: Sequence[str]
    fps: float

    @classmethod
    def of(cls, dataset, episodes: Sequence[int] | None = None) -> "Recorded":
        """The rows of a LeRobotDataset, CalvinDataset or RLDSDataset without its transform, `episodes` being their numbers;
        by default they (CALVIN: unbroken stretches) are counted from 0."""
        dataset = dataset if getattr(dataset, "transform", None) is None else dataset.as_recorded()
        starts, state = dataset.episode_starts, dataset.state
        names, state_names = list(dataset.action_names), [] if state is None else list(dataset.state_names)
        numbers = range(len(starts) - 1) if episodes is None else episodes
        return cls(numbers, starts, dataset.action, state, names, state_names, float(dataset.fps))

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

    def thin_out(self, frames: int) -> "Recorded":
        """Episodes evenly chosen that have about `frames` frames, all where there are no more; none without rows."""
        filled = np.flatnonzero(np.diff(self.episode_starts))
        few = max(1, len(filled) * frames // max(len(self.action), frames))
        if few == len(self.episodes):
            return self
        return self.choose(filled[np.linspace(0, len(filled) - 1, few).astype(int)].tolist())

    def __iter__(self) -> Iterator[tuple[np.ndarray, np.ndarray | None]]:
        """(actions, states or None) of each episode."""
        for start, end in pairwise(self.episode_starts.tolist()):
            yield self.action[start:end], None if self.state is None else self.state[start:end]
