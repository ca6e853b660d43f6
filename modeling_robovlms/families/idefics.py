"""Idefics, the open Flamingo."""

from ..backbone import register_backbone
from ..cross_attention import CrossAttentionBackbone


@register_backbone("idefics")
class IdeficsBackbone(CrossAttentionBackbone):
    """Its own configuration freezes text and vision layers unless told otherwise."""

    mask_name = "image_attention_mask"
    image_names = ("pixel_values",)
    unused_names = r"post_layernorm"  # of a pooled image
