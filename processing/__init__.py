"""Raw observations, instructions and actions to tensors, both ways."""

from transformers import AutoProcessor

from ..configuration import STRUCTURE_CONFIGS
from . import families  # registers them, as the action tokenizers' modules do
from .backbone_inputs import BackboneInputs, register_inputs
from .fast_action_tokenizer import FASTActionTokenizer
from .processing_robovlms import RoboVLMProcessor
from .uniform_action_tokenizer import UniformActionTokenizer

for _config in STRUCTURE_CONFIGS:
    AutoProcessor.register(_config, RoboVLMProcessor)

__all__ = [
    "BackboneInputs",
    "FASTActionTokenizer",
    "RoboVLMProcessor",
    "UniformActionTokenizer",
    "families",
    "register_inputs",
]
