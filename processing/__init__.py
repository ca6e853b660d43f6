"""Raw observations, instructions and actions to tensors, both ways."""

from .processing_robovlms import RoboVLMProcessor

__all__ = ["RoboVLMProcessor"]
