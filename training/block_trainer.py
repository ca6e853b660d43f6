"""`transformers.Trainer` over more decoded frames than memory holds."""

from torch.utils.data import Sampler
from transformers import Trainer

from ..data import EpisodeBlockSampler


class BlockTrainer(Trainer):
    """Draws samples in blocks of episodes, so that each frame is decoded about once, not once per window.

    Datasets whose frames all fit in their cache are shuffled as a whole, as `Trainer` does it, and where arguments ask for
    another order it is that. The order of blocks depends on the
    seed, the epoch and the number of processes and workers, each of which draws blocks of its own.
    """

    block_order: tuple[int, int] | None = None
    """Streams and batch size that order the blocks, of a run that began with others; else they are this run's."""

    def _get_train_sampler(self, train_dataset=None) -> Sampler | None:
        dataset = self.train_dataset if train_dataset is None else train_dataset
        if getattr(dataset, "fits_in_cache", True) or self.args.train_sampling_strategy != "random":
            return super()._get_train_sampler(train_dataset)
        seed = self.args.seed if self.args.data_seed is None else self.args.data_seed
        streams, batch_size = self.block_order or (
            self.args.world_size * max(1, self.args.dataloader_num_workers),
            self._train_batch_size,
        )
        return EpisodeBlockSampler(dataset, seed, streams=streams, batch_size=batch_size)
