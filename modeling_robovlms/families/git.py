"""GIT, a captioner."""

from ...configuration.saving import travels_with
from ..backbone import Backbone, UnsupportedByBackbone, register_backbone


@register_backbone("git")
class GitBackbone(Backbone):
    """One image is put in front of the text, at every call."""

    takes_several_images = False
    unused_names = r"img_temporal_embedding"  # of a video

    @travels_with("interleaved_continuous")
    def require_keys_and_values(self) -> None:
        raise UnsupportedByBackbone(
            "frame_attention = 'banded' keeps keys and values of frames; 'git' puts its image in front of everything. Use "
            "PolicyHeadContinuousVLA for history."
        )
