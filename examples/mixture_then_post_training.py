"""Pre-training over two embodiments, each with its contract, then fine-tuning from that checkpoint for a new robot.

python examples/mixture_then_post_training.py
"""

from dataclasses import replace

from stand_ins import parse
from transformers import Trainer

from robovlms import PolicyHeadContinuousVLA, RoboVLMProcessor
from robovlms.data import LeRobotDataset, Mixture, VLACollator, action_contract
from robovlms.training import start_from

options, arguments = parse("outputs/example_mixture")
robots = [LeRobotDataset(options.dataset, 2, 8, embodiment=name) for name in ("arm_a", "arm_b")]
contracts = {robot.embodiment: action_contract(robot) for robot in robots}
processor = RoboVLMProcessor.from_backbone(options.backbone, contracts)
vla = PolicyHeadContinuousVLA.from_backbone(options.backbone, contracts["arm_a"])
mixture = Mixture(robots, weights=[2, 1])
Trainer(vla, arguments, train_dataset=mixture, data_collator=VLACollator(processor)).train()
vla.save_pretrained(f"{arguments.output_dir}/pretrained")
processor.save_pretrained(f"{arguments.output_dir}/pretrained")

new_robot = LeRobotDataset(options.dataset, window_size=2, chunk_size=4, embodiment="new_arm")
vla, processor, anew = start_from(f"{arguments.output_dir}/pretrained", action_contract(new_robot, use_state=False))
print("start anew under the new contract:", ", ".join(anew) or "nothing")
second = replace(arguments, output_dir=f"{arguments.output_dir}/post_training", learning_rate=2e-5)
Trainer(vla, second, train_dataset=new_robot, data_collator=VLACollator(processor)).train()
