"""Llama 4: its number of tiles is called `max_patches`, elsewhere the name of an image's size."""

from typing import Any

from ..backbone_inputs import BackboneInputs, register_inputs


@register_inputs("Llama4Processor")
class Llama4Inputs(BackboneInputs):
    """One tile per image, by the name that Llama 4 has for it."""

    def whole_images(self) -> dict[str, Any]:
        return {"max_patches": 1}
