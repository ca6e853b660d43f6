"""Which class calls a backbone's processor."""

from collections.abc import Mapping
from typing import Any

from transformers import ProcessorMixin

from ..backbone_inputs import BackboneInputs, registered_inputs
from .call_options import (
    DeepseekOcr2Inputs,
    GotOcr2Inputs,
    Idefics2Inputs,
    Llama4Inputs,
    Molmo2Inputs,
    PerceptionLMInputs,
    VideoLlavaInputs,
)
from .image_marks import EnclosedImageInputs, MllamaInputs, PixtralInputs, PPChart2TableInputs
from .interleaved_lists import IdeficsInputs
from .kosmos_prompts import Kosmos2_5Inputs, Kosmos2Inputs
from .one_image_prompts import OneImageInputs, Pix2StructInputs, UdopInputs
from .prefix_prompts import PaliGemmaInputs
from .query_prompts import Blip2Inputs, InstructBlipInputs, InstructBlipVideoInputs
from .remote_code_prompts import UFormGenInputs
from .several_images import Florence2Inputs, FuyuInputs

BUILT_IN = (
    Blip2Inputs,
    DeepseekOcr2Inputs,
    EnclosedImageInputs,
    Florence2Inputs,
    FuyuInputs,
    GotOcr2Inputs,
    Idefics2Inputs,
    IdeficsInputs,
    InstructBlipInputs,
    InstructBlipVideoInputs,
    Kosmos2Inputs,
    Kosmos2_5Inputs,
    Llama4Inputs,
    MllamaInputs,
    Molmo2Inputs,
    OneImageInputs,
    PPChart2TableInputs,
    PaliGemmaInputs,
    PerceptionLMInputs,
    PixtralInputs,
    Pix2StructInputs,
    UFormGenInputs,
    UdopInputs,
    VideoLlavaInputs,
)


def backbone_inputs(processor: ProcessorMixin, image_options: Mapping[str, Any] | None = None) -> BackboneInputs:
    """What is registered for the processor's class, else the general way."""
    return (registered_inputs(type(processor).__name__) or BackboneInputs)(processor, image_options)
