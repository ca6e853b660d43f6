"""Families with a SAM image encoder."""

from dataclasses import replace

from .configs import HEAD_SIZE, TOWER_SIZE
from .family import SQUARE, Family
from .llava_like import DEEPSEEK_VL

# The number of image tokens is fixed in most, so the grid must be 64 x 64: tiny patches, local attention.
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
SAM_LIKE: dict[str, Family] = {
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
    "deepseek_vl_hybrid": replace(
        DEEPSEEK_VL,
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
