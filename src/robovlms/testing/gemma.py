"""PaliGemma and the Gemma families."""

from dataclasses import replace

from .configs import HEAD_SIZE, TOWER_SIZE
from .family import IMAGE_TOKENS, MERGED_TOKENS, SLIDING_AND_FULL, SQUARE, Family

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
GEMMA4 = Family(
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
)
GEMMA: dict[str, Family] = {
    "paligemma": Family(
        tokens={"bos_token": "<bos>", "eos_token": "<eos>", "image_token": "<image>"},
        image={"size": SQUARE, "image_seq_length": IMAGE_TOKENS},
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
    "gemma4": GEMMA4,
    "gemma4_unified": replace(
        GEMMA4,
        config={
            "text_config": {"layer_types": SLIDING_AND_FULL, "global_head_dim": 2 * HEAD_SIZE},
            "vision_config": {"mm_embed_dim": TOWER_SIZE, "output_proj_dims": TOWER_SIZE, "mm_posemb_size": 256},
        },
    ),
}
