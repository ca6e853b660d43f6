"""Video-LLaVA: its processor still gives images a name that its model no longer takes, unless told otherwise."""

from typing import Any

from ..backbone_inputs import BackboneInputs, register_inputs


@register_inputs("VideoLlavaProcessor")
class VideoLlavaInputs(BackboneInputs):
    """Images by the name that the model takes."""

    def call_options(self) -> dict[str, Any]:
        return super().call_options() | {"return_legacy_image_output": False}
