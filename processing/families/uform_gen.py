"""UForm-Gen, which lives on the Hub as code of its own: written from its published interface and **untested**."""

import numpy as np
import torch
from transformers import BatchFeature
from transformers.image_transforms import to_pil_image

from ..backbone_inputs import BackboneInputs, flat, register_inputs


@register_inputs("VLMProcessor")
class UFormGenInputs(BackboneInputs):
    """UForm-Gen's processor writes a chat of its own around the text; its image processor takes one PIL image."""

    image_text = "<image>"
    image_separator = " "
    max_images = 1
    padding_side = "right"

    def __call__(self, texts: list[str], images: list[list[np.ndarray]]) -> BatchFeature:
        inputs = self.processor.tokenizer(texts, return_tensors="pt", **self.padding)
        pixels = [self.processor.image_processor(to_pil_image(image)) for image in flat(images)]
        ids, mask = inputs["input_ids"], inputs["attention_mask"]
        return BatchFeature({"input_ids": ids, "attention_mask": mask, "pixel_values": torch.stack(pixels)})
