"""Families that pack the patches of all images into one sequence, most with multi-axis rotary positions."""

from dataclasses import replace

from .configs import HEAD_SIZE, IMAGE_SIZE, PATCH_SIZE, TEXT_SIZE, TOWER_SIZE
from .family import IMAGE_TOKENS, INTERLEAVED_MROPE, MROPE, ONE_OF_EACH, PIXELS, QWEN_TOKENS, Family, token_id

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
    config={
        **QWEN3.config,
        "audio_config": {"output_dim": TEXT_SIZE, "downsample_hidden_size": 8},
        "vision_start_token_id": token_id("<|vision_start|>"),
    },
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
MUSE = replace(
    QWEN,
    tokens={"image_token": "<|patch|>", "video_token": "<|video|>"},
    extra_tokens=("<|image_start|>", "<|image_end|>", "<|vid_frame_separator|>", "<|vid_start|>", "<|vid_end|>"),
    config={
        "out_hidden_size": 4 * TOWER_SIZE,
        "vision_config": {"pos_emb_height": 8, "pos_emb_width": 8, "max_position_embeddings": 64},
    },
    prompt="<|patch|>",
)
INKLING2 = replace(
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
)
QWEN_LIKE: dict[str, Family] = {
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
        config={
            "text_config": {"rope_parameters": {**MROPE, "partial_rotary_factor": 0.5, "mrope_section": [1, 1, 2]}}
        },
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
            "text_config": {
                "rope_parameters": {**MROPE, "mrope_section": [3, 3, 2]},
                "moe_intermediate_size": [64, 32],
            }
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
    "muse_glimmer": MUSE,
    "muse_spark": replace(
        MUSE,
        tokens={**MUSE.tokens, "audio_token": "<|audio|>"},
        extra_tokens=(*MUSE.extra_tokens, "<|soft_audio_start|>", "<|soft_audio_end|>"),
        config={
            **MUSE.config,
            "text_config": {"moe_hidden_size": 32},
            "audio_config": {
                "patch_sizes": [16, 6],
                "hidden_sizes": [16, 32],
                "depths": [1, 1],
                "num_hidden_layers": 2,
            },
        },
    ),
    "hunyuan_vl": replace(
        QWEN,
        tokens={"image_token": "<image>", "image_start_token": "<im_start>", "image_end_token": "<im_end>"},
        config={
            "text_config": {
                "head_dim": HEAD_SIZE,
                "eod_token_id": token_id("</s>"),
                "rope_parameters": {**MROPE, "mrope_section": [2, 2, 2, 2]},
            },
            "vision_config": {"max_image_size": 4 * IMAGE_SIZE},
        },
        prompt="<im_start><image><im_end>",
    ),
    "hy_v4_vl": replace(
        QWEN,
        tokens={
            "image_token": "<image>",
            "video_token": "<video>",
            "image_start_token": "<im_start>",
            "image_end_token": "<im_end>",
        },
        config={
            "text_config": {
                "rope_parameters": {**MROPE, "mrope_section": [2, 1, 1]},
                "mlp_layer_types": ["dense", "sparse"],
                "indexer_types": ["full", "shared"],
            },
            "vision_config": {"max_image_size": 4 * IMAGE_SIZE},
        },
        prompt="<im_start><image><im_end>",
    ),
    "inkling2": INKLING2,
    "inkling2_loop": replace(
        INKLING2,
        config={
            **INKLING2.config,
            "text_config": {
                **INKLING2.config["text_config"],
                "num_hidden_layers": 4,
                "layer_types": ["hybrid_sliding", "hybrid"] * 2,
                "loop_layer_index_start": 1,
                "loop_layer_index_end": 3,
                "loop_num_passes": 2,
                "loop_gate_rank": 8,
            },
        },
        classes={"processor": "Inkling2Processor"},
    ),
}
