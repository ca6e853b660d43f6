"""What each family needs beyond the generic rules of configs.py and processors.py."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from transformers import PreTrainedTokenizerBase

from .configs import HEAD_SIZE, IMAGE_SIZE, PATCH_SIZE, TEXT_SIZE, TOWER_SIZE


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

    tokens: dict[str, str | None] = field(default_factory=dict)
    extra_tokens: tuple[str, ...] = ()
    last_tokens: tuple[str, ...] = ()
    config_tokens: dict[str, str | None] = field(default_factory=dict)
    add_bos: bool = True
    pieces: tuple[str, ...] = ()
    config: dict[str, Any] = field(default_factory=dict)
    image: dict[str, Any] = field(default_factory=dict)
    video: dict[str, Any] = field(default_factory=dict)
    processor: dict[str, Any] = field(default_factory=dict)
    classes: dict[str, str] = field(default_factory=dict)
    prompt: str | None = "<image>"
    one_prompt: bool = False
    call: dict[str, Any] = field(default_factory=dict)
    max_images: int | None = None



def _id(token: str) -> Callable[[PreTrainedTokenizerBase], int]:
    """For configuration fields that the generic rule does not reach by name."""
    return lambda tokenizer: tokenizer.convert_tokens_to_ids(token)


IMAGE_TOKENS = (IMAGE_SIZE // PATCH_SIZE) ** 2
MERGED_TOKENS = IMAGE_TOKENS // 4
SQUARE = {"height": IMAGE_SIZE, "width": IMAGE_SIZE}
CROPPED = {"size": {"shortest_edge": IMAGE_SIZE}, "crop_size": SQUARE}
PIXELS = {"size": {"shortest_edge": PATCH_SIZE**2 * 4, "longest_edge": IMAGE_SIZE**2}, "patch_size": PATCH_SIZE}
HEAD_HALF = HEAD_SIZE // 2
MROPE = {"rope_type": "default", "rope_theta": 10000.0, "mrope_section": [2, 3, 3]}
INTERLEAVED_MROPE = {**MROPE, "mrope_section": [4, 2, 2]}
ONE_OF_EACH = ["linear_attention", "full_attention"]
SLIDING_AND_FULL = ["sliding_attention", "full_attention"]

# --- one projected square of patch embeddings ---------------------------------------------------------------------

LLAVA = Family(
    tokens={"image_token": "<image>"},
    config={"image_seq_length": IMAGE_TOKENS},
    image=CROPPED,
    processor={
        "patch_size": PATCH_SIZE,
        "vision_feature_select_strategy": "default",
        "num_additional_image_tokens": 1,
    },
)
QWEN_TOKENS = {
    "bos_token": None,
    "eos_token": "<|im_end|>",
    "pad_token": "<|endoftext|>",
    "image_token": "<|image_pad|>",
    "video_token": "<|video_pad|>",
    "vision_start_token": "<|vision_start|>",
    "vision_end_token": "<|vision_end|>",
}
ANYRES = [[IMAGE_SIZE, 2 * IMAGE_SIZE], [2 * IMAGE_SIZE, IMAGE_SIZE], [2 * IMAGE_SIZE, 2 * IMAGE_SIZE]]
LLAVA_NEXT = replace(
    LLAVA,
    tokens={"image_token": "<image>", "video_token": "<video>"},
    config={**LLAVA.config, "image_grid_pinpoints": ANYRES},
    image={**CROPPED, "image_grid_pinpoints": ANYRES},
)
GEMMA_TOKENS = {
    "bos_token": "<bos>",
    "eos_token": "<eos>",
    "boi_token": "<start_of_image>",
    "eoi_token": "<end_of_image>",
    "image_token": "<image_soft_token>",
}
GEMMA3 = Family(
    tokens=GEMMA_TOKENS,
    config={"mm_tokens_per_image": MERGED_TOKENS, "text_config": {"layer_types": SLIDING_AND_FULL}},
    image={"size": SQUARE},
    processor={"image_seq_length": MERGED_TOKENS},
    prompt="<start_of_image>",
)
INTERNVL_TOKENS = {
    "start_image_token": "<img>",
    "end_image_token": "</img>",
    "context_image_token": "<IMG_CONTEXT>",
    "video_token": "<video>",
}
TINY_VQ = {
    "base_channels": 32,
    "channel_multiplier": [1, 1],
    "num_res_blocks": 1,
    "latent_channels": 32,
    "embed_dim": 8,
    "num_embeddings": 64,
}
PROJECTED = {
    "paligemma": Family(
        tokens={"bos_token": "<bos>", "eos_token": "<eos>", "image_token": "<image>"},
        image={"size": SQUARE, "image_seq_length": IMAGE_TOKENS},
    ),
    "llava": LLAVA,
    "vipllava": replace(LLAVA, config={**LLAVA.config, "vision_feature_layer": [-2, -1]}),
    "llava_next": LLAVA_NEXT,
    "llava_next_video": LLAVA_NEXT,
    "video_llava": replace(
        LLAVA, tokens=LLAVA_NEXT.tokens, config={**LLAVA.config, "video_seq_length": 8 * IMAGE_TOKENS}
    ),
    "llava_onevision": replace(
        LLAVA_NEXT,
        image={"size": SQUARE, "image_grid_pinpoints": ANYRES},
        video={"size": SQUARE},
        processor={"num_image_tokens": IMAGE_TOKENS, "vision_feature_select_strategy": "full"},
    ),
    "granite4_vision": replace(
        LLAVA_NEXT,
        config={
            **LLAVA_NEXT.config,
            "downsample_rate": "1/2",
            "deepstack_layer_map": [[-1, 0]],
            "spatial_target_layers": [0, 1, 2, 3],
            "vision_config": {"hidden_size": 64},  # its Q-Former has one head per 64 channels
            "text_config": {"num_hidden_layers": 4},
        },
        processor={**LLAVA.processor, "downsample_rate": "1/2"},
    ),
    "fast_vlm": Family(
        tokens={**QWEN_TOKENS, "image_token": "<image>"},
        add_bos=False,
        config={
            "image_seq_length": 4,
            "vision_config": {
                "architecture": "fastvit_mci0",
                "model_args": {"inference_mode": True, "layers": [1] * 4, "embed_dims": [16, 32, 64, 128]},
                "hidden_size": 256,
            },
        },
        image={"size": {"shortest_edge": 64}, "crop_size": {"height": 64, "width": 64}},
        processor={"patch_size": 32, "vision_feature_select_strategy": "full"},
        classes={"processor": "LlavaProcessor", "image_processor": "CLIPImageProcessor"},
    ),
    "deepseek_vl": Family(
        tokens={"image_token": "<image_placeholder>"},
        image={"size": SQUARE},
        processor={"num_image_tokens": IMAGE_TOKENS},
        prompt="<image_placeholder>",
    ),
    "janus": Family(
        tokens={"image_token": "<image_placeholder>", "boi_token": "<begin_of_image>", "eoi_token": "<end_of_image>"},
        config={"vision_config": {"num_image_tokens": IMAGE_TOKENS}, "vq_config": TINY_VQ},
        image={"size": SQUARE},
        processor={"num_image_tokens": IMAGE_TOKENS},
        prompt="<image_placeholder>",
    ),
    "internvl": Family(
        tokens=INTERNVL_TOKENS,
        config_tokens={"image_token": "<IMG_CONTEXT>"},
        config={
            "image_seq_length": MERGED_TOKENS,
            "vision_config": {"image_size": [IMAGE_SIZE] * 2, "patch_size": [PATCH_SIZE] * 2},
        },
        image={"size": SQUARE},
        video={"size": SQUARE},
        processor={"image_seq_length": MERGED_TOKENS},
        prompt="<IMG_CONTEXT>",
        call={"crop_to_patches": False},
    ),
    "aya_vision": Family(
        tokens={"bos_token": "<BOS_TOKEN>"},
        extra_tokens=("<image>", "<|START_OF_IMG|>", "<|END_OF_IMG|>", "<|IMG_PATCH|>", "<|IMG_LINE_BREAK|>"),
        config_tokens={"image_token": "<|IMG_PATCH|>"},
        image={"size": SQUARE},
        processor={"patch_size": PATCH_SIZE, "img_size": IMAGE_SIZE, "downsample_factor": 2},
        call={"crop_to_patches": False},
    ),
    "cohere2_vision": Family(
        tokens={
            "image_token": "<|IMG_PATCH|>",
            "boi_token": "<|START_OF_IMG|>",
            "eoi_token": "<|END_OF_IMG|>",
            "img_line_break_token": "<|IMG_LINE_BREAK|>",
        },
        config={"alignment_intermediate_size": 64},
        # the processor counts patch_size**2 tokens per tile, whatever the tile's size
        image={"size": SQUARE, "patch_size": 2},
        prompt="<|IMG_PATCH|>",
        call={"crop_to_patches": False},
    ),
    "gemma3": GEMMA3,
    "shieldgemma2": replace(
        GEMMA3,
        processor={
            **GEMMA3.processor,
            "chat_template": "{% for part in messages[0]['content'] %}"
            "{{ '<start_of_image>' if part['type'] == 'image' else part['text'] }}{% endfor %}",
        },
        prompt=None,
        max_images=1,
    ),
}
PROJECTED["qianfan_ocr"] = replace(PROJECTED["internvl"], extra_tokens=("<image>",), video={}, prompt="<image>")

# --- patch packing with rotary positions (Qwen-VL and its relatives) ----------------------------------------------

QWEN = Family(
    tokens=QWEN_TOKENS,
    extra_tokens=("<|im_start|>",),
    add_bos=False,
    config={"text_config": {"rope_parameters": MROPE}},
    image=PIXELS,
    video=PIXELS,
    prompt="<|vision_start|><|image_pad|><|vision_end|>",
)
QWEN3 = replace(
    QWEN,
    config={
        "text_config": {"rope_parameters": INTERLEAVED_MROPE},
        "vision_config": {"deepstack_visual_indexes": [0]},
    },
)
QWEN3_5 = replace(
    QWEN,
    config={
        "text_config": {
            "rope_parameters": {**INTERLEAVED_MROPE, "partial_rotary_factor": 1.0},
            "layer_types": ONE_OF_EACH,
        }
    },
)
QWEN3_PARTS = {"image_processor": "Qwen2VLImageProcessor", "video_processor": "Qwen3VLVideoProcessor"}
QWEN_OMNI = replace(
    QWEN3,
    tokens={
        **QWEN_TOKENS,
        "audio_token": "<|audio_pad|>",
        "audio_bos_token": "<|audio_start|>",
        "audio_eos_token": "<|audio_end|>",
        "vision_bos_token": "<|vision_start|>",
        "vision_eos_token": "<|vision_end|>",
    },
    config_tokens={"audio_start_token": "<|audio_start|>", "audio_end_token": "<|audio_end|>"},
    config={**QWEN3.config, "audio_config": {"output_dim": TEXT_SIZE, "downsample_hidden_size": 8}, "vision_start_token_id": _id("<|vision_start|>")},
)
GLM_TOKENS = {
    "image_token": "<|image|>",
    "video_token": "<|video|>",
    "image_start_token": "<|begin_of_image|>",
    "image_end_token": "<|end_of_image|>",
    "video_start_token": "<|begin_of_video|>",
    "video_end_token": "<|end_of_video|>",
}
GLM = replace(
    QWEN,
    tokens={**GLM_TOKENS, "bos_token": None, "eos_token": "<|user|>", "pad_token": "<|endoftext|>"},
    extra_tokens=(),
    prompt="<|begin_of_image|><|image|><|end_of_image|>",
)
PACKED = {
    "qwen2_vl": replace(QWEN, config={**QWEN.config, "vision_config": {"hidden_size": TEXT_SIZE}}),
    "qwen2_5_vl": replace(QWEN, config={**QWEN.config, "vision_config": {"fullatt_block_indexes": [1]}}),
    "qwen2_5_omni_thinker": replace(
        QWEN_OMNI,
        config={**QWEN_OMNI.config, **QWEN.config, "vision_config": {"fullatt_block_indexes": [1]}},
        classes={
            "processor": "Qwen2_5OmniProcessor",
            "image_processor": "Qwen2VLImageProcessor",
            "video_processor": "Qwen2VLVideoProcessor",
            "feature_extractor": "WhisperFeatureExtractor",
        },
    ),
    "qwen3_vl": QWEN3,
    "qwen3_vl_moe": replace(QWEN3, classes=QWEN3_PARTS),
    "qwen3_omni_moe_thinker": replace(
        QWEN_OMNI,
        classes={
            **QWEN3_PARTS,
            "processor": "Qwen3OmniMoeProcessor",
            "video_processor": "Qwen2VLVideoProcessor",
            "feature_extractor": "WhisperFeatureExtractor",
        },
    ),
    "qwen3_5": QWEN3_5,
    "qwen3_5_moe": QWEN3_5,
    "qwen4_exp": replace(
        QWEN3_5,
        config={
            "text_config": {
                **QWEN3_5.config["text_config"],
                "layer_types": ["linear_attention", "indexed_attention"],
                "hc_count": 2,
                "hc_lowrank": 8,
                "indexer_n_heads": 2,
                "indexer_kv_heads": 1,
                "indexer_head_dim": HEAD_SIZE,
                "indexer_budget": 256,
                "indexer_compress_ratio": 4,
            }
        },
    ),
    "cosmos3_omni": replace(QWEN3, classes={"processor": "Qwen3VLProcessor"}),
    "cosmos3_edge": replace(QWEN3, call={"return_mm_token_type_ids": True}),
    "exaone4_5": replace(QWEN, config={"vision_config": {"fullatt_block_indexes": [1]}}),
    "hyperclovax_vision_v2": replace(QWEN, config={"vision_config": {"fullatt_block_indexes": [1]}}),
    "video_llama_3": replace(QWEN, config={}),
    "lfm3_vl": replace(
        QWEN,
        config={
            "text_config": {"layer_types": ["conv", "full_attention"]},
            "vision_config": {"layer_types": ["conv", "full_attention"]},
        },
    ),
    "paddleocr_vl": QWEN,
    "glm4v": GLM,
    "glm4v_moe": replace(
        GLM,
        config={"text_config": {"rope_parameters": {**MROPE, "partial_rotary_factor": 0.5, "mrope_section": [1, 1, 2]}}},
        classes={"image_processor": "Glm4vImageProcessor", "video_processor": "Glm4vVideoProcessor"},
    ),
    "glm46v": GLM,
    "glm5_next": replace(
        GLM,
        config={
            "text_config": {
                "qk_rope_head_dim": 0,
                "head_dim": 0,
                "layer_types": ["linear_attention", "indexed_attention"],
                "hc_mult": 2,
            },
            "vision_config": {"projection_intermediate_size": 64},
        },
    ),
    "glm_ocr": replace(
        GLM,
        classes={
            "processor": "Glm46VProcessor",
            "image_processor": "Glm46VImageProcessor",
            "video_processor": "Glm46VVideoProcessor",
        },
    ),
    "glmga": replace(GLM, classes={"processor": "Glm46VProcessor"}),
    "cohere_compass": replace(
        QWEN3,
        tokens={
            "image_token": "<|IMAGE_PAD|>",
            "video_token": "<|VIDEO_PAD|>",
            "vision_start_token": "<|VISION_START|>",
            "vision_end_token": "<|VISION_END|>",
        },
        config={**QWEN3.config, "text_config": {"rope_parameters": {"full_attention": INTERLEAVED_MROPE}}},
        prompt="<|VISION_START|><|IMAGE_PAD|><|VISION_END|>",
    ),
    "ernie4_5_vl_moe": replace(
        QWEN,
        tokens={
            "image_token": "<|IMAGE_PLACEHOLDER|>",
            "image_start_token": "<|IMAGE_START|>",
            "image_end_token": "<|IMAGE_END|>",
            "video_token": "<|VIDEO_PLACEHOLDER|>",
            "video_start_token": "<|VIDEO_START|>",
            "video_end_token": "<|VIDEO_END|>",
        },
        config={
            "text_config": {"rope_parameters": {**MROPE, "mrope_section": [3, 3, 2]}, "moe_intermediate_size": [64, 32]}
        },
        video={**PIXELS, "draw_on_frames": False},
        prompt="<|IMAGE_START|><|IMAGE_PLACEHOLDER|><|IMAGE_END|>",
    ),
    "dots3_note": replace(
        QWEN,
        tokens={"image_token": "<|imgpad|>", "video_token": "<|video_pad|>", "audio_token": "<|audio_comp_pad|>"},
        config={
            "text_config": {
                "layer_types": ["indexed_attention", "sliding_attention"],
                "head_dim": HEAD_SIZE,
                "per_layer_config": {},
            },
            "vision_config": {
                "adapter_in_dim": TOWER_SIZE,
                "adapter_out_dim": TEXT_SIZE,
                "mlp_layer_types": ["dense", "sparse"],
            },
            "audio_config": {
                "adapter_input_size": TOWER_SIZE,
                "adapter_out_dim": TEXT_SIZE,
                "downsample_hidden_size": 8,
            },
        },
        image={**PIXELS, "temporal_patch_size": 1},
        prompt="<|imgpad|>",
    ),
    "kimi_k25": replace(
        QWEN,
        tokens={
            "image_token": "<|media_pad|>",
            "video_token": "<|kimi_k25_video_placeholder|>",
            "vision_start_token": "<|media_begin|>",
            "vision_end_token": "<|media_end|>",
        },
        config={"vision_config": {"pos_emb_height": 8, "pos_emb_width": 8}, "projection_hidden_size": TOWER_SIZE},
        image={"size": {"max_height": 4, "max_width": 4}, "patch_size": PATCH_SIZE, "max_patches": IMAGE_TOKENS},
        prompt="<|media_begin|><|media_pad|><|media_end|>",
    ),
    "minimax_m3_vl": replace(
        QWEN,
        tokens={"image_token": "]<]image[>[", "video_token": "]<]video[>["},
        extra_tokens=("]<]start of image[>[", "]<]end of image[>["),
        prompt="]<]image[>[",
    ),
    "muse_glimmer": replace(
        QWEN,
        tokens={"image_token": "<|patch|>", "video_token": "<|video|>"},
        extra_tokens=("<|image_start|>", "<|image_end|>", "<|vid_frame_separator|>", "<|vid_start|>", "<|vid_end|>"),
        config={
            "out_hidden_size": 4 * TOWER_SIZE,
            "vision_config": {"pos_emb_height": 8, "pos_emb_width": 8, "max_position_embeddings": 64},
        },
        prompt="<|patch|>",
    ),
    "hunyuan_vl": replace(
        QWEN,
        tokens={"image_token": "<image>", "image_start_token": "<im_start>", "image_end_token": "<im_end>"},
        config={
            "text_config": {
                "head_dim": HEAD_SIZE,
                "eod_token_id": _id("</s>"),
                "rope_parameters": {**MROPE, "mrope_section": [2, 2, 2, 2]},
            },
            "vision_config": {"max_image_size": 4 * IMAGE_SIZE},
        },
        prompt="<im_start><image><im_end>",
    ),
    "inkling2": replace(
        QWEN,
        tokens={"image_token": "<|unused_200054|>"},
        config={
            "text_config": {
                "unpadded_vocab_size": lambda tokenizer: len(tokenizer),
                "layer_types": ["hybrid_sliding", "hybrid"],
                "n_layers_per_attn_res_block": 1,
                "d_rel": 8,
                "rel_extent": 64,
            },
            "vision_config": {"posemb_grid_size": 8, "projection_hidden_dim": 64},
        },
        image={"size": {"height": 2 * PATCH_SIZE, "width": 2 * PATCH_SIZE}},
        prompt="<|unused_200054|>",
    ),
}
PACKED["muse_spark"] = replace(
    PACKED["muse_glimmer"],
    tokens={**PACKED["muse_glimmer"].tokens, "audio_token": "<|audio|>"},
    extra_tokens=(*PACKED["muse_glimmer"].extra_tokens, "<|soft_audio_start|>", "<|soft_audio_end|>"),
    config={
        **PACKED["muse_glimmer"].config,
        "text_config": {"moe_hidden_size": 32},
        "audio_config": {
            "patch_sizes": [16, 6],
            "hidden_sizes": [16, 32],
            "depths": [1, 1],
            "num_hidden_layers": 2,
        },
    },
)

# --- pixel shuffle or resampler, several tiles per image unless told otherwise ------------------------------------

IDEFICS3 = Family(
    tokens={"image_token": "<image>", "eos_token": "<end_of_utterance>"},
    extra_tokens=(
        "<fake_token_around_image>",
        "<global-img>",
        *(f"<row_{row}_col_{column}>" for row in range(1, 7) for column in range(1, 7)),
    ),
    image={"size": {"longest_edge": 2 * IMAGE_SIZE}, "max_image_size": {"longest_edge": IMAGE_SIZE}},
    processor={"image_seq_len": MERGED_TOKENS},
    call={"do_image_splitting": False},
)
MISTRAL3 = Family(
    tokens={"image_token": "[IMG]"},
    extra_tokens=("[IMG_BREAK]", "[IMG_END]"),
    image={"size": {"longest_edge": IMAGE_SIZE}, "patch_size": {"height": PATCH_SIZE, "width": PATCH_SIZE}},
    processor={"patch_size": PATCH_SIZE, "spatial_merge_size": 2},
    prompt="[IMG]",
)
MINICPM = Family(
    tokens={
        **QWEN_TOKENS,
        "image_start_token": "<image>",
        "image_end_token": "</image>",
        "slice_start_token": "<slice>",
        "slice_end_token": "</slice>",
        "image_id_start_token": "<image_id>",
        "image_id_end_token": "</image_id>",
    },
    add_bos=False,
    config={
        **QWEN3_5.config,
        "insert_layer_id": 0,
        "image_size": 2 * IMAGE_SIZE,
        "patch_size": PATCH_SIZE,
        "vision_config": {"insert_layer_id": 0, "image_size": 2 * IMAGE_SIZE},
    },
    image={"scale_resolution": 2 * IMAGE_SIZE, "patch_size": PATCH_SIZE},
    video={"scale_resolution": 2 * IMAGE_SIZE, "patch_size": PATCH_SIZE},
    prompt="<|image_pad|>",
    call={"max_slice_nums": 1},
)
# A SAM encoder whose grid must be 64 x 64, because the number of image tokens is fixed: tiny patches, local attention.
SAM_PATCH_SIZE, SAM_IMAGE_SIZE = 4, 256
SAM = {
    "patch_size": SAM_PATCH_SIZE,
    "image_size": SAM_IMAGE_SIZE,
    "global_attn_indexes": [],
    "output_channels": 16,
    "mlp_dim": 64,
}
SAM_SQUARE = {"height": SAM_IMAGE_SIZE, "width": SAM_IMAGE_SIZE}
GOT = Family(
    tokens={"image_token": "<imgpad>"},
    extra_tokens=("<|im_start|>", "<|im_end|>", "<img>", "</img>"),
    config={"image_seq_length": 256, "vision_config": SAM},
    image={"size": SAM_SQUARE},
    prompt="<img><imgpad></img>",
    call={"multi_page": True},
    one_prompt=True,
)
TILED = {
    "idefics2": Family(
        tokens={"image_token": "<image>", "image_boundary_token": "<fake_token_around_image>"},
        config={
            "perceiver_config": {
                "hidden_size": TEXT_SIZE,
                "resampler_n_latents": 4,
                "resampler_depth": 1,
                "resampler_n_heads": 4,
                "resampler_head_dim": HEAD_SIZE,
            }
        },
        image={"size": {"shortest_edge": IMAGE_SIZE, "longest_edge": IMAGE_SIZE}},
        processor={"image_seq_len": 4},
        call={"do_image_splitting": False},
    ),
    "idefics3": IDEFICS3,
    "smolvlm": IDEFICS3,
    "granite_docling": replace(
        IDEFICS3,
        config={
            "vision_config": {"scale_factor": 2, "deepstack_visual_indexes": [0]},
            # multipliers made for a width of 1024
            "text_config": {"attention_multiplier": 0.25, "residual_multiplier": 1.0, "logits_scaling": 1.0},
        },
        image={"size": SQUARE},
        call={"crop_to_patches": False},
    ),
    "aria": Family(
        tokens={"image_token": "<|img|>"},
        # the processor insists on 980 pixels: huge patches
        config={
            "projector_patch_to_query_dict": {"49": 4},
            "vision_config": {"image_size": 980, "patch_size": 140},
        },
        processor={"size_conversion": {980: 4}},
        prompt="<|img|>",
    ),
    "mistral3": MISTRAL3,
    "mistral_large4": MISTRAL3,
    "lighton_ocr": replace(
        MISTRAL3,
        tokens={
            **QWEN_TOKENS,
            "image_break_token": "<|vision_pad|>",
            "image_end_token": "<|vision_end|>",
        },
        extra_tokens=(),
        add_bos=False,
        prompt="<|image_pad|>",
    ),
    "llama4": Family(
        tokens={
            "image_token": "<|image|>",
            "boi_token": "<|image_start|>",
            "eoi_token": "<|image_end|>",
        },
        extra_tokens=("<|patch|>", "<|tile_x_separator|>", "<|tile_y_separator|>"),
        config_tokens={"image_token": "<|patch|>"},
        config={
            "vision_config": {
                "intermediate_size": 4 * TOWER_SIZE,
                "vision_output_dim": TOWER_SIZE,
                "projector_input_dim": TOWER_SIZE,
                "projector_output_dim": TOWER_SIZE,
            }
        },
        image={"size": SQUARE},
        processor={"patch_size": PATCH_SIZE},
        prompt="<|image|>",
        call={"max_patches": 1},
    ),
    "lfm2_vl": Family(
        tokens={
            "image_token": "<image>",
            "image_start_token": "<|image_start|>",
            "image_end_token": "<|image_end|>",
            "image_thumbnail_token": "<|img_thumbnail|>",
        },
        config={"text_config": {"layer_types": ["conv", "full_attention"]}},
        image={
            "encoder_patch_size": PATCH_SIZE,
            "tile_size": IMAGE_SIZE,
            "min_image_tokens": 1,
            "max_image_tokens": MERGED_TOKENS,
            "size": SQUARE,
        },
        call={"do_image_splitting": False},
    ),
    "ovis2": Family(
        tokens={"image_token": "<image>"},
        extra_tokens=("<IMG_ATOM>", "<IMG_START>", "<IMG_GRID>", "<IMG_COL>", "<IMG_ROW>", "<IMG_END>"),
        config_tokens={"image_token": "<IMG_ATOM>"},
        config={
            "hidden_size": TEXT_SIZE,
            "vision_config": {"vocab_size": 64},
            "visual_indicator_token_ids": lambda tokenizer: tokenizer.convert_tokens_to_ids(
                ["<IMG_START>", "<IMG_GRID>", "<IMG_COL>", "<IMG_ROW>", "<IMG_END>"]
            ),
        },
        image={"size": SQUARE},
        processor={"image_seq_length": IMAGE_TOKENS},
        call={"crop_to_patches": False},
    ),
    "minicpm_ocr": MINICPM,
    "minicpmv4_6": MINICPM,
    "minicpmv4_7": MINICPM,
    "got_ocr2": GOT,
    "pp_chart2table": replace(GOT, prompt=f"<img>{'<imgpad>' * 256}</img>", one_prompt=False, call={}),
    "deepseek_ocr2": Family(
        tokens={"image_token": "<image>"},
        config={
            "vision_config": {
                "sam_config": {**SAM, "downsample_channels": [16, TOWER_SIZE]},
                "encoder_config": {"head_dim": HEAD_SIZE},
            },
            "text_config": {"mlp_layer_types": ["dense", "sparse"], "num_experts_per_tok": 2},
        },
        image={"size": SAM_SQUARE, "tile_size": 192},
        processor={"patch_size": SAM_PATCH_SIZE},
    ),
    "unlimited_ocr": Family(
        tokens={"image_token": "<image>"},
        config={
            "vision_config": {
                "sam_config": {
                    "patch_size": 4,
                    "image_size": 32,
                    "output_channels": 16,
                    "mlp_dim": 64,
                    "downsample_channels": [16, TOWER_SIZE],
                },
                "encoder_config": {"image_size": 28},
            }
        },
        image={"size": {"height": 32, "width": 32}, "tile_size": 32},
        processor={"patch_size": 4},
        call={"crop_to_patches": False},
    ),
    "molmo2": Family(
        tokens={"image_token": "<|image|>", "video_token": "<|video|>"},
        extra_tokens=(
            "<im_patch>",
            "<im_col>",
            "<im_start>",
            "<low_res_im_start>",
            "<frame_start>",
            "<im_end>",
            "<frame_end>",
            "<im_low>",
        ),
        config_tokens={
            "image_start_token": "<im_start>",
            "low_res_image_start_token": "<low_res_im_start>",
            "image_end_token": "<im_end>",
            "frame_start_token": "<frame_start>",
            "frame_end_token": "<frame_end>",
        },
        config={
            "image_patch_id": _id("<im_patch>"),
            "vision_config": {"image_size": [IMAGE_SIZE] * 2},
            "adapter_config": {"vision_feature_layer": [1, 0]},
        },
        image={"size": SQUARE, "patch_size": PATCH_SIZE, "overlap_margins": [0, 0]},
        video={"size": SQUARE, "patch_size": PATCH_SIZE},
        prompt="<|image|>",
        call={"max_crops": 1},
    ),
    "step3p7": Family(
        tokens={"image_token": "<im_patch>"},
        extra_tokens=("<im_start>", "<im_end>", "<patch_start>", "<patch_end>", "<patch_newline>"),
        config={"vision_config": {"image_size": 2 * IMAGE_SIZE}, "text_config": {"sliding_window": 512}},
        image={
            "size": {"height": 2 * IMAGE_SIZE, "width": 2 * IMAGE_SIZE},
            "patch_size": 2 * IMAGE_SIZE,
            "max_image_size": 4 * IMAGE_SIZE,
        },
        prompt="<im_patch>",
    ),
    "perception_lm": Family(
        tokens={"image_token": "<|image|>", "video_token": "<|video|>"},
        config={
            "projector_pooling_ratio": 2,
            "vision_config": {
                "architecture": "vit_pe_core_large_patch14_336",
                "model_args": {
                    "embed_dim": TOWER_SIZE,
                    "img_size": [IMAGE_SIZE, IMAGE_SIZE],
                    "depth": 2,
                    "num_heads": 2,
                    "global_pool": "",
                    "use_post_transformer_norm": False,
                    "init_values": 0.1,
                    "ref_feat_shape": [4, 4],
                },
            },
        },
        image={"tile_size": IMAGE_SIZE, "size": SQUARE, "max_num_tiles": 1},
        video={"size": SQUARE},
        processor={"patch_size": PATCH_SIZE, "pooling_ratio": 2},
        prompt="<|image|>",
        call={"vision_input_type": "vanilla"},
    ),
    "nemotron_h_omni": Family(
        tokens={
            "image_token": "<image>",
            "video_token": "<video>",
            "audio_token": "<so_embedding>",
            "image_start_token": "<img>",
            "image_end_token": "</img>",
        },
        extra_tokens=("<so_start>", "<so_end>"),
        config={
            "vision_hidden_size": TOWER_SIZE,
            "text_config": {
                "layers_block_type": ["linear_attention", "full_attention"],
                "ssm_state_size": 16,
                "mamba_num_heads": 4,
                "mamba_head_dim": 16,
                "n_groups": 2,
                "chunk_size": 16,
            },
            "vision_config": {
                "patch_dim": 3 * PATCH_SIZE**2,
                "video_patch_dim": 6 * PATCH_SIZE**2,
                "video_temporal_patch_size": 2,
                "max_img_size": 4 * IMAGE_SIZE,
            },
        },
        image={"patch_size": PATCH_SIZE, "min_num_patches": 4, "max_num_patches": IMAGE_TOKENS},
        video={"patch_size": PATCH_SIZE},
        classes={"feature_extractor": "ParakeetFeatureExtractor"},
    ),
    "inkling_mm_model": Family(
        tokens={"image_token": "<|unused_200054|>", "audio_token": "<|unused_200053|>"},
        extra_tokens=("<|content_image|>", "<|content_audio_input|>"),
        config_tokens={"image_bos_token": "<|content_image|>", "audio_bos_token": "<|content_audio_input|>"},
        config={
            "text_config": {
                "layer_types": ["hybrid_sliding", "hybrid"],
                "d_rel": 8,
                "rel_extent": 64,
                "logits_mup_width_multiplier": 1.0,
            },
            "audio_config": {"n_mel_bins": 8},
            "vision_config": {"patch_size": 28},
        },
        image={"size": {"height": 28, "width": 28}},
        prompt="<|unused_200054|>",
    ),
    "gemma4": Family(
        tokens={
            "bos_token": "<bos>",
            "eos_token": "<eos>",
            "boi_token": "<|image>",
            "eoi_token": "<image|>",
            "image_token": "<|image|>",
            "boa_token": "<|audio>",
            "eoa_token": "<audio|>",
            "audio_token": "<|audio|>",
            "video_token": "<|video|>",
        },
        config={
            "text_config": {
                "layer_types": SLIDING_AND_FULL,
                "global_head_dim": 2 * HEAD_SIZE,
                "hidden_size_per_layer_input": 8,
                "vocab_size_per_layer_input": lambda tokenizer: len(tokenizer),
            },
            "vision_config": {
                "model_type": "gemma4_vision",
                "hidden_size": TOWER_SIZE,
                "intermediate_size": 64,
                "num_hidden_layers": 2,
                "num_attention_heads": 2,
                "num_key_value_heads": 2,
                "head_dim": HEAD_SIZE,
                "position_embedding_size": 256,
            },
        },
        image={"max_soft_tokens": 70},
        video={"max_soft_tokens": 70},
        processor={"image_seq_length": 70},
        prompt="<|image|>",
    ),
    "fuyu": Family(
        extra_tokens=("<0x00>", "<0x01>", "<0x02>", "<0x03>", "<0x04>"),
        pieces=("|SPEAKER|", "|NEWLINE|"),  # the processor cuts off the space in front of them
        config_tokens={"image_token": "|SPEAKER|"},
        config={"patch_size": PATCH_SIZE, "image_size": IMAGE_SIZE},
        image={"size": SQUARE, "patch_size": {"height": PATCH_SIZE, "width": PATCH_SIZE}},
        prompt="",
        call={"return_legacy_image_output": False},
        max_images=1,
    ),
    "chameleon": Family(
        tokens={"image_token": "<image>", "boi_token": "<racm3:break>", "eoi_token": "<eoss>"},
        extra_tokens=tuple(f"IMGIMG{a}{b}Z" for a in "ABCDEFGH" for b in "ABCDEFGHIJ"),
        config={
            "vocabulary_map": lambda tokenizer: tokenizer.get_vocab(),
            "vq_config": {**TINY_VQ, "resolution": 32, "channel_multiplier": [1, 1, 1, 1]},
        },
        image={"size": {"shortest_edge": 32}, "crop_size": {"height": 32, "width": 32}},
        processor={"image_seq_length": 16},
    ),
    "emu3": Family(
        tokens={
            "image_token": "<image>",
            "boi_token": "<|image start|>",
            "eoi_token": "<|image end|>",
            "image_wrapper_token": "<|image token|>",
            "eof_token": "<|extra_201|>",
        },
        extra_tokens=("<|extra_200|>", *(f"<|visual token {i:06d}|>" for i in range(64))),
        config={
            "vocabulary_map": lambda tokenizer: tokenizer.get_vocab(),
            "text_config": {"attention_dropout": 0.0},
            "vq_config": {"base_channels": 32, "codebook_size": 64, "num_res_blocks": 1, "channel_multiplier": [1, 1, 1, 1]},
        },
        image={"min_pixels": 32 * 32, "max_pixels": 32 * 32},
    ),
}
TILED["gemma4_unified"] = replace(
    TILED["gemma4"],
    config={
        "text_config": {"layer_types": SLIDING_AND_FULL, "global_head_dim": 2 * HEAD_SIZE},
        "vision_config": {"mm_embed_dim": TOWER_SIZE, "output_proj_dims": TOWER_SIZE, "mm_posemb_size": 256},
    },
)

# --- a fixed number of queries per image ---------------------------------------------------------------------------

BLIP2 = Family(
    extra_tokens=("<image>",),  # not as an attribute: the processor only works where it adds the token itself
    config_tokens={"image_token": "<image>"},
    config={"qformer_config": {"encoder_hidden_size": TOWER_SIZE}, "text_config": {"word_embed_proj_dim": TEXT_SIZE}},
    image={"size": SQUARE},
    processor={"num_query_tokens": 4},
    prompt="",
    max_images=1,
)
QUERIES = {
    "kosmos-2": Family(
        config={"latent_query_num": 64},
        image=CROPPED,
        processor={"num_patch_index_tokens": 64},
        classes={"processor": "Kosmos2Processor", "image_processor": "CLIPImageProcessor"},
        prompt="",
        max_images=1,
    ),
    "kosmos-2.5": Family(
        tokens={"boi_token": "<image>", "eoi_token": "</image>", "image_token": "<image_pad>"},
        config={"latent_query_num": 16, "vision_config": {"patch_embed_hidden_size": 3 * PATCH_SIZE**2}},
        image={"patch_size": {"height": PATCH_SIZE, "width": PATCH_SIZE}},
        processor={"num_image_tokens": 16},
        call={"max_patches": 16},
        classes={"processor": "Kosmos2_5Processor"},
        prompt="",
        max_images=1,
    ),
    "blip-2": BLIP2,
    "instructblip": BLIP2,
    "instructblipvideo": replace(
        BLIP2,
        extra_tokens=("<video>",),
        config_tokens={"video_token": "<video>"},
        video={"size": SQUARE},
        max_images=4,  # exactly: the frames of a video
    ),
    "gemma3n": Family(
        tokens={
            **GEMMA_TOKENS,
            "boa_token": "<start_of_audio>",
            "eoa_token": "<end_of_audio>",
            "audio_token": "<audio_soft_token>",
        },
        last_tokens=("<end_of_image>", "<image_soft_token>", "<end_of_audio>", "<audio_soft_token>"),
        config={
            "vision_soft_tokens_per_image": 4,
            "text_config": {
                "layer_types": SLIDING_AND_FULL,
                "hidden_size_per_layer_input": 8,
                "vocab_size_per_layer_input": lambda tokenizer: len(tokenizer) - 4,
                "intermediate_size": [64, 64],
                "activation_sparsity_pattern": [0.0, 0.0],
                "num_kv_shared_layers": 0,
                "laurel_rank": 8,
            },
            "vision_config": {
                "architecture": "test_efficientnet",
                "hidden_size": 256,
                "vocab_size": 2,
                "vocab_offset": lambda tokenizer: len(tokenizer) - 4,
            },
            "audio_config": {
                "vocab_size": 2,
                "vocab_offset": lambda tokenizer: len(tokenizer) - 2,
                "conf_num_attention_heads": 2,
                "conf_num_hidden_layers": 1,
                "sscp_conv_channel_size": [8, 8],
            },
        },
        image={"size": {"height": 64, "width": 64}},
        processor={"image_seq_length": 4},
        prompt="<image_soft_token>",
    ),
    "deepseek_vl_hybrid": replace(
        PROJECTED["deepseek_vl"],
        config={
            "high_res_vision_config": {
                "image_size": 64,
                "patch_size": 4,
                "global_attn_indexes": [0],
                "output_channels": 16,
                "mlp_dim": 64,
            }
        },
        image={"size": SQUARE, "high_res_size": {"height": 64, "width": 64}},
    ),
}

# --- cross-attention, encoder-decoder, captioners ------------------------------------------------------------------

OTHERS = {
    "mllama": Family(
        tokens={"image_token": "<|image|>"},
        extra_tokens=("<|python_tag|>",),
        last_tokens=("<|image|>",),  # an id beyond the output vocabulary, as in the published checkpoints
        config={
            "text_config": {"vocab_size": _id("<|image|>"), "cross_attention_layers": [1]},
            "vision_config": {
                "num_global_layers": 1,
                "intermediate_layers_indices": [0],
                "vision_output_dim": 2 * TOWER_SIZE,
            },
        },
        image={"size": SQUARE},
        prompt="<|image|>",
    ),
    "idefics": Family(
        tokens={"image_token": "<image>"},
        extra_tokens=("<fake_token_around_image>",),
        image={"image_size": IMAGE_SIZE},
        prompt="",
    ),
    "florence2": Family(
        tokens={"image_token": "<image>"},
        config={
            "vision_config": {
                "depths": [1, 1, 1, 1],
                "embed_dim": [8, 16, 24, 32],
                "num_heads": [1, 2, 3, 4],
                "num_groups": [1, 2, 3, 4],
                "patch_size": [7, 3, 3, 3],
                "window_size": 4,
            },
            "text_config": {"decoder_start_token_id": _id("</s>"), "forced_eos_token_id": _id("</s>")},
        },
        image={
            "size": {"height": 64, "width": 64},
            "crop_size": {"height": 64, "width": 64},
            "image_seq_length": 5,
        },
        prompt="",
        max_images=1,
    ),
    "t5gemma2": replace(
        GEMMA3,
        config={
            "encoder": {
                "mm_tokens_per_image": MERGED_TOKENS,
                "text_config": {"layer_types": SLIDING_AND_FULL},
            },
            "decoder": {"layer_types": SLIDING_AND_FULL},
        },
    ),
    "udop": Family(
        tokens={"sep_token": "</s>"},
        add_bos=False,
        config={"image_size": IMAGE_SIZE, "patch_size": PATCH_SIZE},
        image={"size": SQUARE, "apply_ocr": False},
        classes={"tokenizer": "UdopTokenizer"},
        prompt="",
        max_images=1,
    ),
    "pix2struct": Family(
        config={
            "vision_config": {
                "hidden_size": TEXT_SIZE,
                "num_attention_heads": 4,
                "patch_embed_hidden_size": 3 * PATCH_SIZE**2,
                "seq_len": 64,
            }
        },
        image={"patch_size": {"height": PATCH_SIZE, "width": PATCH_SIZE}},
        call={"max_patches": 16},
        prompt="",
        max_images=1,
    ),
    "vision-encoder-decoder": Family(
        config={
            "encoder": {
                "image_size": IMAGE_SIZE,
                "patch_size": PATCH_SIZE,
                "hidden_size": TOWER_SIZE,
                "num_attention_heads": 2,
            }
        },
        image={"size": SQUARE},
        classes={"processor": "TrOCRProcessor", "image_processor": "ViTImageProcessor"},
        prompt="",
        max_images=1,
    ),
    "git": Family(
        image=CROPPED,
        prompt="",
        max_images=1,
    ),
    "blip": Family(
        tokens={"bos_token": "[DEC]", "sep_token": "[SEP]", "eos_token": "[SEP]", "pad_token": "[PAD]"},
        image={"size": SQUARE},
        prompt="",
        max_images=1,
    ),
}

FAMILIES: dict[str, Family] = {**PROJECTED, **PACKED, **TILED, **QUERIES, **OTHERS}
