"""DeepSeek-OCR 2."""

from ..backbone import Backbone, register_backbone


@register_backbone("deepseek_ocr2")
class DeepseekOcr2Backbone(Backbone):
    """Its queries for tiles are not used."""

    unused_names = r"query_768_resolution"  # of tiles
