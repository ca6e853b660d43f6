"""Granite Docling."""

from ..backbone import register_backbone
from ..images_per_sample import ImagesPerSampleBackbone


@register_backbone("granite_docling")
class GraniteDoclingBackbone(ImagesPerSampleBackbone):
    """Images of a row lie side by side, `(rows, images, ...)`."""

    unused_names = r"connector\.fine"  # of tiles
