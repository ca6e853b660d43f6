"""A vision-language model small enough to train from scratch on a CPU, where no published weights can be had."""

from collections.abc import Iterable
from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from torch import nn
from transformers import (
    Idefics3Config,
    Idefics3ForConditionalGeneration,
    Idefics3ImageProcessor,
    Idefics3Processor,
    PreTrainedTokenizerFast,
)

IMAGE_TOKENS = ["<fake_token_around_image>", "<global-img>", "<image>", "<end_of_utterance>"]


def write_scratch_backbone(
    folder: str | Path,
    sentences: Iterable[str],
    image_size: int = 64,
    patch_size: int | None = None,
    hidden_size: int = 96,
    vision_layers: int = 2,
    text_layers: int = 3,
    seed: int = 0,
) -> Path:
    """Write a random-weight Idefics3 (SigLIP-like vision tower, pixel shuffle, Llama) of 1-3 million parameters with
    a word-piece tokenizer trained on `sentences`.

    `patch_size` (an eighth of `image_size` by default) must divide it, and the number of patches per side be even.
    """
    patch_size = patch_size or image_size // 8
    side = image_size // patch_size
    if image_size % patch_size or side % 2:
        raise ValueError(
            f"image_size = {image_size} must hold an even number of patches of patch_size = {patch_size}."
        )
    folder = Path(folder)
    tokenizer = _tokenizer(sentences)
    ids = tokenizer.convert_tokens_to_ids
    heads = max(1, hidden_size // 32)
    config = Idefics3Config(
        vision_config={
            "hidden_size": hidden_size,
            "intermediate_size": 2 * hidden_size,
            "num_hidden_layers": vision_layers,
            "num_attention_heads": heads,
            "image_size": image_size,
            "patch_size": patch_size,
        },
        text_config={
            "model_type": "llama",
            "hidden_size": hidden_size,
            "intermediate_size": 2 * hidden_size,
            "num_hidden_layers": text_layers,
            "num_attention_heads": heads,
            "num_key_value_heads": heads,
            "vocab_size": len(tokenizer),
            "max_position_embeddings": 1024,
            "pad_token_id": tokenizer.pad_token_id,
            "bos_token_id": tokenizer.bos_token_id,
            "eos_token_id": tokenizer.eos_token_id,
        },
        image_token_id=ids("<image>"),
        scale_factor=2,
        pad_token_id=tokenizer.pad_token_id,  # pyright: ignore[reportCallIssue]  (a property that config.json has too)
        tie_word_embeddings=True,
    )
    edge = {"longest_edge": image_size}
    image_processor = Idefics3ImageProcessor(size=edge, max_image_size=edge, do_image_splitting=False)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = Idefics3ForConditionalGeneration(config)
        _widen(model)
    model.save_pretrained(folder)
    Idefics3Processor(image_processor, tokenizer, image_seq_len=(side // 2) ** 2).save_pretrained(folder)
    return folder


@torch.no_grad()
def _widen(model: nn.Module) -> None:
    """Initial weights that suit narrow layers: standard deviation 1/sqrt(fan-in), halved where a layer writes into the
    residual stream."""
    for name, module in model.named_modules():
        if isinstance(module, (nn.Linear, nn.Conv2d)):
            writes = name.endswith(("o_proj", "down_proj", "out_proj", "fc2"))
            module.weight.normal_(std=(0.5 if writes else 1.0) * module.weight[0].numel() ** -0.5)
        elif isinstance(module, nn.Embedding):
            module.weight.normal_(std=0.5 if "position" in name else 1.0)


def _tokenizer(sentences: Iterable[str]) -> PreTrainedTokenizerFast:
    """Byte-level pairs, so that any other sentence can be written too."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=1024,
        special_tokens=["<pad>", "<s>", "</s>", *IMAGE_TOKENS],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(sentences, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token="<s>",
        eos_token="</s>",
        pad_token="<pad>",
        extra_special_tokens=IMAGE_TOKENS,
    )
