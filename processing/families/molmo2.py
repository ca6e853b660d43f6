"""Molmo 2: which patches an image's tokens pool is counted over the whole batch. It is counted per image here, and by
the model's runner again over whichever images there are."""

import numpy as np
import torch
from transformers import BatchFeature

from ..backbone_inputs import BackboneInputs, register_inputs


@register_inputs("Molmo2Processor")
class Molmo2Inputs(BackboneInputs):
    """Pooled patches are counted per image."""

    def __call__(self, texts: list[str], images: list[list[np.ndarray]]) -> BatchFeature:
        inputs = super().__call__(texts, images)
        grids, pooling = inputs["image_grids"], inputs["image_token_pooling"]
        tokens = grids[:, 0] * grids[:, 1] + grids[:, 2] * grids[:, 3]
        patches = inputs["image_num_crops"] * inputs["pixel_values"].shape[1]
        start = (patches.cumsum(dim=0) - patches).repeat_interleave(tokens)[:, None]
        inputs["image_token_pooling"] = torch.where(pooling >= 0, pooling - start, pooling)
        return inputs
