"""Turn any vision-language model on the Hugging Face Hub into a robot policy.

Importing this package registers its models with `AutoConfig`, `AutoModel` and `AutoProcessor`.
"""

from transformers import AutoConfig, AutoModel, AutoProcessor

from robovlms.configuration import (
    ActionContract,
    CameraSpec,
    GripperSpec,
    LSTMHeadConfig,
    MLPHeadConfig,
    OneStepContinuousConfig,
    PolicyHeadContinuousConfig,
    Statistics,
    VectorSpec,
)
from robovlms.modeling_robovlms import STRUCTURES, OneStepContinuousVLA, PolicyHeadContinuousVLA, VLAOutput
from robovlms.processing import RoboVLMProcessor
from robovlms.serving import Policy

for _vla in STRUCTURES.values():
    AutoConfig.register(_vla.config_class.model_type, _vla.config_class)
    AutoModel.register(_vla.config_class, _vla)
    AutoProcessor.register(_vla.config_class, RoboVLMProcessor)

__all__ = [
    "STRUCTURES",
    "ActionContract",
    "CameraSpec",
    "GripperSpec",
    "LSTMHeadConfig",
    "MLPHeadConfig",
    "OneStepContinuousConfig",
    "OneStepContinuousVLA",
    "Policy",
    "PolicyHeadContinuousConfig",
    "PolicyHeadContinuousVLA",
    "RoboVLMProcessor",
    "Statistics",
    "VLAOutput",
    "VectorSpec",
]
