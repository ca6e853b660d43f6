"""InstructBLIP: as BLIP-2, and the Q-Former reads the instruction too."""

import numpy as np
import torch

from ..backbone_inputs import ACTION_TOKEN, register_inputs
from .blip2 import Blip2Inputs


@register_inputs("InstructBlipProcessor")
class InstructBlipInputs(Blip2Inputs):
    """The Q-Former's text is repeated for every image."""

    def image_inputs(self, texts: list[str], images: list[list[np.ndarray]]) -> dict[str, torch.Tensor]:
        return super().image_inputs(texts, images) | self.query_texts(texts, [len(row) for row in images])

    def query_texts(self, texts: list[str], repeats: list[int]) -> dict[str, torch.Tensor]:
        texts = [text.replace(ACTION_TOKEN, "") for text in texts]
        encoded = self.processor.qformer_tokenizer(texts, padding=True, return_tensors="pt")
        counts = torch.tensor(repeats)
        return {f"qformer_{name}": encoded[name].repeat_interleave(counts, dim=0) for name in encoded}


@register_inputs("InstructBlipVideoProcessor")
class InstructBlipVideoInputs(InstructBlipInputs):
    """It reads the frames of a clip: the cameras stand for them."""

    image_text = "<video>"

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
