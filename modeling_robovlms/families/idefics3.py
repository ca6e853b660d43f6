"""Idefics 3."""

from ..backbone import register_backbone
from ..images_per_sample import ImagesPerSampleBackbone


@register_backbone("idefics3")
class Idefics3Backbone(ImagesPerSampleBackbone):
    """Images of a row lie side by side, `(rows, images, ...)`."""
