"""Which weights move: a tiny Qwen2-VL, published in bfloat16, fine-tuned at 2e-5 in several precisions.

    python benchmarks/precision.py --steps 200        # bitsandbytes and torchao where they are installed

Prints for each the share of trained weights that moved at all (of those that ever had a gradient), the mean loss of the
last steps, and the GiB that weights, gradients and AdamW take for a backbone of 3 billion.
"""

import argparse
import importlib.util
import tempfile
from pathlib import Path

import torch
from peft import get_peft_model
from transformers import AutoModelForImageTextToText, TrainingArguments, set_seed

from robovlms import LSTMHeadConfig, PolicyHeadContinuousVLA, RoboVLMProcessor
from robovlms.data import LeRobotDataset, VLACollator, action_contract
from robovlms.testing import tiny_backbone, write_demonstrations
from robovlms.training import VLATrainer, lora_config

STOCHASTIC = {"optim": "adamw_torch_8bit", "optim_args": "bf16_stochastic_round=True"}
VARIANTS = {
    # name: (dtype, options of TrainingArguments, adapters?, bytes of 3 billion parameters, the package it needs)
    "bfloat16 weights, AdamW": ("bfloat16", {}, False, 8, None),
    "float32 weights, AdamW": ("float32", {}, False, 16, None),
    "float32 weights, AdamW, bf16=True": ("float32", {"bf16": True}, False, 16, None),
    "float32 weights, adamw_8bit, bf16=True": ("float32", {"bf16": True, "optim": "adamw_8bit"}, False, 10, "bitsandbytes"),
    "float32 weights, paged_adamw_8bit, bf16=True": (
        "float32", {"bf16": True, "optim": "paged_adamw_8bit"}, False, 8, "bitsandbytes"
    ),
    "bfloat16 weights, stochastic rounding": ("bfloat16", STOCHASTIC, False, 6, "torchao"),
    "bfloat16 frozen, LoRA": ("bfloat16", {"bf16": True, "learning_rate": 2e-4}, True, 2, None),
}  # fmt: skip


def write_bfloat16_backbone(folder: Path) -> Path:
    """A tiny Qwen2-VL as large ones are published: in bfloat16."""
    tiny_backbone("qwen2_vl", folder)
    AutoModelForImageTextToText.from_pretrained(folder, dtype=torch.bfloat16).save_pretrained(folder)
    return folder


def train(backbone: Path, demonstrations: Path, output: Path, steps: int, dtype: str, options: dict, adapters: bool):
    """(share of the trained weights that moved, mean loss of the last tenth of the steps)."""
    set_seed(0)
    dataset = LeRobotDataset(demonstrations, window_size=2, chunk_size=4)
    contract = action_contract(dataset, n_action_steps=2)
    processor = RoboVLMProcessor.from_backbone(str(backbone), contract)
    head = LSTMHeadConfig(hidden_size=32, num_layers=1, decoder_sizes=())
    model = PolicyHeadContinuousVLA.from_backbone(str(backbone), contract, dtype=dtype, head_config=head)
    if adapters:
        model = get_peft_model(model, lora_config(model, rank=4))
    arguments = TrainingArguments(
        str(output), **({"learning_rate": 2e-5} | options), max_steps=steps, per_device_train_batch_size=4,
        logging_steps=1, save_strategy="no", report_to="none", disable_tqdm=True, remove_unused_columns=False, use_cpu=True,
        lr_scheduler_type="constant",
    )  # fmt: skip
    trainer = VLATrainer(
        model, arguments, train_dataset=dataset, data_collator=VLACollator(processor), processing_class=processor
    )
    before = {name: value.detach().clone() for name, value in model.named_parameters() if value.requires_grad}
    reached = {name: torch.zeros_like(value, dtype=torch.bool) for name, value in before.items()}
    for name, value in model.named_parameters():
        if value.requires_grad:
            value.register_post_accumulate_grad_hook(
                lambda weight, seen=reached[name]: (seen.logical_or_(weight.grad != 0), None)[1]
            )
    trainer.train()
    after = dict(model.named_parameters())
    moved = sum(((after[name] != value) & reached[name]).sum().item() for name, value in before.items())
    losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    last = losses[-max(1, len(losses) // 10) :]
    return moved / sum(mask.sum().item() for mask in reached.values()), sum(last) / len(last)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=200)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        backbone = write_bfloat16_backbone(Path(folder) / "backbone")
        demonstrations = write_demonstrations(Path(folder) / "demonstrations")
        print(f"{'':46} {'moved':>7} {'loss':>9} {'GiB for 3B':>11}")
        for name, (dtype, training, adapters, size, package) in VARIANTS.items():
            if package and importlib.util.find_spec(package) is None:
                print(f"{name:46} needs {package}")
                continue
            share, loss = train(
                backbone, demonstrations, Path(folder) / "out", options.steps, dtype, training, adapters
            )
            print(f"{name:46} {share:7.1%} {loss:9.4f} {size * 3e9 / 2**30:11.1f}", flush=True)


if __name__ == "__main__":
    main()
