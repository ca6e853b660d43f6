"""Uniform bins: one token per dimension and step."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np


class UniformActionTokenizer:
    """Normalised actions in [-1, 1] to ids of the vocabulary and back, as RT-2 and OpenVLA do it.

    Args:
        token_ids: one id per bin, from -1 to +1. The edges of the bins are `len(token_ids)` equally spaced numbers, so
            that the last bin holds +1 alone and decodes as the one before it.
    """

    def __init__(self, token_ids: Sequence[int]):
        if len(token_ids) < 2 or len(set(token_ids)) != len(token_ids):
            raise ValueError(f"token_ids must be at least two distinct ids, got {len(token_ids)}.")
        self.token_ids = tuple(int(i) for i in token_ids)
        self.edges = np.linspace(-1.0, 1.0, len(token_ids))
        centers = (self.edges[:-1] + self.edges[1:]) / 2
        self._centers = np.append(centers, centers[-1])
        self._bin_of = {token: index for index, token in enumerate(self.token_ids)}

    def encode(self, actions: np.ndarray) -> np.ndarray:
        """`(...)` normalised to ids `(...)`; what lies beyond [-1, 1] counts as the outermost bin.

        Raises:
            ValueError: for values that are not finite.
        """
        actions = np.asarray(actions, dtype=np.float64)
        if not np.isfinite(actions).all():
            raise ValueError("actions hold a value that is not finite: it has no bin.")
        bins = np.digitize(np.clip(actions, -1.0, 1.0), self.edges) - 1
        return np.asarray(self.token_ids)[bins]

    def decode(self, ids: np.ndarray) -> np.ndarray:
        """Ids `(...)` to the middles of their bins, float32 `(...)`.

        Raises:
            ValueError: for an id that is no action token.
        """
        ids = np.asarray(ids)
        if unknown := sorted(set(ids.ravel().tolist()) - set(self._bin_of)):
            raise ValueError(
                f"id(s) {unknown[:8]} are no action tokens; those are {min(self.token_ids)} to {max(self.token_ids)}."
            )
        bins = np.array([self._bin_of[token] for token in ids.ravel().tolist()], dtype=int).reshape(ids.shape)
        return self._centers[bins].astype(np.float32)


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


def original_token_ids(orig: int, n_bins: int) -> tuple[int, ...]:
    """The ids of the original release, which counts down from `orig` (exclusive) as values go up."""
    return tuple(range(orig - 1, orig - n_bins - 1, -1))
