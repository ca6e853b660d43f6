"""Shuffling that keeps a bounded frame cache useful."""

from collections.abc import Iterator

import numpy as np
from torch.utils.data import Sampler

from .windows import check_sizes


class EpisodeBlockSampler(Sampler[int]):
    """Every sample once an epoch: shuffled episodes in blocks, shuffled frames inside each block.

    While a block is drawn only its episodes' frames are needed, so each frame is decoded once although up to
    `window_size` samples hold it. Episodes too long for the dataset's cache are cut into stretches.
    The order depends on seed, epoch, block_episodes, streams and batch_size alone.

    Args:
        dataset: has `stretches()` (LeRobotDataset, CalvinDataset, ...).
        seed: seed of the order.
        block_episodes: how many episodes (or stretches) are mixed at a time: more mix better and need more cache.
        streams: number of data loader processes, i.e. max(1, workers) times training processes. Each draws its own
            blocks, so no two decode the same episode.
        batch_size: of one process; with several streams, batches go to the streams in turn, as DataLoader does it.
    """

    def __init__(self, dataset, seed: int = 0, block_episodes: int = 4, streams: int = 1, batch_size: int = 1):
        check_sizes(block_episodes=block_episodes, streams=streams, batch_size=batch_size)
        self._stretches: list[range] = dataset.stretches()
        self.seed, self.epoch = seed, 0
        self.block_episodes, self.streams, self.batch_size = block_episodes, streams, batch_size

    def set_epoch(self, epoch: int) -> None:
        """Chooses the epoch whose order the next iteration gives."""
        self.epoch = epoch

    def __len__(self) -> int:
        return sum(map(len, self._stretches))

    def __iter__(self) -> Iterator[int]:
        random = np.random.default_rng([self.seed, self.epoch])
        queues: list[list[range]] = [[] for _ in range(self.streams)]
        sizes = [0] * self.streams
        for position in random.permutation(len(self._stretches)):  # next stretch to the shortest stream
            stretch, shortest = self._stretches[position], sizes.index(min(sizes))
            queues[shortest].append(stretch)
            sizes[shortest] += len(stretch)
        orders = [self._shuffled_blocks(queue, random) for queue in queues]
        full = [order[: len(order) - len(order) % self.batch_size] for order in orders]
        for start in range(0, max(map(len, full)), self.batch_size):
            for order in full:
                yield from order[start : start + self.batch_size].tolist()
        for order, whole in zip(orders, full, strict=True):
            yield from order[len(whole) :].tolist()

    def _shuffled_blocks(self, stretches: list[range], random: np.random.Generator) -> np.ndarray:
        blocks = []
        for first in range(0, len(stretches), self.block_episodes):
            block = np.concatenate([np.asarray(part) for part in stretches[first : first + self.block_episodes]])
            blocks.append(random.permutation(block))
        return np.concatenate(blocks) if blocks else np.zeros(0, np.int64)
