"""InstructBLIP Video."""

from ...configuration.saving import travels_with
from ..backbone import Backbone, UnsupportedByBackbone, register_backbone


@register_backbone("instructblipvideo")
class InstructBlipVideoBackbone(Backbone):
    """The images of a row are the frames of one clip, and equally many in every row."""

    takes_several_images = False

    @travels_with("interleaved_continuous")
    def require_keys_and_values(self) -> None:
        raise UnsupportedByBackbone(
            "frame_attention = 'banded' gives positions to every frame's tokens; 'instructblipvideo' takes none. Use "
            "PolicyHeadContinuousVLA for history."
        )
