"""What a VLA is: configs and the action contract, which needs neither torch nor transformers."""

from typing import TYPE_CHECKING

from .lazy_imports import lazy_names

if TYPE_CHECKING:
    from .action_contract import ActionContract, CameraSpec, GripperSpec, LearnedActions, Statistics, VectorSpec
    from .action_transforms import (
        AbsoluteToDelta,
        ActionTransform,
        Chain,
        ConvertRotation,
        WorldToTool,
        register_action_transform,
    )
    from .configuration_robovlms import (
        InterleavedContinuousConfig,
        OneStepContinuousConfig,
        OneStepDiscreteConfig,
        PolicyHeadContinuousConfig,
        RoboVLMConfig,
    )
    from .head_configs import HeadConfig, HistoryConfig, HistoryHeadConfig, LSTMHeadConfig, MLPHeadConfig
    from .registration import STRUCTURE_CONFIGS
    from .safety_limits import SafetyLimits, Workspace

__all__ = [
    "STRUCTURE_CONFIGS",
    "AbsoluteToDelta",
    "ActionContract",
    "ActionTransform",
    "CameraSpec",
    "Chain",
    "ConvertRotation",
    "GripperSpec",
    "HeadConfig",
    "HistoryConfig",
    "HistoryHeadConfig",
    "InterleavedContinuousConfig",
    "LSTMHeadConfig",
    "LearnedActions",
    "MLPHeadConfig",
    "OneStepContinuousConfig",
    "OneStepDiscreteConfig",
    "PolicyHeadContinuousConfig",
    "RoboVLMConfig",
    "SafetyLimits",
    "Statistics",
    "VectorSpec",
    "Workspace",
    "WorldToTool",
    "register_action_transform",
]

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        ".action_contract": (
            "ActionContract",
            "CameraSpec",
            "GripperSpec",
            "LearnedActions",
            "Statistics",
            "VectorSpec",
        ),
        ".action_transforms": (
            "AbsoluteToDelta",
            "ActionTransform",
            "Chain",
            "ConvertRotation",
            "WorldToTool",
            "register_action_transform",
        ),
        ".head_configs": ("HeadConfig", "HistoryConfig", "HistoryHeadConfig", "LSTMHeadConfig", "MLPHeadConfig"),
        ".registration": (
            "STRUCTURE_CONFIGS",
            "InterleavedContinuousConfig",
            "OneStepContinuousConfig",
            "OneStepDiscreteConfig",
            "PolicyHeadContinuousConfig",
            "RoboVLMConfig",
        ),
        ".safety_limits": ("SafetyLimits", "Workspace"),
    },
)
