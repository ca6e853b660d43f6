"""Idefics: a prompt is a list of texts and images in their order; the processor writes the marks around images."""

import numpy as np
from transformers import BatchFeature
from transformers.image_transforms import to_pil_image

from ..backbone_inputs import BackboneInputs, register_inputs


@register_inputs("IdeficsProcessor")
class IdeficsInputs(BackboneInputs):
    """Prompts cut into lists at their placeholders."""

    image_text = "<image>"
    image_separator = ""

    def __call__(self, texts: list[str], images: list[list[np.ndarray]]) -> BatchFeature:
        prompts = []
        for text, row in zip(texts, images, strict=True):
            parts = text.split(self.image_prompt)
            prompt = [parts[0]]
            for image, part in zip(row, parts[1:], strict=True):
                prompt += [to_pil_image(image), part]
            prompts.append([part for part in prompt if not isinstance(part, str) or part])
        return self.processor(text=prompts, padding="longest", return_tensors="pt", **self.call_options())
