"""Turn any vision-language model on the Hugging Face Hub into a robot policy.

Importing this package makes its models known to `AutoConfig`, `AutoModel` and `AutoProcessor`. The models themselves are
imported when they are first asked for, here or through those classes: programs that load data only never pay for them.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from robovlms.after_import import after_import
from robovlms.configuration.package_version import VERSION as __version__
from robovlms.configuration.save_listeners import BRING_LISTENERS

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
    "register_inputs",
]

_HOMES = ("configuration", "processing", "modeling_robovlms", "serving")


def __getattr__(name: str) -> Any:
    homes = _HOMES if name in __all__ else ()
    for home in (import_module(f"robovlms.{home}") for home in homes):
        if name in home.__all__:
            return getattr(home, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


# Each of ours registers itself with one of theirs; the configs did so above.
after_import("transformers.models.auto.modeling_auto", "robovlms.modeling_robovlms")
after_import("transformers.models.auto.processing_auto", "robovlms.processing")
BRING_LISTENERS.append("robovlms.saving")
