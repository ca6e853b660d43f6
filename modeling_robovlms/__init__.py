"""The VLAs: structures, heads, the backbone adapter, streaming."""

from .backbone import Backbone, register_backbone
from .modeling_robovlms import ContinuousVLA, RoboVLMPreTrainedModel
from .one_step import OneStepContinuousVLA
from .outputs import VLAOutput
from .policy_head import PolicyHeadContinuousVLA
from .streaming import VLACache

STRUCTURES: dict[str, type[RoboVLMPreTrainedModel]] = {
    vla.config_class.structure: vla for vla in (OneStepContinuousVLA, PolicyHeadContinuousVLA)
}
"""The structures by name."""

__all__ = [
    "STRUCTURES",
    "Backbone",
    "ContinuousVLA",
    "OneStepContinuousVLA",
    "PolicyHeadContinuousVLA",
    "RoboVLMPreTrainedModel",
    "VLACache",
    "VLAOutput",
    "register_backbone",
]
