"""PaliGemma, a prefix language model."""

from typing import Any

import torch

from ...configuration.saving import travels_with
from ..backbone import Backbone, register_backbone


@register_backbone("paligemma")
class PaliGemmaBackbone(Backbone):
    """Token types say who sees whom: those of type 0 see each other in both directions, those of type 1 the past only."""

    @travels_with("interleaved_continuous")
    def causal(self, inputs: dict[str, Any]) -> dict[str, Any]:
        return inputs | {"token_type_ids": inputs["attention_mask"].long()}

    @travels_with("one_step_discrete")
    def bidirectional(self, inputs: dict[str, Any], marks: torch.Tensor) -> dict[str, Any]:
        """The marked tokens become part of the prefix, with what they follow."""
        return inputs | {"token_type_ids": torch.zeros_like(inputs["input_ids"])}
