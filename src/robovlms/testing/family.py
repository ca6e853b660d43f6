"""What describes one family of models to `tiny_backbone`, and values that several families share."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from transformers import PreTrainedTokenizerBase

from .configs import IMAGE_SIZE, PATCH_SIZE


@dataclass(frozen=True)
class Family:
    """One model type.

    Attributes:
        tokens: the tokenizer's special tokens by attribute, e.g. `{"image_token": "<image>"}`. A configuration field
            `image_token_id` or `image_token_index` takes that token's id. None: the tokenizer has no such token.
        extra_tokens: special tokens without an attribute.
        last_tokens: those of the above that have the highest ids.
        config_tokens: as `tokens`, but only for the configuration.
        add_bos: the tokenizer puts bos in front of every text.
        pieces: ordinary tokens of a SentencePiece-like tokenizer.
        config: nested configuration values; a value may be a function of the tokenizer.
        image: arguments of the image processor.
        video: arguments of the video processor.
        processor: arguments of the processor.
        classes: names of classes for `processor`, `image_processor`, `video_processor`, `feature_extractor` where the
            auto mappings have none, and for `tokenizer` where a plain one does not do.
        prompt: the text that stands for one image; empty where the processor puts images in by itself; None where it
            writes the whole text by itself.
        one_prompt: `prompt` stands once for all images of a sample.
        call: arguments of the processor's call that keep an image in one tile.
        max_images: how many images per sample the processor takes; None: any number.
    """

    tokens: Mapping[str, str | None] = field(default_factory=dict)
    extra_tokens: tuple[str, ...] = ()
    last_tokens: tuple[str, ...] = ()
    config_tokens: Mapping[str, str | None] = field(default_factory=dict)
    add_bos: bool = True
    pieces: tuple[str, ...] = ()
    config: Mapping[str, Any] = field(default_factory=dict)
    image: Mapping[str, Any] = field(default_factory=dict)
    video: Mapping[str, Any] = field(default_factory=dict)
    processor: Mapping[str, Any] = field(default_factory=dict)
    classes: Mapping[str, str] = field(default_factory=dict)
    prompt: str | None = "<image>"
    one_prompt: bool = False
    call: Mapping[str, Any] = field(default_factory=dict)
    max_images: int | None = None


def token_id(token: str) -> Callable[[PreTrainedTokenizerBase], Any]:
    """For configuration fields that the generic rule does not reach by name."""
    return lambda tokenizer: tokenizer.convert_tokens_to_ids(token)


IMAGE_TOKENS = (IMAGE_SIZE // PATCH_SIZE) ** 2
MERGED_TOKENS = IMAGE_TOKENS // 4
SQUARE = {"height": IMAGE_SIZE, "width": IMAGE_SIZE}
CROPPED = {"size": {"shortest_edge": IMAGE_SIZE}, "crop_size": SQUARE}
PIXELS = {"size": {"shortest_edge": PATCH_SIZE**2 * 4, "longest_edge": IMAGE_SIZE**2}, "patch_size": PATCH_SIZE}
MROPE = {"rope_type": "default", "rope_theta": 10000.0, "mrope_section": [2, 3, 3]}
INTERLEAVED_MROPE = {**MROPE, "mrope_section": [4, 2, 2]}
ONE_OF_EACH = ["linear_attention", "full_attention"]
SLIDING_AND_FULL = ["sliding_attention", "full_attention"]
TINY_VQ = {
    "base_channels": 32,
    "channel_multiplier": [1, 1],
    "num_res_blocks": 1,
    "latent_channels": 32,
    "embed_dim": 8,
    "num_embeddings": 64,
}
QWEN_TOKENS = {
    "bos_token": None,
    "eos_token": "<|im_end|>",
    "pad_token": "<|endoftext|>",
    "image_token": "<|image_pad|>",
    "video_token": "<|video_pad|>",
    "vision_start_token": "<|vision_start|>",
    "vision_end_token": "<|vision_end|>",
}
