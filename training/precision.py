"""Precision that learns: what is trained is float32, and what each remedy costs in memory.

A bfloat16 weight has 8 bits: an update smaller than about 1/256 of it is rounded away, so at a learning rate of 2e-5
most weights never move.
"""

import logging
from typing import Any

import torch
from torch import nn
from transformers import TrainingArguments

from .console import GIB

logger = logging.getLogger(__name__)

BYTES_PER_PARAMETER = {
    "float32 weights, AdamW (bf16=True computes in bfloat16)": 16,
    "float32 weights, optim=adamw_8bit (bitsandbytes)": 10,
    "bfloat16 weights, optim=adamw_torch_8bit with optim_args=bf16_stochastic_round=True (torchao)": 6,
}
"""Bytes for each trained weight: the weight, its gradient and the optimizer's two moments; activations come on top."""


def hold_trained_in_float32(model: nn.Module, training: TrainingArguments) -> None:
    """Bring trained parameters of half precision to float32, in place, unless the optimizer rounds stochastically.

    Frozen ones stay as they are; where the two meet, autocast makes their types one.

    Raises:
        ValueError: if there are such parameters and no autocast.
    """
    half = [parameter for parameter in model.parameters() if is_half(parameter)]
    if not half or "bf16_stochastic_round=True" in (training.optim_args or ""):
        return
    if not (training.bf16 or training.fp16):
        raise ValueError(
            f"dtype {half[0].dtype} is for frozen weights, and trained ones are float32: add bf16=True, under which the "
            "two go together, or leave out dtype."
        )
    for parameter in half:
        parameter.data = parameter.data.float()


def is_half(parameter: nn.Parameter) -> bool:
    """Return whether it is trained, and in bfloat16 or float16."""
    return parameter.requires_grad and parameter.dtype in (torch.bfloat16, torch.float16)


def warn_of_rounding(optimizer: torch.optim.Optimizer, learning_rate: float) -> None:
    """Say, with the remedies and their memory, that trained weights are of half precision.

    Not where the optimizer rounds stochastically, as torchao's do with `bf16_stochastic_round`.
    """
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    count = sum(parameter.numel() for parameter in parameters if is_half(parameter))
    if not count or getattr(_innermost(optimizer), "bf16_stochastic_round", False):
        return
    remedies = "".join(f"\n  {count * each / GIB:6.2f} GiB  {name}" for name, each in BYTES_PER_PARAMETER.items())
    logger.warning(
        "%s trained weights are bfloat16 or float16: at a learning rate of %g most updates are smaller than what such "
        "a weight can show, and are rounded away. Load them with dtype=float32, or (memory of these weights, their "
        "gradients and AdamW):%s\n  or train adapters (LoRA), which are float32 over frozen bfloat16 weights.",
        f"{count:,}",
        learning_rate,
        remedies,
    )


def _innermost(optimizer: Any) -> Any:
    return _innermost(optimizer.optimizer) if hasattr(optimizer, "optimizer") else optimizer
