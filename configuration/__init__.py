"""What a VLA is: configs and the action contract. Imports no torch."""

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

__all__ = [
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
