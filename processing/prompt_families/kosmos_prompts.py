"""KosMos-2 and KosMos-2.5."""

import numpy as np
import torch
from transformers import BatchFeature, Kosmos2Processor

from ..backbone_inputs import BackboneInputs, flat, register_inputs


@register_inputs("Kosmos2Processor")
class Kosmos2Inputs(BackboneInputs):
    """The processor takes one image, the model several: placeholders and their mask are laid out here."""

    image_prompt = "<image>"
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


@register_inputs("Kosmos2_5Processor")
class Kosmos2_5Inputs(BackboneInputs):
    """As KosMos-2, with placeholders of its own and images as rows of patches."""

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
