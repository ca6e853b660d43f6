"""PP-Chart2Table: its processor writes no placeholders. There are 256 per image, which is what the vision encoder puts
out."""

from ..backbone_inputs import BackboneInputs, register_inputs


@register_inputs("PPChart2TableProcessor")
class PPChart2TableInputs(BackboneInputs):
    """An image's placeholders written out."""

    image_text = f"<img>{'<imgpad>' * 256}</img>"
