"""The VLAs: structures, heads, the backbone's runner, streaming."""

from transformers import AutoModel, AutoModelForImageTextToText

from . import families  # registers them
from .backbone import Backbone, UnsupportedByBackbone, register_backbone
from .continuous import ContinuousVLA, OneStepContinuousVLA, PolicyHeadContinuousVLA
from .heads import register_head, register_history
from .interleaved import InterleavedContinuousVLA
from .modeling_robovlms import RoboVLMPreTrainedModel, VLAOutput
from .one_step_discrete import OneStepDiscreteVLA
from .streaming import VLACache

STRUCTURES: dict[str, type[RoboVLMPreTrainedModel]] = {
    vla.config_class.structure: vla
    for vla in (OneStepContinuousVLA, OneStepDiscreteVLA, InterleavedContinuousVLA, PolicyHeadContinuousVLA)
}
"""The structures by name."""

for _vla in STRUCTURES.values():
    AutoModel.register(_vla.config_class, _vla)
# Programs that work on vision-language models, such as TRL's trainers, find the discrete one by this name.
AutoModelForImageTextToText.register(OneStepDiscreteVLA.config_class, OneStepDiscreteVLA)

__all__ = [
    "STRUCTURES",
    "Backbone",
    "ContinuousVLA",
    "InterleavedContinuousVLA",
    "OneStepContinuousVLA",
    "OneStepDiscreteVLA",
    "PolicyHeadContinuousVLA",
    "RoboVLMPreTrainedModel",
    "UnsupportedByBackbone",
    "VLACache",
    "VLAOutput",
    "families",
    "register_backbone",
    "register_head",
    "register_history",
]
