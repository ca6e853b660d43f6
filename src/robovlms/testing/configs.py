"""Tiny configurations: the family's default configuration, shrunk by walking its sub-configurations."""

from collections.abc import Mapping
from copy import deepcopy
from typing import Any

from transformers import CONFIG_MAPPING, PreTrainedConfig, PreTrainedTokenizerBase

TEXT_SIZE, TOWER_SIZE = 64, 32  # different on purpose: a model that mixes them up must fail
HEAD_SIZE = 16
PATCH_SIZE, IMAGE_SIZE = 14, 56

_TEXT_SIZES = {
    "num_hidden_layers num_layers num_decoder_layers layers encoder_layers decoder_layers depth n_layers": 2,
    "num_attention_heads num_heads attention_heads encoder_attention_heads decoder_attention_heads": 4,
    "swa_num_attention_heads num_sliding_attention_heads": 4,
    "num_key_value_heads swa_num_key_value_heads": 2,
    "head_dim d_kv swa_head_dim": HEAD_SIZE,
    "hidden_size d_model embed_dim": TEXT_SIZE,
    "intermediate_size ffn_dim d_ff mlp_dim encoder_ffn_dim decoder_ffn_dim intermediate_size_mlp": 64,
    "moe_intermediate_size shared_expert_intermediate_size dense_intermediate_size shared_intermediate_size": 64,
    "shared_experts_intermediate_size moe_shared_expert_intermediate_size share_expert_dim": 64,
    "num_experts num_local_experts n_routed_experts moe_num_experts": 4,
    "num_experts_per_tok moe_topk moe_k": 2,
    "n_group topk_group first_k_dense_replace n_shared_experts moe_num_shared_experts": 1,
    "kv_lora_rank q_lora_rank v_head_dim index_head_dim": HEAD_SIZE,
    "qk_rope_head_dim qk_nope_head_dim": HEAD_SIZE // 2,
    "index_n_heads linear_num_key_heads": 2,
    "linear_num_value_heads linear_num_heads": 4,
    "linear_key_head_dim linear_value_head_dim linear_head_dim": HEAD_SIZE,
    "out_hidden_size text_hidden_size": TEXT_SIZE,
    "num_position_embeddings num_patches": (IMAGE_SIZE // PATCH_SIZE) ** 2,
    "num_query_tokens image_seq_length": 4,
    "projection_dim projector_hidden_size": TEXT_SIZE,
}
TEXT_SIZES = {name: size for names, size in _TEXT_SIZES.items() for name in names.split()}
TOWER_SIZES = {
    **TEXT_SIZES,
    "hidden_size": TOWER_SIZE,
    "d_model": TOWER_SIZE,
    "embed_dim": TOWER_SIZE,
    "num_attention_heads": 2,
    "num_key_value_heads": 2,
    "num_heads": 2,
    "attention_heads": 2,
    "encoder_attention_heads": 2,
    "patch_size": PATCH_SIZE,
    "image_size": IMAGE_SIZE,
}
TOWERS = ("vision", "audio", "vq", "sam", "qformer", "adapter", "perceiver")
LENGTHS = ("max_position_embeddings", "max_source_positions")
STANDARD_TOKENS = ("bos_token", "eos_token", "pad_token", "sep_token")


def tiny_config(
    model_type: str,
    tokenizer: PreTrainedTokenizerBase,
    tokens: Mapping[str, str | None],
    overrides: Mapping[str, Any],
) -> PreTrainedConfig:
    """Return the default configuration of `model_type`, shrunk, with the tokenizer's vocabulary and special ids.

    Args:
        tokens: special tokens by name; every field called `{name}_id` or `{name}_index` takes the token's id.
        overrides: nested values set last, e.g. `{"vision_config": {"out_hidden_size": 64}}`. A value may be a function
            of the tokenizer.
    """
    tokens = {**{name: getattr(tokenizer, name) for name in STANDARD_TOKENS}, **tokens}
    ids = {
        f"{name}_{suffix}": None if token is None else tokenizer.convert_tokens_to_ids(token)
        for name, token in tokens.items()
        for suffix in ("id", "index")
    }
    values = _shrink(CONFIG_MAPPING[model_type](), len(tokenizer), ids, TEXT_SIZES)
    values = _merge(values, overrides, tokenizer)
    values.pop("model_type")
    config = CONFIG_MAPPING[model_type](**values)
    _check_ids(model_type, config.to_dict(), len(tokenizer))
    return config


def _shrink(
    config: PreTrainedConfig, vocab_size: int, ids: Mapping[str, Any], sizes: dict[str, int]
) -> dict[str, Any]:
    """Only the changed fields of a (sub-)configuration, so that its class derives the others from them anew."""
    fields, plain = config.to_dict(), type(config)().to_dict()
    changed: dict[str, Any] = {"model_type": config.model_type}
    for name, value in fields.items():
        if isinstance(value, dict) and "model_type" in value:
            part_sizes = TOWER_SIZES if any(tower in name for tower in TOWERS) else sizes
            changed[name] = _shrink(getattr(config, name), vocab_size, ids, part_sizes)
        elif name in ids:
            changed[name] = ids[name]
        elif isinstance(value, int) and not isinstance(value, bool):
            if name == "vocab_size":
                changed[name] = vocab_size
            elif name in LENGTHS:
                changed[name] = min(value, 2048)
            elif name in sizes:
                changed[name] = sizes[name]
        elif value != plain.get(name) and not isinstance(value, dict | list | tuple):
            changed[name] = value  # a field that the family sets in its part, e.g. is_decoder
    for kind in ("", "swa_"):
        heads, kv_heads = f"{kind}num_attention_heads", f"{kind}num_key_value_heads"
        if heads in changed and fields[heads] == fields.get(kv_heads):
            changed[kv_heads] = changed[heads]
    if "kv_lora_rank" in changed:  # latent attention: only the rotated part of a head counts as head_dim
        changed["head_dim"] = changed["qk_rope_head_dim"]
    return changed


def _merge(
    base: Mapping[str, Any], overrides: Mapping[str, Any], tokenizer: PreTrainedTokenizerBase
) -> dict[str, Any]:
    merged = dict(base)
    for name, value in overrides.items():
        if isinstance(value, dict) and isinstance(merged.get(name), dict):
            merged[name] = _merge(merged[name], value, tokenizer)
        else:
            merged[name] = value(tokenizer) if callable(value) else deepcopy(value)  # configurations write into them
    return merged


def _check_ids(where: str, config: dict[str, Any], vocab_size: int) -> None:
    """An id left at its full-size default would index outside the tiny embedding (private fields are not read)."""
    for name, value in config.items():
        if isinstance(value, dict) and "model_type" in value:
            _check_ids(f"{where}.{name}", value, vocab_size)
            continue
        public_id = name.endswith(("token_id", "token_index")) and not name.startswith("_")
        if public_id and isinstance(value, int) and value >= vocab_size:
            raise ValueError(f"{where}.{name} is {value}, outside the tiny vocabulary of {vocab_size} tokens")
