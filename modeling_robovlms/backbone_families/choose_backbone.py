"""Which adapter runs a backbone."""

from transformers import PreTrainedModel

from ..backbone import Backbone, forward_names, registered_backbone
from .bidirectional_images import GemmaBackbone, Molmo2Backbone
from .cross_attention import IdeficsBackbone, MllamaBackbone
from .encoder_decoder import DecoderPromptBackbone, EncoderDecoderBackbone
from .images_per_sample import ImagesPerSampleBackbone
from .kosmos import Kosmos2Backbone
from .llama4 import Llama4Backbone
from .one_image import BlipBackbone, GitBackbone, InstructBlipVideoBackbone
from .own_generate import JanusBackbone
from .positions import HunYuanVLBackbone
from .prefix_lm import PaliGemmaBackbone
from .remote_code import MoondreamBackbone, UFormGenBackbone

BUILT_IN = (
    BlipBackbone,
    GemmaBackbone,
    GitBackbone,
    HunYuanVLBackbone,
    IdeficsBackbone,
    ImagesPerSampleBackbone,
    InstructBlipVideoBackbone,
    JanusBackbone,
    Kosmos2Backbone,
    Llama4Backbone,
    MllamaBackbone,
    Molmo2Backbone,
    MoondreamBackbone,
    PaliGemmaBackbone,
    UFormGenBackbone,
)


def backbone_adapter(model: PreTrainedModel) -> Backbone:
    """The adapter registered for the model's family, else one by what the model's forward takes."""
    if (registered := registered_backbone(model.config.model_type)) is not None:
        return registered(model)
    if "input_ids" not in forward_names(type(model)):
        return DecoderPromptBackbone(model)
    if model.config.is_encoder_decoder or model.config.get_text_config().is_encoder_decoder:
        return EncoderDecoderBackbone(model)
    return Backbone(model)
