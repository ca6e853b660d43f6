"""Idefics 2: in nested lists its processor takes PIL images only."""

import numpy as np
from transformers import BatchFeature
from transformers.image_transforms import to_pil_image

from ..backbone_inputs import BackboneInputs, register_inputs


@register_inputs("Idefics2Processor")
class Idefics2Inputs(BackboneInputs):
    """Images as PIL images."""

    def __call__(self, texts: list[str], images: list[list[np.ndarray]]) -> BatchFeature:
        return self.call_processor(texts, [[to_pil_image(image) for image in row] for row in images])
