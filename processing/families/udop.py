"""UDOP, made for documents: words on the page and their boxes are wanted, there are none. The image's tokens follow the
text, padding included."""

import numpy as np
from transformers import BatchFeature

from ..backbone_inputs import flat, register_inputs
from .blip import OneImageInputs


@register_inputs("UdopProcessor")
class UdopInputs(OneImageInputs):
    """No words, no boxes; padding goes to the left."""

    padding_side = "left"

    def __call__(self, texts: list[str], images: list[list[np.ndarray]]) -> BatchFeature:
        none: list[list] = [[] for _ in texts]
        return self.processor(
            text=texts, images=flat(images), text_pair=none, boxes=none, return_tensors="pt", **self.padding
        )
