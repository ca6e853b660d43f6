"""Reading checkpoints' key names into a live model."""

from typing import Any

import torch
from transformers import PreTrainedModel
from transformers.conversion_mapping import get_model_conversion_mapping
from transformers.core_model_loading import WeightConverter, rename_source_key


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
    renamings = [entry for entry in mapping if not isinstance(entry, WeightConverter)]
    converters = [entry for entry in mapping if isinstance(entry, WeightConverter)]
    renamed: dict[str, torch.Tensor] = {}
    for key, value in state_dict.items():
        new_key, converted = rename_source_key(key, renamings, converters, model.base_model_prefix, own)
        if converted is not None:
            raise ValueError(f"{key} must be converted, not only renamed: load this checkpoint with from_pretrained.")
        renamed[new_key] = value
    return renamed
