"""Uniform bins: one token per dimension and step."""

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from .action_tokenizer import ActionTokenizer, register_action_tokenizer


@register_action_tokenizer
class UniformActionTokenizer(ActionTokenizer):
    """Normalised actions in [-1, 1] to ids of the vocabulary and back, as RT-2 and OpenVLA do it.

    Args:
        token_ids: one id per bin, from -1 to +1. The edges of the bins are `len(token_ids)` equally spaced numbers, so
            that the last bin holds +1 alone and decodes as the one before it.
    """

    kind: ClassVar[str] = "uniform"

    def __init__(self, token_ids: Sequence[int]):
        if len(token_ids) < 2 or len(set(token_ids)) != len(token_ids):
            raise ValueError(f"token_ids must be at least two distinct ids, got {len(token_ids)}.")
        self.token_ids = tuple(int(i) for i in token_ids)
        self.edges = np.linspace(-1.0, 1.0, len(token_ids))
        centers = (self.edges[:-1] + self.edges[1:]) / 2
        self._centers = np.append(centers, centers[-1])
        self._bin_of = {token: index for index, token in enumerate(self.token_ids)}

    def to_dict(self) -> dict[str, Any]:
        return {"token_ids": list(self.token_ids)}

    def encode(self, actions: np.ndarray, /) -> np.ndarray:
        """`(...)` normalised to ids `(...)`; what lies beyond [-1, 1] counts as the outermost bin.

        Raises:
            ValueError: for values that are not finite.
        """
        actions = np.asarray(actions, dtype=np.float64)
        if not np.isfinite(actions).all():
            raise ValueError("actions hold a value that is not finite: it has no bin.")
        bins = np.digitize(np.clip(actions, -1.0, 1.0), self.edges) - 1
        return np.asarray(self.token_ids)[bins]

    def decode(self, ids: Any, /) -> np.ndarray:
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


def original_token_ids(orig: int, n_bins: int) -> tuple[int, ...]:
    """Return the ids of the original release, which counts down from `orig` (exclusive) as values go up."""
    return tuple(range(orig - 1, orig - n_bins - 1, -1))
