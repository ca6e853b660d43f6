"""Granite 4 Vision."""

from ..backbone import Backbone, register_backbone


@register_backbone("granite4_vision")
class Granite4VisionBackbone(Backbone):
    """The vision tower's last norm is not used."""

    unused_names = r"vision_tower.*post_layernorm"
