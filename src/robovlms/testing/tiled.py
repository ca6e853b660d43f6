"""Families whose processors cut an image into tiles, or whose models merge or resample the patches."""

from dataclasses import replace

from .configs import HEAD_SIZE, IMAGE_SIZE, PATCH_SIZE, TEXT_SIZE, TOWER_SIZE
from .family import IMAGE_TOKENS, MERGED_TOKENS, QWEN_TOKENS, SQUARE, Family, token_id
from .qwen_like import QWEN3_5

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
TILED: dict[str, Family] = {
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
            "image_patch_id": token_id("<im_patch>"),
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
}
