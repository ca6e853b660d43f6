"""LoRA on the backbone, head and action tokens in full: train, save the adapter, load it, merge it.

python examples/train_lora.py --backbone google/paligemma-3b-pt-224 --dataset me/my_demonstrations
"""

from peft import get_peft_model
from stand_ins import parse
from transformers import Trainer

from robovlms import PolicyHeadContinuousVLA, RoboVLMProcessor
from robovlms.data import LeRobotDataset, VLACollator, action_contract
from robovlms.training import load_adapter, lora_config, save_adapter

options, arguments = parse("outputs/example_lora")
dataset = LeRobotDataset(options.dataset, window_size=2, chunk_size=8)
contract = action_contract(dataset, n_action_steps=4)
vla = PolicyHeadContinuousVLA.from_backbone(options.backbone, contract)
processor = RoboVLMProcessor.from_backbone(options.backbone, contract)
model = get_peft_model(vla, lora_config(vla, rank=4))
model.print_trainable_parameters()

Trainer(model, arguments, train_dataset=dataset, data_collator=VLACollator(processor)).train()

save_adapter(model, f"{arguments.output_dir}/adapter")
merged = load_adapter(f"{arguments.output_dir}/adapter").merge_and_unload()
merged.save_pretrained(f"{arguments.output_dir}/policy")
processor.save_pretrained(f"{arguments.output_dir}/policy")
