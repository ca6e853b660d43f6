"""Shuffling that keeps a bounded frame cache useful."""

import math
from collections.abc import Iterator

import numpy as np
from torch.utils.data import Sampler

from .windows import check_sizes


class EpisodeBlockSampler(Sampler[int]):
    """Every sample once an epoch: shuffled episodes in blocks, shuffled frames inside each block.

    While a block is drawn only its episodes' frames are needed, so each frame is decoded about once although up to
    `window_size` samples hold it. Episodes too long for the dataset's cache are cut into stretches.
    The order depends on seed, epoch, block_episodes, streams and batch_size alone.

    Args:
        dataset: has `stretches()` (LeRobotDataset, CalvinDataset, Mixture).
        seed: seed of the order.
        block_episodes: how many episodes (or stretches) are mixed at a time: more mix better, in shorter
            stretches where the dataset's cache is small.
        streams: number of data loader processes, i.e. max(1, workers) times training processes. Each draws its own
            blocks, so no two decode the same episode.
        batch_size: of one process; with several streams, batches go to the streams in turn, as DataLoader does it.
        rank, world_size: give this process its share only: every world_size-th batch; all get equally many samples
            (the first ones are repeated where that does not come out even). Leave them where accelerate or Trainer
            split the batches themselves.
    """

    def __init__(
        self,
        dataset,
        seed: int = 0,
        block_episodes: int = 4,
        streams: int = 1,
        batch_size: int = 1,
        rank: int = 0,
        world_size: int = 1,
    ):
        check_sizes(block_episodes=block_episodes, streams=streams, batch_size=batch_size, world_size=world_size)
        if not 0 <= rank < world_size:
            raise ValueError(f"rank must be in 0 ... {world_size - 1}, got {rank}")
        self.dataset, self.seed, self.epoch, self.start_batch = dataset, seed, 0, 0
        self.block_episodes, self.streams, self.batch_size = block_episodes, streams, batch_size
        self.rank, self.world_size = rank, world_size
        if hasattr(dataset, "expect_blocks"):
            dataset.expect_blocks(block_episodes)

    def set_epoch(self, epoch: int, start_batch: int = 0) -> None:
        """Chooses the epoch whose order the next iteration gives, also that of a mixture's draw. `start_batch`: go on
        behind so many batches of this process, to resume an interrupted epoch; none of their frames is decoded."""
        self.epoch, self.start_batch = epoch, start_batch
        if hasattr(self.dataset, "set_epoch"):
            self.dataset.set_epoch(epoch)

    def __len__(self) -> int:
        return max(0, self._samples_per_process() - self.start_batch * self.batch_size)

    def _samples_per_process(self) -> int:
        if self.world_size == 1:
            return len(self.dataset)
        return math.ceil(len(self.dataset) / (self.batch_size * self.world_size)) * self.batch_size

    def __iter__(self) -> Iterator[int]:
        order = self._order()
        if self.world_size > 1:
            size = self._samples_per_process() * self.world_size
            order = np.resize(order, size).reshape(-1, self.batch_size)[self.rank :: self.world_size].reshape(-1)
        yield from order[self.start_batch * self.batch_size :].tolist()

    def _order(self) -> np.ndarray:
        """All samples in the order of the epoch."""
        random = np.random.default_rng([self.seed, self.epoch])
        stretches = self.dataset.stretches()
        queues: list[list[range]] = [[] for _ in range(self.streams)]
        sizes = [0] * self.streams
        for position in random.permutation(len(stretches)):  # the next stretch goes to the shortest stream
            shortest = sizes.index(min(sizes))
            queues[shortest].append(stretches[position])
            sizes[shortest] += len(stretches[position])
        orders = [self._shuffled_blocks(queue, random) for queue in queues]
        full = [order[: len(order) - len(order) % self.batch_size] for order in orders]
        batches = [
            order[start : start + self.batch_size]
            for start in range(0, max(map(len, full)), self.batch_size)
            for order in full
        ]
        return np.concatenate(batches + [order[len(whole) :] for order, whole in zip(orders, full, strict=True)])

    def _shuffled_blocks(self, stretches: list[range], random: np.random.Generator) -> np.ndarray:
        blocks = []
        for first in range(0, len(stretches), self.block_episodes):
            block = np.concatenate([np.asarray(part) for part in stretches[first : first + self.block_episodes]])
            blocks.append(random.permutation(block))
        return np.concatenate(blocks) if blocks else np.zeros(0, np.int64)
