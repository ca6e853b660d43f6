"""What a VLA is: configs and the action contract. Imports no torch."""

from transformers import AutoConfig

from .action_contract import ActionContract, CameraSpec, GripperSpec, Statistics, VectorSpec
from .configuration_robovlms import (
    InterleavedContinuousConfig,
    OneStepContinuousConfig,
    OneStepDiscreteConfig,
    PolicyHeadContinuousConfig,
    RoboVLMConfig,
)
from .head_configs import HeadConfig, LSTMHeadConfig, MLPHeadConfig
from .safety_limits import SafetyLimits, Workspace

STRUCTURE_CONFIGS: tuple[type[RoboVLMConfig], ...] = (
    OneStepContinuousConfig,
    OneStepDiscreteConfig,
    InterleavedContinuousConfig,
    PolicyHeadContinuousConfig,
)
for _config in STRUCTURE_CONFIGS:
    AutoConfig.register(_config.model_type, _config)

__all__ = [
    "STRUCTURE_CONFIGS",
    "ActionContract",
    "CameraSpec",
    "GripperSpec",
    "HeadConfig",
    "InterleavedContinuousConfig",
    "LSTMHeadConfig",
    "MLPHeadConfig",
    "OneStepContinuousConfig",
    "OneStepDiscreteConfig",
    "PolicyHeadContinuousConfig",
    "RoboVLMConfig",
    "SafetyLimits",
    "Statistics",
    "VectorSpec",
    "Workspace",
]
