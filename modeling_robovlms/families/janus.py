"""Janus."""

from typing import Any

import torch
from transformers import GenerationMixin

from ...configuration.saving import travels_with
from ..backbone import Backbone, register_backbone


@register_backbone("janus")
class JanusBackbone(Backbone):
    """Its own way of generating loses the logits processors of text."""

    unused_names = r"generation_embeddings|generation_aligner|generation_head"  # draws images

    @travels_with("one_step_discrete")
    def generate(self, inputs: dict[str, Any], **options: Any) -> torch.Tensor:
        inputs = self.generation_inputs(inputs)
        return GenerationMixin.generate(self.model, **inputs, **options)  # pyright: ignore[reportAttributeAccessIssue]  (its self is a protocol)
