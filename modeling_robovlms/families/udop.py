"""UDOP."""

from ..backbone import register_backbone
from ..encoder_decoder import EncoderDecoderBackbone


@register_backbone("udop")
class UdopBackbone(EncoderDecoderBackbone):
    """The encoder reads a page, which the decoder does not see."""

    unused_names = r"decoder\.embed_patches|decoder\.relative_bias\.biases\.[12]"  # of a page
