"""Families that read the images of a single frame per sequence."""

from ...configuration.configuration_robovlms import RoboVLMConfig
from ..backbone import Backbone, UnsupportedByBackbone, register_backbone


@register_backbone("blip")
class BlipBackbone(Backbone):
    """A captioner: the text reads one image by cross-attention."""

    takes_several_images = False

    def require_support(self, config: RoboVLMConfig) -> None:
        super().require_support(config)
        if config.structure == "one_step_discrete":
            raise UnsupportedByBackbone(
                "backbone 'blip' changes the first and the last token of a prompt before it writes: it cannot write actions "
                "behind one. Use OneStepContinuousVLA."
            )


@register_backbone("instructblipvideo")
class InstructBlipVideoBackbone(Backbone):
    """The images of a row are the frames of one clip, and equally many in every row."""

    takes_several_images = False

    def require_keys_and_values(self) -> None:
        raise UnsupportedByBackbone(
            "frame_attention = 'banded' gives positions to every frame's tokens; 'instructblipvideo' takes none. Use "
            "PolicyHeadContinuousVLA for history."
        )


@register_backbone("git")
class GitBackbone(Backbone):
    """A captioner: one image is put in front of the text, at every call."""

    takes_several_images = False

    def require_keys_and_values(self) -> None:
        raise UnsupportedByBackbone(
            "frame_attention = 'banded' keeps keys and values of frames; 'git' puts its image in front of everything. Use "
            "PolicyHeadContinuousVLA for history."
        )
