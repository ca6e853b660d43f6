"""BLIP and GIT read a single image: it stands beside the text, which has no placeholder for it. Positions are counted from
the row's first token, padding included."""

import numpy as np
from transformers import BatchFeature

from ..backbone_inputs import BackboneInputs, flat, register_inputs


@register_inputs("BlipProcessor", "GitProcessor")
class OneImageInputs(BackboneInputs):
    """One image per prompt; padding goes to the right."""

    image_text = ""
    image_separator = ""
    max_images = 1
    padding_side = "right"

    def __call__(self, texts: list[str], images: list[list[np.ndarray]]) -> BatchFeature:
        return self.call_processor(texts, flat(images))
