"""Adapters of a VLA in a folder of their own, without the backbone under them."""

from pathlib import Path
from typing import Any

from peft import PeftConfig, PeftModel
from torch import nn
from transformers import AutoConfig, AutoModel

from ..configuration.configuration_robovlms import RoboVLMConfig
from . import STRUCTURES, RoboVLMPreTrainedModel


def save_adapter(peft_model: PeftModel, folder: str | Path) -> None:
    """Adapters, head and action tokens, and the VLA's config, from which `load_adapter` makes the rest."""
    vla = base_vla(peft_model)
    peft_model.save_pretrained(str(folder), save_embedding_layers=False)
    vla.config.save_pretrained(folder)


def base_vla(model: nn.Module) -> RoboVLMPreTrainedModel:
    """Return the VLA below adapters, or the model itself where it has none.

    Raises:
        TypeError: if that is no VLA.
    """
    vla = model.get_base_model() if isinstance(model, PeftModel) else model
    if not isinstance(vla, RoboVLMPreTrainedModel):
        raise TypeError(f"model must be a VLA, or adapters of one, got {type(vla).__name__}.")
    return vla


def load_adapter(folder: str, backbone: str | None = None, **model_options: Any) -> PeftModel:
    """Return a VLA with the adapters that `save_adapter` wrote; `.merge_and_unload()` makes a plain VLA of it.

    Args:
        folder: folder or Hub id of the adapter.
        backbone: Hub id or folder of what is under the adapters, a vision-language model or a VLA; what they were
            trained on by default.
        model_options: for `from_backbone` or `from_pretrained` (`dtype`, `quantization_config`, ...); the backbone is
            quantised as it was in training by default, not at all with `quantization_config=None`.

    Raises:
        ValueError: if the folder's config is no VLA's, or it is not known what is under the adapters.
    """
    config = AutoConfig.from_pretrained(folder)
    if not isinstance(config, RoboVLMConfig):
        raise ValueError(f"{folder} holds the config of a {config.model_type!r}, not that of a VLA.")
    if quantization := config.__dict__.pop("quantization_config", None):
        model_options = {"quantization_config": quantization} | model_options
    base = backbone or PeftConfig.from_pretrained(folder).base_model_name_or_path
    if base is None:
        raise ValueError(f"{folder}: adapter_config.json names no base_model_name_or_path; pass `backbone`.")
    if isinstance(AutoConfig.from_pretrained(base), RoboVLMConfig):
        vla = AutoModel.from_pretrained(base, **model_options)
    else:
        vla = STRUCTURES[type(config).structure].from_backbone(base, config=config, **model_options)
    return PeftModel.from_pretrained(vla, folder)
