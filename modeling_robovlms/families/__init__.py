"""What is special about a family of vision-language models: a file each, imported here to be registered.

A family without a file needs nothing: `Backbone` runs it, or, if it is an encoder and a decoder (Florence-2, T5Gemma 2,
Pix2Struct), what stands in `encoder_decoder.py`.
"""

from ..encoder_decoder import DecoderPromptBackbone, EncoderDecoderBackbone
from .blip import BlipBackbone
from .deepseek_ocr2 import DeepseekOcr2Backbone
from .gemma3 import Gemma3Backbone
from .gemma4 import Gemma4Backbone
from .git import GitBackbone
from .granite4_vision import Granite4VisionBackbone
from .granite_docling import GraniteDoclingBackbone
from .hunyuan_vl import HunYuanVLBackbone
from .idefics import IdeficsBackbone
from .idefics2 import Idefics2Backbone
from .idefics3 import Idefics3Backbone
from .instructblipvideo import InstructBlipVideoBackbone
from .janus import JanusBackbone
from .kosmos2 import Kosmos2Backbone
from .llama4 import Llama4Backbone
from .minicpm_ocr import MiniCPMOcrBackbone
from .mllama import MllamaBackbone
from .molmo2 import Molmo2Backbone
from .moondream import MoondreamBackbone
from .paligemma import PaliGemmaBackbone
from .smolvlm import SmolVLMBackbone
from .udop import UdopBackbone
from .uform_gen import UFormGenBackbone
from .vision_encoder_decoder import VisionEncoderDecoderBackbone

__all__ = [
    "BlipBackbone",
    "DecoderPromptBackbone",
    "DeepseekOcr2Backbone",
    "EncoderDecoderBackbone",
    "Gemma3Backbone",
    "Gemma4Backbone",
    "GitBackbone",
    "Granite4VisionBackbone",
    "GraniteDoclingBackbone",
    "HunYuanVLBackbone",
    "Idefics2Backbone",
    "Idefics3Backbone",
    "IdeficsBackbone",
    "InstructBlipVideoBackbone",
    "JanusBackbone",
    "Kosmos2Backbone",
    "Llama4Backbone",
    "MiniCPMOcrBackbone",
    "MllamaBackbone",
    "Molmo2Backbone",
    "MoondreamBackbone",
    "PaliGemmaBackbone",
    "SmolVLMBackbone",
    "UFormGenBackbone",
    "UdopBackbone",
    "VisionEncoderDecoderBackbone",
]
