"""Fuyu: its processor takes one image per prompt, its model several."""

import numpy as np
import torch
from transformers import BatchFeature

from ..backbone_inputs import BackboneInputs, register_inputs


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
