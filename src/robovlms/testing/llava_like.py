"""Families that put one projected square of patch embeddings per image (or per tile) among the text tokens."""

from dataclasses import replace

from .configs import IMAGE_SIZE, PATCH_SIZE
from .family import CROPPED, IMAGE_TOKENS, MERGED_TOKENS, QWEN_TOKENS, SQUARE, TINY_VQ, Family

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
ANYRES = [[IMAGE_SIZE, 2 * IMAGE_SIZE], [2 * IMAGE_SIZE, IMAGE_SIZE], [2 * IMAGE_SIZE, 2 * IMAGE_SIZE]]
LLAVA_NEXT = replace(
    LLAVA,
    tokens={"image_token": "<image>", "video_token": "<video>"},
    config={**LLAVA.config, "image_grid_pinpoints": ANYRES},
    image={**CROPPED, "image_grid_pinpoints": ANYRES},
)
INTERNVL_TOKENS = {
    "start_image_token": "<img>",
    "end_image_token": "</img>",
    "context_image_token": "<IMG_CONTEXT>",
    "video_token": "<video>",
}
INTERNVL = Family(
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
)
DEEPSEEK_VL = Family(
    tokens={"image_token": "<image_placeholder>"},
    image={"size": SQUARE},
    processor={"num_image_tokens": IMAGE_TOKENS},
    prompt="<image_placeholder>",
)
LLAVA_LIKE: dict[str, Family] = {
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
            "spatial_target_layers": [1, 2, 3, 4],
            "vision_config": {"hidden_size": 64},  # its Q-Former has one head per 64 channels
            "text_config": {"num_hidden_layers": 5},
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
    "deepseek_vl": DEEPSEEK_VL,
    "janus": Family(
        tokens={"image_token": "<image_placeholder>", "boi_token": "<begin_of_image>", "eoi_token": "<end_of_image>"},
        config={"vision_config": {"num_image_tokens": IMAGE_TOKENS}, "vq_config": TINY_VQ},
        image={"size": SQUARE},
        processor={"num_image_tokens": IMAGE_TOKENS},
        prompt="<image_placeholder>",
    ),
    "internvl": INTERNVL,
    "qianfan_ocr": replace(INTERNVL, extra_tokens=("<image>",), video={}, prompt="<image>"),
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
}
