"""LoRA on the backbone, through PEFT: which modules get adapters, and which are trained in full."""

import importlib.util
from typing import Any

import torch
from peft import LoraConfig
from torch import nn
from transformers import BitsAndBytesConfig

from ..modeling_robovlms import OneStepDiscreteVLA, RoboVLMPreTrainedModel

# By their full names: PEFT compares ends, and a bare "head" would also be the backbone's "lm_head".
TRAINED_IN_FULL = ("action_tokens", "state_encoder", "grounding", "head.history", "head.decoder")


def lora_config(
    vla: RoboVLMPreTrainedModel,
    rank: int = 16,
    alpha: int | None = None,
    dropout: float = 0.0,
    vision: bool = False,
    **options: Any,
) -> LoraConfig:
    """Adapters on every linear layer of the backbone's text tower; head and action tokens are trained in full and
    saved with them. `get_peft_model(vla, lora_config(vla))` is a model for any `Trainer`.

    Args:
        vla: what it is for; not changed.
        rank, alpha, dropout: of the adapters; alpha is twice the rank by default.
        vision: adapters in the vision tower too.
        options: further fields of `LoraConfig`, for example `use_dora` or `use_rslora` (`target_modules` replaces the choice
            of layers).
    """
    towers = [vla.text_tower, vla.vision_tower] if vision else [vla.text_tower]
    trained_in_full = [name for name in TRAINED_IN_FULL if _has_parameters(vla, name)]
    if isinstance(vla, OneStepDiscreteVLA):
        options.setdefault("trainable_token_indices", _action_rows(vla))
    options.setdefault("target_modules", [name for tower in towers for name in _linear_layers(vla, tower)])
    return LoraConfig(
        r=rank,
        lora_alpha=2 * rank if alpha is None else alpha,
        lora_dropout=dropout,
        modules_to_save=trained_in_full or None,
        **options,
    )


def _linear_layers(vla: RoboVLMPreTrainedModel, tower: nn.Module) -> list[str]:
    """The full names of the linear layers of `tower` that take part in the loss: an adapter on another one would never
    get a gradient, for which data-parallel training waits."""
    output = vla.runner.output_layer
    unused = {id(parameter) for parameter in vla.runner.unused_parameters(is_continuous=not vla.reads_logits)}
    inside = {id(module) for module in tower.modules()}
    return [
        name
        for name, module in vla.named_modules()
        if id(module) in inside
        and isinstance(module, nn.Linear)
        and not type(module).__module__.startswith("transformers.models.")  # a router, which puts out something else
        and module is not output
        and id(module.weight) not in unused
    ]


def _has_parameters(vla: nn.Module, name: str) -> bool:
    module = dict(vla.named_modules()).get(name)
    return module is not None and any(True for _ in module.parameters())


def _action_rows(vla: OneStepDiscreteVLA) -> dict[str, list[int]]:
    """The action tokens' rows of the vocabulary where they are written, and where they are read if the structure reads
    them; PEFT carries rows of the embedding that the output layer shares over to it."""
    embed, output = vla.get_input_embeddings(), vla.runner.output_layer
    assert output is not None  # actions are read from its logits
    modules = [embed] if output.weight is embed.weight else [output]
    if not vla.config.is_parallel and embed not in modules:
        modules.append(embed)
    names = [name for name, module in vla.named_modules() if any(module is one for one in modules)]
    return {name.rpartition(".")[2]: list(vla.config.action_token_ids) for name in names}


def four_bit(dtype: torch.dtype = torch.bfloat16) -> BitsAndBytesConfig:
    """How QLoRA holds the backbone: NF4 in 4 bits, computing in `dtype`; a VLA's own modules stay in float32.

    Raises:
        RuntimeError: if bitsandbytes is not installed.
    """
    if importlib.util.find_spec("bitsandbytes") is None:
        raise RuntimeError("QLoRA needs bitsandbytes: pip install 'robovlms[quantization]'.")
    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=dtype,
    )
