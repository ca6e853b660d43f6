"""Florence-2: its processor takes one image per prompt, its model several. Placeholders stand in front of the text's begin
token, and positions count padding."""

import numpy as np
from transformers import BatchFeature

from ..backbone_inputs import BackboneInputs, flat, register_inputs


@register_inputs("Florence2Processor")
class Florence2Inputs(BackboneInputs):
    """Placeholders are written here for each image; padding goes to the right."""

    image_separator = ""
    padding_side = "right"

    def __call__(self, texts: list[str], images: list[list[np.ndarray]]) -> BatchFeature:
        processor, tokenizer = self.processor, self.processor.tokenizer
        tokens = self.image_prompt * processor.num_image_tokens
        prompts = [
            tokens * len(row) + tokenizer.bos_token + text.replace(self.image_prompt, "") + tokenizer.eos_token
            for text, row in zip(texts, images, strict=True)
        ]
        inputs = tokenizer(prompts, add_special_tokens=False, return_tensors="pt", **self.padding)
        pixels = processor.image_processor(flat(images), return_tensors="pt", **self.image_options)
        return BatchFeature({**inputs, **pixels})
