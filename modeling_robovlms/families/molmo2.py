"""Molmo 2."""

from typing import Any

import torch

from ...configuration.saving import travels_with
from ..backbone import Backbone, register_backbone


@register_backbone("molmo2")
class Molmo2Backbone(Backbone):
    """All images of a row see each other, and where an image's tokens come from is counted over the whole batch."""

    @travels_with("interleaved_continuous")
    def causal(self, inputs: dict[str, Any]) -> dict[str, Any]:
        return {name: value for name, value in inputs.items() if name != "mm_token_type_ids"}

    def accepted(self, inputs: dict[str, Any]) -> dict[str, Any]:
        if "pixel_values" in inputs:
            pooling = inputs["image_token_pooling"]
            grids = inputs["image_grids"]
            tokens = grids[:, 0] * grids[:, 1] + grids[:, 2] * grids[:, 3]
            patches = inputs["image_num_crops"] * inputs["pixel_values"].shape[1]
            start = (patches.cumsum(dim=0) - patches).repeat_interleave(tokens)[:, None]
            inputs = inputs | {"image_token_pooling": torch.where(pooling >= 0, pooling + start, pooling)}
        return super().accepted(inputs)
