"""Quantised backbones under action tokens and heads that are not."""

import copy
from typing import Any

from transformers import PreTrainedConfig
from transformers.quantizers import AutoQuantizationConfig
from transformers.utils.quantization_config import QuantizationConfigMixin

# The field that lists what to leave alone, as transformers' quantisation configs name it.
EXCEPTIONS = ("modules_to_not_convert", "llm_int8_skip_modules", "skip_modules")
OUTPUT_LAYER = r"(.*\.)?lm_head"


def quantizing_the_backbone_only(
    quantization_config: QuantizationConfigMixin | dict[str, Any], own_layers: list[str]
) -> QuantizationConfigMixin:
    """A copy of a quantisation config that leaves `own_layers` and the vocabulary's output layer alone.

    Layers that it leaves alone already may be named as in the vision-language model or as in the VLA.

    Raises:
        ValueError: for methods that cannot leave layers out.
    """
    if isinstance(quantization_config, dict):
        quantization_config = AutoQuantizationConfig.from_dict(dict(quantization_config))
    field = next((name for name in EXCEPTIONS if hasattr(quantization_config, name)), None)
    if field is None:
        raise ValueError(
            f"quantization_config: {type(quantization_config).__name__} cannot leave layers out, and the heads must "
            f"stay as they are. Methods that can have one of the fields {', '.join(EXCEPTIONS)}."
        )
    chosen = copy.deepcopy(quantization_config)
    given = [name for layer in getattr(chosen, field) or [] for name in (layer, rf"backbone\.{layer}")]
    setattr(chosen, field, list(dict.fromkeys([*given, *own_layers, OUTPUT_LAYER])))
    return chosen


def take_quantization(vlm_config: PreTrainedConfig, own_layers: list[str]) -> dict[str, Any] | None:
    """How a backbone was quantised when it was published, taken out of its config, as the whole VLA's config says it.
    None if it was not quantised."""
    published = getattr(vlm_config, "quantization_config", None)
    if published is None:
        return None
    del vlm_config.quantization_config
    return quantizing_the_backbone_only(published, own_layers).to_dict()
