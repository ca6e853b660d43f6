"""BLIP-2: a Q-Former's queries stand in front of the text. The processor takes one image, the model several."""

import numpy as np
import torch
from transformers import BatchFeature

from ..backbone_inputs import BackboneInputs, flat, register_inputs


@register_inputs("Blip2Processor")
class Blip2Inputs(BackboneInputs):
    """The placeholders of all images go in front of the text's first token."""

    image_text = "<image>"
    image_separator = ""

    def __call__(self, texts: list[str], images: list[list[np.ndarray]]) -> BatchFeature:
        texts = [text.replace(self.image_prompt, "") for text in texts]
        return BatchFeature({**self.text_inputs(texts, images), **self.image_inputs(texts, images)})

    def text_inputs(self, texts: list[str], images: list[list[np.ndarray]]) -> BatchFeature:
        tokenizer = self.processor.tokenizer
        placeholder = tokenizer.convert_tokens_to_ids(self.image_prompt)
        per_image = self.processor.num_query_tokens
        rows = [
            [placeholder] * (per_image * len(row)) + tokenizer(text)["input_ids"]
            for text, row in zip(texts, images, strict=True)
        ]
        return tokenizer.pad({"input_ids": rows}, return_tensors="pt")

    def image_inputs(self, texts: list[str], images: list[list[np.ndarray]]) -> dict[str, torch.Tensor]:
        return self.processor.image_processor(flat(images), return_tensors="pt", **self.image_options)
