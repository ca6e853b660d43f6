"""Families with a way of generating of their own."""

from typing import Any

import torch
from transformers import GenerationMixin

from ..backbone import Backbone, register_backbone


@register_backbone("janus")
class JanusBackbone(Backbone):
    """Its own way loses the logits processors of text."""

    def generate(self, inputs: dict[str, Any], **options: Any) -> torch.Tensor:
        return GenerationMixin.generate(self.model, **self.generation_inputs(inputs), **options)
