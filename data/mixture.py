"""Several datasets as one, in given proportions."""

import copy
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset

from .statistics import statistics_by_embodiment
from .windows import WindowSample


class Mixture(Dataset):
    """A map-style dataset whose epoch draws from several datasets in proportion to `weights`.

    Each epoch has `samples_per_epoch` samples; dataset d gives `samples_per_epoch * weight_d` of them: whole passes
    over it, and for the rest samples drawn without repetition. The draw depends on seed and epoch only, and is shared
    with data loader workers, also persistent ones. Any sampler can shuffle it; `EpisodeBlockSampler` keeps each
    dataset's decoded frames useful.

    Args:
        datasets: LeRobotDataset, CalvinDataset, ...; each brings its own embodiment and transform.
        weights: "frames" (every sample equally often), "episodes" (in proportion to the number of episodes), or one
            positive number per dataset.
        samples_per_epoch: the sum of the datasets' lengths by default.
        seed: of the draw.

    Example:
        datasets = [LeRobotDataset(name) for name in ("me/demonstrations", "me/corrections")]
        mixture = Mixture(datasets, weights=[1, 3])  # three of four samples are corrections
        sampler = EpisodeBlockSampler(mixture, seed=0)
        loader = DataLoader(mixture, batch_size=8, sampler=sampler, collate_fn=VLACollator(processor))
    """

    def __init__(
        self,
        datasets: Sequence[Any],
        weights: str | Sequence[float] = "frames",
        samples_per_epoch: int | None = None,
        seed: int = 0,
    ):
        if not datasets:
            raise ValueError("a mixture needs datasets")
        self.datasets, self.seed = list(datasets), seed
        self.lengths = [len(dataset) for dataset in self.datasets]
        self.weights = self._normalised(weights)
        self._starts = np.concatenate([[0], np.cumsum(self.lengths)])
        total = sum(self.lengths) if samples_per_epoch is None else samples_per_epoch
        if total < 1:
            raise ValueError(f"samples_per_epoch must be at least 1, got {samples_per_epoch}")
        self._shares = _shares(self.weights, total)
        self._plan = torch.zeros(total, dtype=torch.int64).share_memory_()
        self.set_epoch(0)

    def set_epoch(self, epoch: int) -> None:
        """Draws the samples of an epoch; workers see the new draw at once."""
        self.epoch = epoch
        parts = []
        for number, (share, length) in enumerate(zip(self._shares, self.lengths, strict=True)):
            random = np.random.default_rng([self.seed, epoch, number])
            passes, rest = divmod(share, length)
            counts = np.full(length, passes)
            counts[random.permutation(length)[:rest]] += 1
            parts.append(self._starts[number] + np.repeat(np.arange(length), counts))
        self._plan.copy_(torch.from_numpy(np.concatenate(parts)))
        for dataset in self.datasets:
            if hasattr(dataset, "set_epoch"):  # the draws of its augmentation
                dataset.set_epoch(epoch)

    def __len__(self) -> int:
        return len(self._plan)

    def __getitem__(self, index: int) -> WindowSample:
        number, inside = self.locate(index)
        return self.datasets[number][inside]

    def locate(self, index: int) -> tuple[int, int]:
        """(which dataset, which of its samples) sample `index` of the present epoch is."""
        if not -len(self) <= index < len(self):
            raise IndexError(f"sample {index} of a mixture of {len(self)}")
        place = int(self._plan[index])
        number = int(np.searchsorted(self._starts, place, side="right") - 1)
        return number, place - int(self._starts[number])

    @property
    def fits_in_cache(self) -> bool:
        """Whether a process can keep the decoded frames of all datasets."""
        return all(dataset.fits_in_cache for dataset in self.datasets)

    def expect_blocks(self, block_episodes: int | None) -> None:
        """Passes it on to the datasets."""
        for dataset in self.datasets:
            if hasattr(dataset, "expect_blocks"):
                dataset.expect_blocks(block_episodes)

    def stretches(self) -> list[range]:
        """Sample indices that share a stretch of one of the datasets (see EpisodeBlockSampler)."""
        stops = []
        for start, dataset in zip(self._starts[:-1].tolist(), self.datasets, strict=True):
            stops += [start + stretch.stop for stretch in dataset.stretches()]
        edges = [0, *np.searchsorted(self._plan.numpy(), stops).tolist()]
        return [range(a, b) for a, b in pairwise(edges) if b > a]

    def statistics(self, **options) -> dict[str, dict[str, dict]]:
        """{embodiment: {"action": ..., "state": ...}} over all rows of the datasets, whatever the weights."""
        return statistics_by_embodiment(self, **options)

    def as_recorded(self) -> "Mixture":
        """Return the mixture of the same datasets without their transforms, with the actions as recorded."""
        recorded = copy.copy(self)
        recorded.datasets = [
            part.as_recorded() if getattr(part, "transform", None) else part for part in self.datasets
        ]
        return recorded

    def _normalised(self, weights: str | Sequence[float]) -> list[float]:
        if weights == "frames":
            weights = self.lengths
        elif weights == "episodes":
            weights = [dataset.num_episodes for dataset in self.datasets]
        elif isinstance(weights, str):
            raise ValueError(f"weights must be 'frames', 'episodes' or numbers, got {weights!r}")
        if len(weights) != len(self.datasets) or not all(np.isfinite(w) and w > 0 for w in weights):
            raise ValueError(f"weights must be {len(self.datasets)} positive numbers, got {list(weights)}")
        return [weight / sum(weights) for weight in weights]


def _shares(weights: Sequence[float], total: int) -> list[int]:
    """Whole numbers in proportion to the weights that add up to `total` (largest remainders get the rest)."""
    exact = np.asarray(weights) * total
    shares = np.floor(exact).astype(int)
    shares[np.argsort(shares - exact, kind="stable")[: total - shares.sum()]] += 1
    return shares.tolist()
