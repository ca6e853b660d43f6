"""BLIP-2 and its relatives: a Q-Former's queries stand in front of the text."""

from typing import ClassVar

import numpy as np
import torch
from transformers import BatchFeature

from ..backbone_inputs import ACTION_TOKEN, BackboneInputs, flat, register_inputs


@register_inputs("Blip2Processor")
class Blip2Inputs(BackboneInputs):
    """The processor takes one image, the model several: their placeholders go in front of the text's first token."""

    image_prompt = "<image>"
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


@register_inputs("InstructBlipProcessor")
class InstructBlipInputs(Blip2Inputs):
    """The Q-Former reads the instruction too, once for every image."""

    def image_inputs(self, texts: list[str], images: list[list[np.ndarray]]) -> dict[str, torch.Tensor]:
        return super().image_inputs(texts, images) | self.query_texts(texts, [len(row) for row in images])

    def query_texts(self, texts: list[str], repeats: list[int]) -> dict[str, torch.Tensor]:
        texts = [text.replace(ACTION_TOKEN, "") for text in texts]
        encoded = self.processor.qformer_tokenizer(texts, padding=True, return_tensors="pt")
        repeats = torch.tensor(repeats)
        return {f"qformer_{name}": encoded[name].repeat_interleave(repeats, dim=0) for name in encoded}


@register_inputs("InstructBlipVideoProcessor")
class InstructBlipVideoInputs(InstructBlipInputs):
    """It reads the frames of a clip: the cameras stand for them."""

    image_prompt: ClassVar[str] = "<video>"

    def image_inputs(self, texts: list[str], images: list[list[np.ndarray]]) -> dict[str, torch.Tensor]:
        clips = [
            torch.cat(
                [
                    self.processor.video_processor(image[None], return_tensors="pt", **self.image_options)[
                        "pixel_values"
                    ]
                    for image in row
                ],
                dim=1,
            )
            for row in images
        ]
        return {"pixel_values": torch.cat(clips)} | self.query_texts(texts, [1] * len(texts))
