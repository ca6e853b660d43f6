"""What a backbone must do to learn from conversations beside its actions."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from transformers import AutoProcessor

from robovlms import OneStepContinuousVLA, RoboVLMProcessor
from robovlms.processing.backbone_inputs import choose_inputs, per_token_names
from robovlms.processing.chat import encode_chat

from .families import FAMILIES
from .samples import example_contract

ATOL = 2e-5


def conversations(count: int) -> list[dict[str, Any]]:
    """Questions and answers of different lengths about a random picture each."""
    rng = np.random.default_rng(1)
    answers = ("red left", "push the block left", "open")
    return [
        {
            "images": [rng.integers(0, 256, (32, 32, 3), dtype=np.uint8)],
            "messages": [
                {"role": "user", "content": "where?" + " push" * number},
                {"role": "assistant", "content": answers[number % 3]},
            ],
        }
        for number in range(count)
    ]


def check_chat(model_type: str, folder: Path) -> list[str]:
    """Answers are read causally over the family's tiny backbone in `folder`, in training and in evaluation, padded or
    not, under every attention implementation that the family has; returns these. Raises AssertionError where not."""
    call = FAMILIES[model_type].call
    options = {"max_patches": call["max_patches"]} if "max_patches" in call else None
    contract = example_contract(state=None)
    contract = contract.replace(
        cameras=contract.cameras[: choose_inputs(AutoProcessor.from_pretrained(folder)).max_images]
    )
    processor = RoboVLMProcessor.from_backbone(str(folder), contract, image_options=options)
    checked = []
    for attention in ("eager", "sdpa"):
        try:
            vla = OneStepContinuousVLA.from_backbone(str(folder), contract, attn_implementation=attention)
        except ValueError as error:
            if "does not support an attention implementation through" in str(error):
                continue
            raise
        for mode in (True, False):
            vla.train(mode)
            for module in vla.modules():  # a batch would have statistics of its own
                module.training &= not isinstance(module, nn.modules.batchnorm._BatchNorm)
            with torch.no_grad():
                trained_loss_is_read_left_to_right(vla, processor)
        checked.append(attention)
    return checked


def trained_loss_is_read_left_to_right(vla: OneStepContinuousVLA, processor: RoboVLMProcessor) -> None:
    """No logit moves when a later token changes; the loss of a batch is that of answers of which no token is known
    before it is read."""
    samples = conversations(3)
    batch = dict(encode_chat(processor, samples))
    labels = batch.pop("labels")
    is_answer = labels != -100
    other = processor.tokenizer.encode("block", add_special_tokens=False)[-1]

    def read(inputs: dict[str, Any], answers: torch.Tensor) -> torch.Tensor:
        torch.manual_seed(0)  # dropout
        return vla.runner.answer_logits(inputs, answers)

    expected = read(batch, is_answer)
    order = is_answer.cumsum(dim=1)[is_answer]
    changed = batch["input_ids"].masked_fill(is_answer & (is_answer.cumsum(dim=1) == 2), other)
    moved = (read(batch | {"input_ids": changed}, is_answer) - expected).abs().amax(dim=-1)
    assert moved[order <= 2].max() <= ATOL, f"a later token moves a logit by {moved[order <= 2].max():.1e}"
    assert moved[order == 3].min() > 1e-6, "the second token of an answer changes nothing behind it"

    if any(module.training for module in vla.modules()) and _is_random(vla, batch, is_answer):
        return  # what is dropped differs with the shape of a batch
    losses = []
    for sample in samples:
        one = encode_chat(processor, [sample])
        own = per_token_names(one)
        answer = one["labels"][0] != -100
        for place in answer.nonzero().flatten().tolist():
            known = {name: value[:, : place + 1] if name in own else value for name, value in one.items()}
            target = known.pop("labels")[0, place]
            known["input_ids"] = known["input_ids"].clone()
            known["input_ids"][0, place] = other
            logits = vla.runner.answer_logits(known, answer[None, : place + 1])[-1]
            losses.append(nn.functional.cross_entropy(logits.float(), target))
    difference = (vla.text_loss(batch | {"labels": labels}) - torch.stack(losses).mean()).abs().item()
    assert difference <= ATOL, f"the loss is not that of answers read left to right, by {difference:.1e}"


def _is_random(vla: OneStepContinuousVLA, batch: dict[str, Any], is_answer: torch.Tensor) -> bool:
    return not torch.equal(vla.runner.answer_logits(batch, is_answer), vla.runner.answer_logits(batch, is_answer))
