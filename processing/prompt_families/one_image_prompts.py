"""Families whose model reads a single image: it stands beside the text, which has no placeholder for it."""

import numpy as np
from transformers import BatchFeature

from ..backbone_inputs import BackboneInputs, flat, register_inputs


@register_inputs("BlipProcessor", "GitProcessor")
class OneImageInputs(BackboneInputs):
    """Positions are counted from the row's first token, padding included: it goes to the right."""

    image_prompt = ""
    image_separator = ""
    max_images = 1
    padding_side = "right"

    def __call__(self, texts: list[str], images: list[list[np.ndarray]]) -> BatchFeature:
        inputs = self.processor(
            text=texts, images=flat(images), return_tensors="pt", **self.padding, **self.call_options()
        )
        inputs.pop("labels", None)
        return inputs


@register_inputs("Pix2StructProcessor", "TrOCRProcessor")
class Pix2StructInputs(OneImageInputs):
    """The prompt is the decoder's; the processor would name it labels, or render it into the image."""

    def __call__(self, texts: list[str], images: list[list[np.ndarray]]) -> BatchFeature:
        pixels = self.processor.image_processor(flat(images), return_tensors="pt", **self.call_options())
        if "attention_mask" in pixels:
            pixels["encoder_attention_mask"] = pixels.pop("attention_mask")
        text = self.processor.tokenizer(texts, return_tensors="pt", **self.padding)
        return BatchFeature({**pixels, "input_ids": text["input_ids"], "attention_mask": text["attention_mask"]})


@register_inputs("UdopProcessor")
class UdopInputs(OneImageInputs):
    """Made for documents: words on the page and their boxes are wanted, there are none. The image's tokens follow the
    text, padding included: it goes to the left."""

    padding_side = "left"

    def __call__(self, texts: list[str], images: list[list[np.ndarray]]) -> BatchFeature:
        none: list[list] = [[] for _ in texts]
        return self.processor(
            text=texts, images=flat(images), text_pair=none, boxes=none, return_tensors="pt", **self.padding
        )
