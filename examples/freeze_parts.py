"""Train head, action tokens and the language model's last layer; leave the rest of the backbone as it is.

python examples/freeze_parts.py --backbone Qwen/Qwen2-VL-2B-Instruct --dataset me/my_demonstrations
"""

from stand_ins import parse
from transformers import Trainer

from robovlms import OneStepContinuousVLA, RoboVLMProcessor
from robovlms.data import LeRobotDataset, VLACollator, action_contract
from robovlms.training import freeze

options, arguments = parse("outputs/example_frozen")
dataset = LeRobotDataset(options.dataset, window_size=1, chunk_size=8)
contract = action_contract(dataset)
vla = OneStepContinuousVLA.from_backbone(options.backbone, contract)
processor = RoboVLMProcessor.from_backbone(options.backbone, contract)
left = freeze(vla, vision_tower=True, language_model=True, train_last_layers=1)
print(f"{left:,} of {vla.num_parameters():,} parameters are trained")

Trainer(vla, arguments, train_dataset=dataset, data_collator=VLACollator(processor)).train()
