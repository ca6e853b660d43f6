"""Turn any vision-language model on the Hugging Face Hub into a robot policy.

Every name is imported when it is first asked for: programs that load data, serve or simulate never pay for the rest.
transformers' Auto classes know the VLAs where transformers was imported first, and after `import robovlms.auto_classes`.
"""

import sys
from typing import TYPE_CHECKING

from robovlms.configuration.lazy_imports import lazy_names
from robovlms.configuration.package_version import VERSION as __version__

if TYPE_CHECKING:
    from robovlms.configuration import (
        ActionContract,
        CameraSpec,
        GripperSpec,
        InterleavedContinuousConfig,
        LSTMHeadConfig,
        MLPHeadConfig,
        OneStepContinuousConfig,
        OneStepDiscreteConfig,
        PolicyHeadContinuousConfig,
        Statistics,
        VectorSpec,
    )
    from robovlms.modeling_robovlms import (
        STRUCTURES,
        Backbone,
        InterleavedContinuousVLA,
        OneStepContinuousVLA,
        OneStepDiscreteVLA,
        PolicyHeadContinuousVLA,
        VLAOutput,
        register_backbone,
        register_head,
        register_history,
    )
    from robovlms.processing import BackboneInputs, RoboVLMProcessor, register_inputs
    from robovlms.serving import Policy

__all__ = [
    "STRUCTURES",
    "ActionContract",
    "Backbone",
    "BackboneInputs",
    "CameraSpec",
    "GripperSpec",
    "InterleavedContinuousConfig",
    "InterleavedContinuousVLA",
    "LSTMHeadConfig",
    "MLPHeadConfig",
    "OneStepContinuousConfig",
    "OneStepContinuousVLA",
    "OneStepDiscreteConfig",
    "OneStepDiscreteVLA",
    "Policy",
    "PolicyHeadContinuousConfig",
    "PolicyHeadContinuousVLA",
    "RoboVLMProcessor",
    "Statistics",
    "VLAOutput",
    "VectorSpec",
    "__version__",
    "register_backbone",
    "register_head",
    "register_history",
    "register_inputs",
]

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        ".configuration": (
            "ActionContract",
            "CameraSpec",
            "GripperSpec",
            "InterleavedContinuousConfig",
            "LSTMHeadConfig",
            "MLPHeadConfig",
            "OneStepContinuousConfig",
            "OneStepDiscreteConfig",
            "PolicyHeadContinuousConfig",
            "Statistics",
            "VectorSpec",
        ),
        ".modeling_robovlms": (
            "STRUCTURES",
            "Backbone",
            "InterleavedContinuousVLA",
            "OneStepContinuousVLA",
            "OneStepDiscreteVLA",
            "PolicyHeadContinuousVLA",
            "VLAOutput",
            "register_backbone",
            "register_head",
            "register_history",
        ),
        ".processing": ("BackboneInputs", "RoboVLMProcessor", "register_inputs"),
        ".serving": ("Policy",),
    },
)

if "transformers.models.auto.modeling_auto" in sys.modules:
    import robovlms.auto_classes  # noqa: F401 (the Auto classes are in use already, so the price is paid)
