"""Run by `accelerate launch`: transformers' Trainer on demonstrations, on CPUs. Arguments: folders of the
backbone, the demonstrations and the run."""

import sys

from transformers import Trainer, TrainingArguments

from robovlms import PolicyHeadContinuousVLA, RoboVLMProcessor
from robovlms.data import LeRobotDataset, VLACollator, action_contract

backbone, demonstrations, run = sys.argv[1:]
dataset = LeRobotDataset(demonstrations, window_size=2, chunk_size=2)
contract = action_contract(dataset)
processor = RoboVLMProcessor.from_backbone(backbone, contract)
vla = PolicyHeadContinuousVLA.from_backbone(backbone, contract)
trainer = Trainer(vla, TrainingArguments(run, use_cpu=True), VLACollator(processor), train_dataset=dataset)
trainer.train()
trainer.save_model()
processor.save_pretrained(run)
print(
    f"process {trainer.args.process_index} of {trainer.args.world_size}: step {trainer.state.global_step}", flush=True
)
