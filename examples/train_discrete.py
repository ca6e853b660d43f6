"""Actions as tokens of the language model's own vocabulary, with a plain Trainer.

python examples/train_discrete.py --backbone google/paligemma-3b-pt-224 --dataset me/my_demonstrations
"""

from stand_ins import parse
from transformers import Trainer

from robovlms import OneStepDiscreteVLA, Policy, RoboVLMProcessor
from robovlms.data import LeRobotDataset, VLACollator, action_contract
from robovlms.serving import random_observation

options, arguments = parse("outputs/example_discrete")
dataset = LeRobotDataset(options.dataset, window_size=1, chunk_size=4)
contract = action_contract(dataset, use_state=False)
processor = RoboVLMProcessor.from_backbone(options.backbone, contract, action_bins=256)
vla = OneStepDiscreteVLA.from_backbone(options.backbone, contract, **processor.model_fields)

Trainer(vla, arguments, train_dataset=dataset, data_collator=VLACollator(processor)).train()

print("action:", Policy(vla, processor).select_action(random_observation(contract), "push the block").round(3))
