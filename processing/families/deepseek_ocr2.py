"""DeepSeek-OCR 2: told not to crop, its processor counts the tokens of another size. Images up to `tile_size` stay whole
anyway."""

from typing import Any

from ..backbone_inputs import BackboneInputs, register_inputs


@register_inputs("DeepseekOcr2Processor")
class DeepseekOcr2Inputs(BackboneInputs):
    """No option keeps its images whole."""

    def whole_images(self) -> dict[str, Any]:
        return {}
