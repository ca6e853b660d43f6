"""Tiny tokenizers: encode any text, need no download and no training."""

import re
import string
from collections.abc import Mapping
from itertools import product

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
from transformers import PreTrainedTokenizerBase, PreTrainedTokenizerFast, UdopTokenizer

from .family import Family

DEFAULT_TOKENS = {"bos_token": "<s>", "pad_token": "<pad>", "eos_token": "</s>", "unk_token": "<unk>"}
STANDARD_TOKENS = (*DEFAULT_TOKENS, "sep_token", "cls_token", "mask_token")


def family_tokenizer(family: Family) -> PreTrainedTokenizerBase:
    """Return the tokenizer of a family: byte-level BPE, except where its processor insists on a class of its own."""
    if family.classes.get("tokenizer") == "UdopTokenizer":
        return udop_tokenizer()
    return tiny_tokenizer(family.tokens, family.extra_tokens, family.last_tokens, family.add_bos, family.pieces)


def tiny_tokenizer(
    named: Mapping[str, str | None] | None = None,
    extra: tuple[str, ...] = (),
    last: tuple[str, ...] = (),
    add_bos: bool = True,
    pieces: tuple[str, ...] = (),
) -> PreTrainedTokenizerFast:
    """Byte-level BPE whose merges are all pairs of lower-case letters and of a space and a letter.

    Ids: special tokens, the 256 bytes, about 700 pairs, `pieces`, `last`.

    Args:
        named: special tokens by attribute, e.g. `{"eos_token": "<|im_end|>", "image_token": "<image>"}`; bos, eos, unk and
            pad have defaults. None: the tokenizer has no such token.
        extra: further special tokens without an attribute.
        last: which special tokens get the highest ids, in this order, instead of the lowest.
        add_bos: put bos in front of every text, as the family's own tokenizer does.
        pieces: ordinary tokens to keep whole. With them the tokenizer works as SentencePiece does: it puts a space in
            front of every text and takes it off when decoding.
    """
    tokens = {name: token for name, token in {**DEFAULT_TOKENS, **(named or {})}.items() if token is not None}
    special = [token for token in dict.fromkeys([*tokens.values(), *extra]) if token not in last]

    byte_tokens = sorted(pre_tokenizers.ByteLevel.alphabet())
    merges = list(product(["Ġ", *string.ascii_lowercase], string.ascii_lowercase))
    words = [*special, *byte_tokens, *(a + b for a, b in merges), *pieces, *last]
    vocab = {word: i for i, word in enumerate(words)}
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
    if add_bos and "bos_token" in tokens:
        bos = tokens["bos_token"]
        tokenizer.post_processor = processors.TemplateProcessing(
            single=f"{bos}:0 $A:0", pair=f"{bos}:0 $A:0 $B:1", special_tokens=[(bos, tokenizer.token_to_id(bos))]
        )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        extra_special_tokens={name: token for name, token in tokens.items() if name not in STANDARD_TOKENS},
        model_max_length=4096,
        clean_up_tokenization_spaces=False,
        **{name: token for name, token in tokens.items() if name in STANDARD_TOKENS},
    )


def udop_tokenizer() -> UdopTokenizer:
    """UDOP's own class, which takes a box per word; one token per printable ASCII character, line breaks are lost."""
    characters = [c for c in string.printable if not c.isspace()]
    special = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0)]
    return UdopTokenizer(vocab=[*special, *((piece, -2.0) for piece in ["▁", *characters])])
