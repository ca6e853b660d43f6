"""BLIP, a captioner."""

from ...configuration.configuration_robovlms import RoboVLMConfig
from ..backbone import Backbone, UnsupportedByBackbone, register_backbone


@register_backbone("blip")
class BlipBackbone(Backbone):
    """The text reads one image by cross-attention."""

    takes_several_images = False

    def require_support(self, config: RoboVLMConfig) -> None:
        if config.structure == "one_step_discrete":
            raise UnsupportedByBackbone(
                "backbone 'blip' changes the first and the last token of a prompt before it writes: it cannot write actions "
                "behind one. Use OneStepContinuousVLA."
            )
