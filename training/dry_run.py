"""What a run would be, before it is one: `robovlms train --dry_run`."""

import time
from collections.abc import Iterator
from typing import Any

import torch
from torch import nn
from transformers import Trainer

from ..modeling_robovlms.adapters import base_vla
from ..processing.processing_robovlms import RoboVLMProcessor
from .console import GIB, describe_seconds, memory_gib

MOMENT_BYTES = {"8bit": 2, "4bit": 1, "adafactor": 0, "sgd": 0, "lion": 4}
"""What the optimizer keeps for each trained weight; 8, AdamW's two moments, where none of these is in its name."""


def describe_plan(trainer: Trainer, model: nn.Module, dataset: Any, processor: RoboVLMProcessor) -> Iterator[str]:
    """Lines about parameters, samples, steps, memory, hours, the contract and one sample.

    Runs one micro-batch forwards and backwards, which gives the hours on this machine and, on a GPU, the memory.
    """
    args = trainer.args
    yield "parameters       trained         frozen"
    for name, part in parts_of(model).items():
        trained, frozen = (
            sum(each.numel() for each in part.parameters() if each.requires_grad == wanted) for wanted in (True, False)
        )
        yield f"  {name:14} {trained:>12,}   {frozen:>12,}"

    batches = trainer.get_train_dataloader()
    batch = next(iter(batches))
    per_step = args.train_batch_size * args.gradient_accumulation_steps * args.world_size
    steps = args.max_steps if args.max_steps > 0 else -(-len(dataset) // per_step) * args.num_train_epochs
    yield f"samples          {len(dataset):,}; {per_step} in an update, {steps:,.0f} updates"
    frames = batch["frame_mask"].sum() if "frame_mask" in batch else len(batch["input_ids"])
    tokens = batch["attention_mask"].sum() if "attention_mask" in batch else batch["input_ids"].numel()
    yield f"tokens           {float(tokens) / float(frames):.0f} per frame, of images, prompt and actions"

    start = time.monotonic()
    model.train()
    inputs = trainer._prepare_inputs(batch)
    with trainer.compute_loss_context_manager():
        model(**inputs).loss.backward()
    model.zero_grad()
    seconds = time.monotonic() - start
    yield f"memory           {describe_memory(model, str(getattr(args.optim, 'value', args.optim)))}"
    hours = describe_seconds(seconds * args.gradient_accumulation_steps * steps)
    yield f"time             {hours} at {seconds:.2g} s a micro-batch on this machine (its first, loading apart)"

    for contract in processor.contracts.values():
        yield f"\n{contract}"
    yield "\none sample"
    sample = dataset[0]
    yield f"  instruction    {sample['instruction']!r}"
    for camera, images in sample["images"].items():
        yield f"  {camera:14} {'x'.join(map(str, images.shape))}, {images.dtype}"
    contract = processor.contract(sample.get("embodiment"))
    for name, values in zip(contract.action.names, sample["actions"][-1].T, strict=True):
        yield f"  {name:14} {' '.join(f'{value:.3g}' for value in values)}"


def parts_of(model: nn.Module) -> dict[str, nn.Module]:
    """Vision and text tower, what joins them, and a VLA's own modules; adapters count where they stand."""
    vla = base_vla(model)
    own = {name: part for name, part in vla.named_children() if name != "backbone"}
    towers = {"vision tower": vla.vision_tower, "text tower": vla.text_tower}
    inside = {id(module) for tower in towers.values() for module in tower.modules()}
    joining = nn.ParameterList(
        parameter
        for module in vla.backbone.modules()
        if id(module) not in inside
        for parameter in module.parameters(recurse=False)
    )
    return towers | {"between them": joining} | own


def describe_memory(model: nn.Module, optimizer: str) -> str:
    """Describe what one process holds: weights, gradients and the optimizer's moments; on a GPU what one micro-batch took on top."""
    weights = sum(each.numel() * each.element_size() for each in model.parameters())
    trained = [each for each in model.parameters() if each.requires_grad]
    gradients = sum(each.numel() * each.element_size() for each in trained)
    moment = next((size for name, size in MOMENT_BYTES.items() if name in optimizer), 8)
    moments = sum(each.numel() for each in trained) * moment
    told = (
        f"{(weights + gradients + moments) / GIB:.2f} GiB: weights {weights / GIB:.2f}, gradients {gradients / GIB:.2f}, "
        f"{optimizer} {moments / GIB:.2f}"
    )
    if not torch.cuda.is_available():
        return f"{told}; activations on top"
    return f"{told}; one micro-batch took {memory_gib():.2f} with its activations, without the optimizer"
