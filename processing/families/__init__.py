"""What is special about how a family's processor is called: a file each, imported here to be registered.

A family without a file needs nothing: `BackboneInputs` calls its processor.
"""

from .blip import OneImageInputs
from .blip2 import Blip2Inputs
from .deepseek_ocr2 import DeepseekOcr2Inputs
from .florence2 import Florence2Inputs
from .fuyu import FuyuInputs
from .got_ocr2 import GotOcr2Inputs
from .idefics import IdeficsInputs
from .idefics2 import Idefics2Inputs
from .instructblip import InstructBlipInputs, InstructBlipVideoInputs
from .kosmos2 import Kosmos2Inputs
from .kosmos2_5 import Kosmos2_5Inputs
from .llama4 import Llama4Inputs
from .mllama import MllamaInputs
from .molmo2 import Molmo2Inputs
from .paligemma import PaliGemmaInputs
from .perception_lm import PerceptionLMInputs
from .pix2struct import Pix2StructInputs
from .pixtral import PixtralInputs
from .pp_chart2table import PPChart2TableInputs
from .qwen_vl import EnclosedImageInputs
from .udop import UdopInputs
from .uform_gen import UFormGenInputs
from .video_llava import VideoLlavaInputs

__all__ = [
    "Blip2Inputs",
    "DeepseekOcr2Inputs",
    "EnclosedImageInputs",
    "Florence2Inputs",
    "FuyuInputs",
    "GotOcr2Inputs",
    "Idefics2Inputs",
    "IdeficsInputs",
    "InstructBlipInputs",
    "InstructBlipVideoInputs",
    "Kosmos2Inputs",
    "Kosmos2_5Inputs",
    "Llama4Inputs",
    "MllamaInputs",
    "Molmo2Inputs",
    "OneImageInputs",
    "PPChart2TableInputs",
    "PaliGemmaInputs",
    "PerceptionLMInputs",
    "Pix2StructInputs",
    "PixtralInputs",
    "UFormGenInputs",
    "UdopInputs",
    "VideoLlavaInputs",
]
