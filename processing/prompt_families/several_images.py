"""Families whose processors take one image per prompt, and whose models take several."""

import numpy as np
import torch
from transformers import BatchFeature

from ..backbone_inputs import BackboneInputs, flat, register_inputs


@register_inputs("Florence2Processor")
class Florence2Inputs(BackboneInputs):
    """Placeholders stand in front of the text's begin token; written here for each image. Positions count padding."""

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


@register_inputs("FuyuProcessor")
class FuyuInputs(BackboneInputs):
    """Each image is written by the processor alone, and its tokens are put in front of the text."""

    image_separator = ""
    answer = "\x04"  # begins the answer in Fuyu's prompts

    def __call__(self, texts: list[str], images: list[list[np.ndarray]]) -> BatchFeature:
        tokenizer = self.processor.tokenizer
        rows, patches = [], []
        for text, row in zip(texts, images, strict=True):
            ids = []
            for image in row:
                written = self.processor(
                    text=[""], images=[[image]], return_legacy_image_output=False, **self.image_options
                )
                tokens = written["input_ids"][0].tolist()
                last = max(place for place, token in enumerate(tokens) if token == self.processor.image_newline_id)
                ids += tokens[: last + 1]
                patches.append(written["pixel_values"])
            text = "<s>" + text.replace(self.image_prompt, "")
            rows.append(ids + tokenizer(text, add_special_tokens=False)["input_ids"])
        inputs = tokenizer.pad({"input_ids": rows}, return_tensors="pt")
        return BatchFeature({**inputs, "pixel_values": torch.cat(patches)})
