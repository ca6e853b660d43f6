"""Turn any vision-language model on the Hugging Face Hub into a robot policy.

Importing this package registers its models with `AutoConfig`, `AutoModel` and `AutoProcessor`.
"""

from transformers import AutoConfig, AutoModel, AutoModelForImageTextToText, AutoProcessor

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
from robovlms.configuration.package_version import VERSION as __version__
from robovlms.configuration.save_listeners import LISTENERS
from robovlms.modeling_robovlms import (
    STRUCTURES,
    InterleavedContinuousVLA,
    OneStepContinuousVLA,
    OneStepDiscreteVLA,
    PolicyHeadContinuousVLA,
    VLAOutput,
)
from robovlms.processing import RoboVLMProcessor
from robovlms.publishing.card_on_upload import CardOnUpload
from robovlms.remote_code import CodeOnSave
from robovlms.serving import Policy
from robovlms.serving.checkpoint_record import RecordOnSave

for _vla in STRUCTURES.values():
    AutoConfig.register(_vla.config_class.model_type, _vla.config_class)
    AutoModel.register(_vla.config_class, _vla)
    AutoProcessor.register(_vla.config_class, RoboVLMProcessor)
# Programs that work on vision-language models, such as TRL's trainers, find the discrete one by this name.
AutoModelForImageTextToText.register(OneStepDiscreteConfig, OneStepDiscreteVLA)

LISTENERS.extend([CodeOnSave(), RecordOnSave(), CardOnUpload()])

__all__ = [
    "STRUCTURES",
    "ActionContract",
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
]
