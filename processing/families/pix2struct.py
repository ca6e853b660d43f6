"""Pix2Struct and TrOCR: one image, and the prompt is the decoder's; the processor would name it labels, or render it into
the image."""

import numpy as np
from transformers import BatchFeature

from ..backbone_inputs import flat, register_inputs
from .blip import OneImageInputs


@register_inputs("Pix2StructProcessor", "TrOCRProcessor")
class Pix2StructInputs(OneImageInputs):
    """Text and image apart."""

    def __call__(self, texts: list[str], images: list[list[np.ndarray]]) -> BatchFeature:
        pixels = self.processor.image_processor(flat(images), return_tensors="pt", **self.call_options())
        if "attention_mask" in pixels:
            pixels["encoder_attention_mask"] = pixels.pop("attention_mask")
        text = self.processor.tokenizer(texts, return_tensors="pt", **self.padding)
        return BatchFeature({**pixels, "input_ids": text["input_ids"], "attention_mask": text["attention_mask"]})
