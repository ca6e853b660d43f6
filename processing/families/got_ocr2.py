"""GOT-OCR 2: several images are the pages of one document, with one placeholder for all."""

from typing import Any

import numpy as np
from transformers import BatchFeature

from ..backbone_inputs import BackboneInputs, register_inputs


@register_inputs("GotOcr2Processor")
class GotOcr2Inputs(BackboneInputs):
    """The cameras are pages."""

    image_text = "<img><imgpad></img>"
    image_separator = ""

    def __call__(self, texts: list[str], images: list[list[np.ndarray]]) -> BatchFeature:
        texts = [
            text.replace(self.image_prompt * len(row), self.image_prompt)
            for text, row in zip(texts, images, strict=True)
        ]
        return super().__call__(texts, images)

    def call_options(self) -> dict[str, Any]:
        return super().call_options() | {"multi_page": True}
