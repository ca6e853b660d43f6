"""All families that `tiny_backbone` knows."""

from .family import Family
from .gemma import GEMMA
from .llava_like import LLAVA_LIKE
from .others import OTHERS
from .qwen_like import QWEN_LIKE
from .sam import SAM_LIKE
from .tiled import TILED

FAMILIES: dict[str, Family] = {**LLAVA_LIKE, **GEMMA, **QWEN_LIKE, **TILED, **SAM_LIKE, **OTHERS}

# Listed by transformers as image-text-to-text models, but of no use as a policy's backbone.
UNUSABLE = {
    "diffusion_gemma": "it denoises blocks of text and is no causal language model",
    "evolla": "it reads proteins, not images",
    "mistral4": "its class in that list reads text only",
    "pi0": "it is a vision-language-action model itself and needs the robot's state",
    "pp_formulanet": "it gives no access to its input embeddings",
}
