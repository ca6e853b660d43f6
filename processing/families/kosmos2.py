"""KosMos-2: the processor takes one image, the model several. Placeholders and their mask are laid out here."""

import numpy as np
import torch
from transformers import BatchFeature, Kosmos2Processor

from ..backbone_inputs import BackboneInputs, flat, register_inputs


@register_inputs("Kosmos2Processor")
class Kosmos2Inputs(BackboneInputs):
    """Placeholders are numbered per image behind the unknown token, as the processor does it for one image."""

    image_text = "<image>"
    placeholder = "</chunk>"  # a mark of KosMos-2 that prompts have no use for

    def __call__(self, texts: list[str], images: list[list[np.ndarray]]) -> BatchFeature:
        tokens = self.placeholder * Kosmos2Processor.num_image_tokens
        return self.from_raw([text.replace("<image>", f"<image>{tokens}</image>") for text in texts], images)

    def raw_image_prompt(self) -> str:
        return self.placeholder * Kosmos2Processor.num_image_tokens

    def from_raw(self, texts: list[str], images: list[list[np.ndarray]]) -> BatchFeature:
        tokenizer = self.processor.tokenizer
        texts = [tokenizer.bos_token + text for text in texts]
        inputs = tokenizer(texts, add_special_tokens=False, padding=True, return_tensors="pt")
        is_image = inputs["input_ids"] == tokenizer.convert_tokens_to_ids(self.placeholder)
        ids = torch.arange(Kosmos2Processor.num_image_tokens) + tokenizer.unk_token_id + 1
        inputs["input_ids"][is_image] = ids.repeat(int(is_image.sum()) // len(ids))
        pixels = self.processor.image_processor(flat(images), return_tensors="pt")
        return BatchFeature({**inputs, **pixels, "image_embeds_position_mask": is_image.long()})
