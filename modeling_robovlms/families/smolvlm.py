"""SmolVLM."""

from ..backbone import register_backbone
from ..images_per_sample import ImagesPerSampleBackbone


@register_backbone("smolvlm")
class SmolVLMBackbone(ImagesPerSampleBackbone):
    """Images of a row lie side by side, `(rows, images, ...)`."""
