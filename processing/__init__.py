"""Raw observations, instructions and actions to tensors, both ways."""

from transformers import AutoProcessor

from ..configuration import STRUCTURE_CONFIGS
from .backbone_inputs import BackboneInputs, register_inputs
from .processing_robovlms import RoboVLMProcessor

for _config in STRUCTURE_CONFIGS:
    AutoProcessor.register(_config, RoboVLMProcessor)

__all__ = ["BackboneInputs", "RoboVLMProcessor", "register_inputs"]
