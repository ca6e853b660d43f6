"""KosMos-2.5: placeholders of its own, and images as rows of patches. The processor writes one image's prompt; here
there may be several."""

import numpy as np
from transformers import BatchFeature

from ..backbone_inputs import BackboneInputs, flat, register_inputs


@register_inputs("Kosmos2_5Processor")
class Kosmos2_5Inputs(BackboneInputs):
    """Placeholders, and a mask that says where they stand."""

    @property
    def image_prompt(self) -> str:
        processor = self.processor
        tokens = processor.image_token * processor.num_image_tokens
        return f"{processor.image_start_token}{tokens}{processor.image_end_token}"

    def __call__(self, texts: list[str], images: list[list[np.ndarray]]) -> BatchFeature:
        tokenizer = self.processor.tokenizer
        texts = [tokenizer.bos_token + text for text in texts]
        inputs = tokenizer(texts, add_special_tokens=False, padding=True, return_tensors="pt")
        patches = self.processor.image_processor(flat(images), return_tensors="pt", **self.call_options())
        is_image = inputs["input_ids"] == tokenizer.convert_tokens_to_ids(self.processor.image_token)
        return BatchFeature(
            {
                "input_ids": inputs["input_ids"],
                "attention_mask": inputs["attention_mask"],
                "flattened_patches": patches["flattened_patches"],
                "image_embeds_position_mask": is_image.long(),
            }
        )
