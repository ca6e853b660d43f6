"""An iterable dataset, split between processes: each one reads its own episodes.

With `dispatch_batches=False` accelerate gives every process its share of the stream's shards; don't split the stream
yourself as well (`split_dataset_by_node`), or each process drops half of its share.

torchrun --nproc_per_node 2 examples/streaming.py
"""

from datasets import IterableDataset
from stand_ins import parse
from transformers import Trainer

from robovlms import OneStepContinuousVLA, RoboVLMProcessor
from robovlms.data import LeRobotDataset, VLACollator, action_contract


def windows(folder: str, episodes: list[int]):
    """Every window of some episodes; `datasets` calls it with a share of the list per shard."""
    samples = LeRobotDataset(folder, window_size=1, chunk_size=8, episodes=episodes)
    yield from (samples[index] for index in range(len(samples)))


options, arguments = parse("outputs/example_streaming", dispatch_batches=False)
whole = LeRobotDataset(options.dataset, window_size=1, chunk_size=8)
contract = action_contract(whole)
episodes = list(range(whole.num_episodes))
stream = IterableDataset.from_generator(windows, gen_kwargs={"folder": options.dataset, "episodes": episodes})
vla = OneStepContinuousVLA.from_backbone(options.backbone, contract)
processor = RoboVLMProcessor.from_backbone(options.backbone, contract)

Trainer(vla, arguments, train_dataset=stream, data_collator=VLACollator(processor)).train()
