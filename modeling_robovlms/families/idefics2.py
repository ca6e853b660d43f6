"""Idefics 2."""

from ..backbone import register_backbone
from ..images_per_sample import ImagesPerSampleBackbone


@register_backbone("idefics2")
class Idefics2Backbone(ImagesPerSampleBackbone):
    """Images of a row lie side by side, `(rows, images, ...)`."""
