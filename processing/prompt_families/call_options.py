"""Families whose processors must be called in a way of their own."""

from typing import Any

import numpy as np
import torch
from transformers import BatchFeature
from transformers.image_transforms import to_pil_image

from ..backbone_inputs import BackboneInputs, register_inputs


@register_inputs("Llama4Processor")
class Llama4Inputs(BackboneInputs):
    """Its number of tiles is called `max_patches`, elsewhere the name of an image's size."""

    def whole_images(self) -> dict[str, Any]:
        return {"max_patches": 1}


@register_inputs("PerceptionLMProcessor")
class PerceptionLMInputs(BackboneInputs):
    """Whole images are a type of input."""

    def whole_images(self) -> dict[str, Any]:
        return {"vision_input_type": "vanilla"}


@register_inputs("DeepseekOcr2Processor")
class DeepseekOcr2Inputs(BackboneInputs):
    """Without cropping, its processor counts the tokens of another size; images up to `tile_size` stay whole anyway."""

    def whole_images(self) -> dict[str, Any]:
        return {}


@register_inputs("Molmo2Processor")
class Molmo2Inputs(BackboneInputs):
    """Which patches an image's tokens pool is counted over the whole batch: counted per image here, and by the model's
    runner again over whichever images there are."""

    def __call__(self, texts: list[str], images: list[list[np.ndarray]]) -> BatchFeature:
        inputs = super().__call__(texts, images)
        grids, pooling = inputs["image_grids"], inputs["image_token_pooling"]
        tokens = grids[:, 0] * grids[:, 1] + grids[:, 2] * grids[:, 3]
        patches = inputs["image_num_crops"] * inputs["pixel_values"].shape[1]
        start = (patches.cumsum(dim=0) - patches).repeat_interleave(tokens)[:, None]
        inputs["image_token_pooling"] = torch.where(pooling >= 0, pooling - start, pooling)
        return inputs


@register_inputs("Idefics2Processor")
class Idefics2Inputs(BackboneInputs):
    """In nested lists it takes PIL images only."""

    def __call__(self, texts: list[str], images: list[list[np.ndarray]]) -> BatchFeature:
        return super().__call__(texts, [[to_pil_image(image) for image in row] for row in images])


@register_inputs("GotOcr2Processor")
class GotOcr2Inputs(BackboneInputs):
    """Several images are the pages of one document, with one placeholder for all."""

    image_prompt = "<img><imgpad></img>"
    image_separator = ""

    def __call__(self, texts: list[str], images: list[list[np.ndarray]]) -> BatchFeature:
        texts = [
            text.replace(self.image_prompt * len(row), self.image_prompt)
            for text, row in zip(texts, images, strict=True)
        ]
        return super().__call__(texts, images)

    def call_options(self) -> dict[str, Any]:
        return super().call_options() | {"multi_page": True}


@register_inputs("VideoLlavaProcessor")
class VideoLlavaInputs(BackboneInputs):
    """Its processor still gives images a name that its model no longer takes."""

    def call_options(self) -> dict[str, Any]:
        return super().call_options() | {"return_legacy_image_output": False}
