"""Cross-attention, encoder-decoder, query and captioning models, and those that turn images into words."""

from dataclasses import replace

from .configs import IMAGE_SIZE, PATCH_SIZE, TEXT_SIZE, TOWER_SIZE
from .family import CROPPED, SQUARE, TINY_VQ, Family, token_id

BLIP2 = Family(
    extra_tokens=("<image>",),  # not as an attribute: the processor only works where it adds the token itself
    config_tokens={"image_token": "<image>"},
    config={"qformer_config": {"encoder_hidden_size": TOWER_SIZE}, "text_config": {"word_embed_proj_dim": TEXT_SIZE}},
    image={"size": SQUARE},
    processor={"num_query_tokens": 4},
    prompt="",
    max_images=1,
)
OTHERS: dict[str, Family] = {
    "mllama": Family(
        tokens={"image_token": "<|image|>"},
        extra_tokens=("<|python_tag|>",),
        last_tokens=("<|image|>",),  # an id beyond the output vocabulary, as in the published checkpoints
        config={
            "text_config": {
                "vocab_size": token_id("<|image|>"),
                "num_hidden_layers": 4,
                "cross_attention_layers": [1, 3],
            },
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
            "text_config": {"decoder_start_token_id": token_id("</s>"), "forced_eos_token_id": token_id("</s>")},
        },
        image={
            "size": {"height": 64, "width": 64},
            "crop_size": {"height": 64, "width": 64},
            "image_seq_length": 5,
        },
        prompt="",
        max_images=1,
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
    "blip": Family(
        tokens={"bos_token": "[DEC]", "sep_token": "[SEP]", "eos_token": "[SEP]", "pad_token": "[PAD]"},
        image={"size": SQUARE},
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
    "git": Family(
        image=CROPPED,
        prompt="",
        max_images=1,
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
            "vq_config": {
                "base_channels": 32,
                "codebook_size": 64,
                "num_res_blocks": 1,
                "channel_multiplier": [1, 1, 1, 1],
            },
        },
        image={"min_pixels": 32 * 32, "max_pixels": 32 * 32},
    ),
    "apertus1p5": Family(
        tokens={
            "image_token": "<|image|>",
            "audio_token": "<|audio|>",
            "boi_token": "<|img_start|>",
            "eoi_token": "<|img_end|>",
            "image_wrapper_token": "<|img_token_start|>",
            "eol_token": "<|img_end_of_row|>",
            "boa_token": "<|audio_start|>",
            "eoa_token": "<|audio_end|>",
        },
        extra_tokens=(*(f"<|visual token {i}|>" for i in range(64)), *(f"<|audio token {i}|>" for i in range(16))),
        config={
            "image_token_offset": token_id("<|visual token 0|>"),
            "audio_token_offset": token_id("<|audio token 0|>"),
            "vision_config": {
                "base_channels": 32,
                "channel_multiplier": [1, 1, 1, 1],
                "codebook_size": 64,
                "embed_dim": 8,
                "latent_channels": 8,
                "num_res_blocks": 1,
            },
            "audio_config": {"codebook_size": 16, "codebook_dim": TOWER_SIZE},
        },
        image={"size": {"min_pixels": 32 * 32, "max_pixels": 32 * 32}, "spatial_factor": 8},
        prompt="<|image|>",
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
}
