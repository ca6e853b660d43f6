"""What a VLA is: configs and the action contract. Imports no torch."""

from .action_contract import ActionContract, CameraSpec, GripperSpec, Statistics, VectorSpec
from .configuration_robovlms import OneStepContinuousConfig, PolicyHeadContinuousConfig, RoboVLMConfig
from .head_configs import HeadConfig, LSTMHeadConfig, MLPHeadConfig

__all__ = [
    "ActionContract",
    "CameraSpec",
    "GripperSpec",
    "HeadConfig",
    "LSTMHeadConfig",
    "MLPHeadConfig",
    "OneStepContinuousConfig",
    "PolicyHeadContinuousConfig",
    "RoboVLMConfig",
    "Statistics",
    "VectorSpec",
]
