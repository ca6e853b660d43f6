"""A tiny byte-level BPE tokenizer: encodes any text, needs no download and no training."""

import re
from itertools import product
from string import ascii_lowercase

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

DEFAULT_TOKENS = {"bos_token": "<s>", "pad_token": "<pad>", "eos_token": "</s>", "unk_token": "<unk>"}


def tiny_tokenizer(
    named: dict[str, str] | None = None,
    extra: tuple[str, ...] = (),
    last: tuple[str, ...] = (),
    add_bos: bool = True,
    pieces: tuple[str, ...] = (),
) -> PreTrainedTokenizerFast:
    """Build the tokenizer of a tiny backbone.

    Ordinary ids: the special tokens first, then the 256 bytes and every pair of lower-case letters (or space + letter),
    about 970 ordinary tokens in all.

    Args:
        named: special tokens by attribute, e.g. `{"eos_token": "<|im_end|>", "image_token": "<image>"}`; bos, eos, unk and
            pad have defaults. A value of None means that the tokenizer has no such token.
        extra: further special tokens without an attribute.
        last: which special tokens get the highest ids, in this order, instead of the lowest.
        add_bos: put bos in front of every text, as the family's own tokenizer does.
        pieces: ordinary tokens to keep whole. With them the tokenizer works as SentencePiece does: it puts a space in
            front of every text and takes it off when decoding.
    """
    named = {name: token for name, token in {**DEFAULT_TOKENS, **(named or {})}.items() if token is not None}
    special = [token for token in dict.fromkeys([*named.values(), *extra]) if token not in last]

    byte_tokens = sorted(pre_tokenizers.ByteLevel.alphabet())
    merges = list(product(["Ġ", *ascii_lowercase], ascii_lowercase))
    tokens = [*special, *byte_tokens, *(a + b for a, b in merges), *pieces, *last]
    vocab = {token: i for i, token in enumerate(tokens)}
    tokenizer = Tokenizer(models.BPE(vocab=vocab, merges=merges, ignore_merges=True))
    if pieces:
        split = pre_tokenizers.Split(Regex("|".join(map(re.escape, pieces))), "isolated")
        byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
        tokenizer.normalizer = normalizers.Prepend(" ")
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence([split, byte_level])
        tokenizer.decoder = decoders.Sequence([decoders.ByteLevel(), decoders.Strip(" ", 1, 0)])
    else:
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(token, normalized=False, special=True) for token in (*special, *last)])
    if add_bos and "bos_token" in named:
        bos = named["bos_token"]
        tokenizer.post_processor = processors.TemplateProcessing(
            single=f"{bos}:0 $A:0", pair=f"{bos}:0 $A:0 $B:1", special_tokens=[(bos, tokenizer.token_to_id(bos))]
        )
    standard = ("bos_token", "eos_token", "unk_token", "pad_token", "sep_token", "cls_token", "mask_token")
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        extra_special_tokens={name: token for name, token in named.items() if name not in standard},
        **{name: token for name, token in named.items() if name in standard},
        model_max_length=4096,
        clean_up_tokenization_spaces=False,
    )
