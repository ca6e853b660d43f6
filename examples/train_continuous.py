"""A policy head over a window of observations, with a plain Trainer.

python examples/train_continuous.py --backbone Qwen/Qwen2-VL-2B-Instruct --dataset me/my_demonstrations
"""

from stand_ins import parse
from transformers import Trainer

from robovlms import LSTMHeadConfig, PolicyHeadContinuousVLA, RoboVLMProcessor
from robovlms.data import LeRobotDataset, VLACollator, action_contract
from robovlms.training import last_complete_checkpoint, monitor

options, arguments = parse("outputs/example_continuous")
dataset = LeRobotDataset(options.dataset, window_size=4, chunk_size=8)
contract = action_contract(dataset, n_action_steps=4)
vla = PolicyHeadContinuousVLA.from_backbone(options.backbone, contract, head_config=LSTMHeadConfig(num_layers=2))
processor = RoboVLMProcessor.from_backbone(options.backbone, contract)

trainer = Trainer(vla, arguments, train_dataset=dataset, data_collator=VLACollator(processor))
monitor(trainer, contract.action.names)  # optional: loss parts, action errors, frames/s, report.html
trainer.train(resume_from_checkpoint=last_complete_checkpoint(arguments.output_dir, arguments.world_size))

if trainer.is_world_process_zero():
    vla.save_pretrained(f"{arguments.output_dir}/policy")
    processor.save_pretrained(f"{arguments.output_dir}/policy")
