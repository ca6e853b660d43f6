"""MiniCPM OCR."""

from ..backbone import Backbone, register_backbone


@register_backbone("minicpm_ocr")
class MiniCPMOcrBackbone(Backbone):
    """One of its two mergers of image tokens is not used."""

    unused_names = r"vit_merger"  # of another resolution
