"""A vision encoder and a text decoder (TrOCR, Donut, ...)."""

from ..backbone import register_backbone
from ..encoder_decoder import DecoderPromptBackbone


@register_backbone("vision-encoder-decoder")
class VisionEncoderDecoderBackbone(DecoderPromptBackbone):
    """The whole prompt goes to the decoder; the encoder's pooler is not used."""

    unused_names = r"encoder\.pooler"
