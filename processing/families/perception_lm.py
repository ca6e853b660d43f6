"""Perception LM: a whole image is a type of input, not a number of tiles."""

from typing import Any

from ..backbone_inputs import BackboneInputs, register_inputs


@register_inputs("PerceptionLMProcessor")
class PerceptionLMInputs(BackboneInputs):
    """Images of the type "vanilla", which are whole."""

    def whole_images(self) -> dict[str, Any]:
        return {"vision_input_type": "vanilla"}
