"""Raw observations, instructions and actions to tensors, both ways."""

from .backbone_inputs import BackboneInputs, register_inputs
from .processing_robovlms import RoboVLMProcessor

__all__ = ["BackboneInputs", "RoboVLMProcessor", "register_inputs"]
