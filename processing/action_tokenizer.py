"""Actions as tokens of the vocabulary: what every way of writing them offers, which ways there are, which ids they take."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, ClassVar, Literal, Self, TypeVar

import numpy as np
import torch
from transformers import BatchFeature

from ..configuration.action_contract import ActionContract
from ..configuration.saving import travels_with
from .backbone_inputs import append_tokens


class ActionTokenizer:
    """Writes normalised actions as ids of the vocabulary, and reads them. Subclass it and `register_action_tokenizer`."""

    kind: ClassVar[str]
    """What the model's config calls it."""
    ends_with_stop: ClassVar[bool] = False
    """Whether chunks differ in length, so that one more token says where a chunk ends."""
    token_ids: tuple[int, ...]
    """The vocabulary's ids of its tokens."""

    @travels_with("one_step_discrete")
    @classmethod
    def from_vocabulary(cls, tokenizer: Any, count: int, placement: Literal["reuse", "new"]) -> Self:
        """With `count` ids: the last ordinary tokens of the vocabulary, or new ones, which are added to it."""
        ids = new_token_ids(tokenizer, count) if placement == "new" else reused_token_ids(tokenizer, count)
        return cls.from_dict({"token_ids": ids})

    @travels_with()
    @classmethod
    def fit(
        cls, chunks: np.ndarray | list[np.ndarray], vocab_size: int, scale: float, token_ids: Sequence[int]
    ) -> Self:
        """Train on normalised chunks `(chunks, chunk_size, action_dim)`, or a list of such arrays of several widths;
        TypeError where there is nothing to learn."""
        raise TypeError(f"{cls.__name__} learns nothing from chunks.")

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> Self:
        """The inverse of `to_dict`."""
        return cls(**fields)

    def to_dict(self) -> dict[str, Any]:
        """The constructor's arguments, as JSON values."""
        raise NotImplementedError

    def of_width(self, action_dim: int) -> Self:
        """The same encoding for chunks of another width, where it takes any."""
        return self

    @property
    def token_lengths(self) -> tuple[int, ...] | None:
        """How many numbers of a chunk each token stands for, where that differs and is known."""
        return None

    def tokens_per_chunk(self, contracts: Collection[ActionContract]) -> int:
        """How many tokens a chunk takes at most; ValueError where chunks differ in their number of steps."""
        sizes = {contract.chunk_size for contract in contracts}
        if len(sizes) > 1:
            raise ValueError(f"Discrete actions need one chunk size for all contracts, got {sorted(sizes)}.")
        return sizes.pop() * max(contract.predicted.dim for contract in contracts) + int(self.ends_with_stop)

    def require_own_tokens(self, token_source: str, instruction_frames: str) -> None:
        """Raises ValueError for a processor's options that the discrete structure cannot be given."""
        if token_source != "action" or instruction_frames != "every":
            raise ValueError(
                "The discrete structure writes its own tokens: token_source must be 'action' and instruction_frames "
                f"'every', got {token_source!r} and {instruction_frames!r}."
            )

    def encode(self, actions: np.ndarray, /) -> Sequence[int] | np.ndarray:
        """A normalised chunk `(chunk_size, action_dim)` to ids."""
        raise NotImplementedError

    def decode(self, ids: Any, /) -> np.ndarray:
        """The ids of a chunk to its numbers, float32; ValueError for an id that is no action token."""
        raise NotImplementedError

    def add_labels(
        self,
        inputs: BatchFeature,
        actions: list[np.ndarray],
        valid: torch.Tensor,
        decoding: Literal["autoregressive", "parallel"],
        text_tokenizer: Any,
        token_type: int | None,
    ) -> None:
        """Labels of each sample's normalised `(window, chunk, action_dim)`, where `valid` `(batch, window, chunk)`;
        autoregressive action tokens are also appended to the prompts."""
        ids, targets = [], []
        for chunk, count in zip([one for chunks in actions for one in chunks], valid.flatten(0, 1), strict=True):
            row = torch.as_tensor(self.of_width(chunk.shape[-1]).encode(chunk)).flatten()
            if self.ends_with_stop:  # a whole chunk or none: its tokens are not those of single steps
                row = torch.cat([row, row.new_tensor([text_tokenizer.eos_token_id])])
                targets.append(row)
            else:
                targets.append(torch.where(count[:, None].expand(chunk.shape).flatten(), row, -100))
            ids.append(row)
        if decoding == "parallel":
            labels = torch.full_like(inputs["input_ids"], -100)
            inputs["labels"] = labels.masked_scatter(inputs["action_token_mask"], torch.cat(targets))
        else:
            append_tokens(inputs, ids, targets, text_tokenizer.pad_token_id, token_type)


TokenizerClass = TypeVar("TokenizerClass", bound=type[ActionTokenizer])

ACTION_TOKENIZERS: dict[str, "type[ActionTokenizer]"] = {}
"""By `kind`."""


def register_action_tokenizer(tokenizer: TokenizerClass) -> TokenizerClass:
    """Class decorator: makes it known by its `kind`."""
    ACTION_TOKENIZERS[tokenizer.kind] = tokenizer
    return tokenizer


def choose_action_tokenizer(kind: str) -> "type[ActionTokenizer]":
    """Raises ValueError, listing the kinds that there are, for another."""
    if kind not in ACTION_TOKENIZERS:
        raise ValueError(f"Unknown action tokenizer {kind!r}: there are {sorted(ACTION_TOKENIZERS)} here.")
    return ACTION_TOKENIZERS[kind]


def reused_token_ids(tokenizer: Any, count: int, offset: int = 10, forbidden: Iterable[int] = ()) -> tuple[int, ...]:
    """The last `count` ordinary tokens of a vocabulary but `offset`, for the bins from -1 (the highest id) to +1.

    Special and added tokens (images, locations, ...) and those in `forbidden` are left alone, wherever they stand.
    Save the list: it cannot be recomputed once the tokenizer has changed.

    Raises:
        ValueError: if the vocabulary is too small.
    """
    taken = {*tokenizer.added_tokens_decoder, *tokenizer.all_special_ids, *forbidden}
    ordinary = sorted(set(tokenizer.get_vocab().values()) - taken)
    if len(ordinary) < count + offset:
        raise ValueError(f"The vocabulary has {len(ordinary)} ordinary tokens, {count} + {offset} are needed.")
    return tuple(reversed(ordinary[len(ordinary) - offset - count : len(ordinary) - offset]))


def new_token_ids(tokenizer: Any, count: int) -> tuple[int, ...]:
    """Add `count` tokens to the tokenizer, for the bins from -1 to +1; the model's vocabulary grows with them."""
    names = [f"<robovlms_bin_{index}>" for index in range(count)]
    tokenizer.add_tokens(names, special_tokens=True)
    return tuple(tokenizer.convert_tokens_to_ids(names))
