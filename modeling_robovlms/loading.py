"""What loading a VLA asks of its backbone's files: a model that takes images, quantisation of the backbone alone, names
of weights."""

import copy
from typing import Any

import torch
from transformers import PreTrainedConfig, PreTrainedModel
from transformers.conversion_mapping import get_model_conversion_mapping
from transformers.core_model_loading import WeightConverter, WeightRenaming, rename_source_key
from transformers.quantizers.auto import AutoQuantizationConfig
from transformers.utils.quantization_config import QuantizationConfigMixin

# The field that lists what to leave alone, as transformers' quantisation configs name it.
EXCEPTIONS = ("modules_to_not_convert", "llm_int8_skip_modules", "skip_modules")
OUTPUT_LAYER = r"(.*\.)?lm_head"


def require_image_input(vlm_config: PreTrainedConfig, name: str) -> None:
    """Raises ValueError if transformers has no image-text-to-text model for this config."""
    from transformers.models.auto.modeling_auto import MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING

    known = type(vlm_config) in MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING
    if not known and "AutoModelForImageTextToText" not in getattr(vlm_config, "auto_map", {}):
        raise ValueError(
            f"backbone {name!r} is of type {vlm_config.model_type!r}, which takes no images: "
            "AutoModelForImageTextToText has no model for it."
        )


def quantizing_the_backbone_only(
    quantization_config: QuantizationConfigMixin | dict[str, Any], own_layers: list[str]
) -> QuantizationConfigMixin:
    """Return a copy of a quantisation config that leaves `own_layers` and the vocabulary's output layer alone.

    Layers that it leaves alone already may be named as in the vision-language model or as in the VLA.

    Raises:
        ValueError: for methods that cannot leave layers out.
    """
    given_config = quantization_config
    if isinstance(given_config, dict):
        given_config = AutoQuantizationConfig.from_dict(dict(given_config))
    chosen: QuantizationConfigMixin = copy.deepcopy(given_config)
    field = next((name for name in EXCEPTIONS if hasattr(chosen, name)), None)
    if field is None:
        raise ValueError(
            f"quantization_config: {type(chosen).__name__} cannot leave layers out, and the heads must "
            f"stay as they are. Methods that can have one of the fields {', '.join(EXCEPTIONS)}."
        )
    given = [name for layer in getattr(chosen, field) or [] for name in (layer, rf"backbone\.{layer}")]
    setattr(chosen, field, list(dict.fromkeys([*given, *own_layers, OUTPUT_LAYER])))
    return chosen


def take_quantization(vlm_config: PreTrainedConfig, own_layers: list[str]) -> dict[str, Any] | None:
    """Return how a backbone was quantised when it was published, taken out of its config, as the whole VLA's config
    says it. None if it was not quantised."""
    published = getattr(vlm_config, "quantization_config", None)
    if published is None:
        return None
    delattr(vlm_config, "quantization_config")
    return quantizing_the_backbone_only(published, own_layers).to_dict()


def published_names_to_own(model: PreTrainedModel, state_dict: dict[str, Any]) -> dict[str, Any]:
    """`state_dict` under the model's own parameter names.

    Families of transformers write their weights under older names than they use in memory, and `from_pretrained`
    translates; `load_state_dict`, with which the Trainer resumes, does not.

    Raises:
        ValueError: where the difference is more than names (weights split or merged).
    """
    own = model.state_dict(keep_vars=True)
    if all(key in own for key in state_dict):
        return state_dict
    mapping = get_model_conversion_mapping(model)
    renamings = [entry for entry in mapping if isinstance(entry, WeightRenaming)]
    converters = [entry for entry in mapping if isinstance(entry, WeightConverter)]
    renamed: dict[str, torch.Tensor] = {}
    for key, value in state_dict.items():
        new_key, converted = rename_source_key(key, renamings, converters, model.base_model_prefix, own)
        if converted is not None:
            raise ValueError(f"{key} must be converted, not only renamed: load this checkpoint with from_pretrained.")
        renamed[new_key] = value
    return renamed
