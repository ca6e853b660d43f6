"""FAST: a chunk as the compressed text of its frequencies (Pertsch et al. 2025, arXiv 2501.09747)."""

import math
from collections.abc import Iterable, Sequence
from typing import Any, Self

import numpy as np
from scipy.fft import dct, idct
from tokenizers import Tokenizer, models, trainers

FIRST_CHARACTER = 0x4E00  # a long run of characters that are letters and nothing else


class FASTActionTokenizer:
    """Normalised chunks to few tokens: cosine transform over time, rounding, byte-pair encoding.

    Args:
        bpe: the trained byte-pair encoding, as JSON of the `tokenizers` library.
        chunk_size, action_dim: of the chunks.
        scale: rounding keeps `1 / scale` of the transform's coefficients; larger is finer and longer.
        token_ids: the vocabulary's id of each of the encoding's tokens.
    """

    def __init__(self, bpe: str, chunk_size: int, action_dim: int, scale: float, token_ids: Sequence[int]):
        self.bpe = Tokenizer.from_str(bpe)
        self.chunk_size, self.action_dim, self.scale = chunk_size, action_dim, float(scale)
        self.token_ids = tuple(int(i) for i in token_ids)
        if len(self.token_ids) != self.bpe.get_vocab_size() or len(set(self.token_ids)) != len(self.token_ids):
            raise ValueError(
                f"token_ids must be {self.bpe.get_vocab_size()} distinct ids, one per token, got {len(self.token_ids)}."
            )
        self._token_of = {token: index for index, token in enumerate(self.token_ids)}

    @classmethod
    def fit(
        cls, chunks: np.ndarray, vocab_size: int = 1024, scale: float = 10.0, token_ids: Sequence[int] = ()
    ) -> Self:
        """Train the encoding on normalised chunks `(chunks, chunk_size, action_dim)`.

        `token_ids` has an id for each token; its length may then be that of the encoding found (at most `vocab_size`).
        """
        chunks = np.asarray(chunks, dtype=np.float64)
        if chunks.ndim != 3 or not len(chunks):
            raise ValueError(f"chunks must have shape (chunks, chunk_size, action_dim), got {chunks.shape}.")
        bound = _bound(chunks.shape[1], scale)
        alphabet = [chr(FIRST_CHARACTER + index) for index in range(2 * bound + 1)]
        if vocab_size < len(alphabet):
            raise ValueError(f"vocab_size = {vocab_size} must be at least {len(alphabet)} at scale = {scale}.")
        bpe = Tokenizer(models.BPE())
        trainer = trainers.BpeTrainer(vocab_size=vocab_size, initial_alphabet=alphabet, show_progress=False)
        bpe.train_from_iterator((_text(chunk, scale) for chunk in chunks), trainer)
        size = bpe.get_vocab_size()
        ids = tuple(token_ids)[:size] if token_ids else tuple(range(size))
        return cls(bpe.to_str(), chunks.shape[1], chunks.shape[2], scale, ids)

    def encode(self, chunk: np.ndarray) -> list[int]:
        """A normalised chunk `(chunk_size, action_dim)` to ids; as many as it takes.

        Raises:
            ValueError: for another shape, or values that are not finite or outside [-1, 1].
        """
        chunk = np.asarray(chunk, dtype=np.float64)
        if chunk.shape != (self.chunk_size, self.action_dim):
            raise ValueError(f"chunk must have shape ({self.chunk_size}, {self.action_dim}), got {chunk.shape}.")
        if not np.isfinite(chunk).all() or np.abs(chunk).max() > 1 + 1e-6:
            raise ValueError("chunk must hold finite numbers in [-1, 1]: FAST reads clamped, normalised actions.")
        return [self.token_ids[index] for index in self.bpe.encode(_text(chunk, self.scale)).ids]

    def decode(self, ids: Iterable[int]) -> np.ndarray:
        """Ids to the chunk `(chunk_size, action_dim)` that they stand for, float32.

        Raises:
            ValueError: for an id that is no action token, or ids that do not make a whole chunk.
        """
        ids = [int(i) for i in ids]
        if unknown := [i for i in ids if i not in self._token_of]:
            raise ValueError(f"id(s) {unknown[:8]} are no action tokens.")
        text = "".join(self.bpe.id_to_token(self._token_of[i]) for i in ids)
        if len(text) != self.chunk_size * self.action_dim:
            raise ValueError(
                f"{len(ids)} tokens stand for {len(text)} coefficients, a chunk has {self.chunk_size * self.action_dim}."
            )
        bound = _bound(self.chunk_size, self.scale)
        coefficients = np.array([ord(letter) - FIRST_CHARACTER - bound for letter in text], dtype=np.float64)
        return idct(coefficients.reshape(self.chunk_size, -1) / self.scale, axis=0, norm="ortho").astype(np.float32)

    def to_dict(self) -> dict[str, Any]:
        """Everything, as JSON values."""
        return {
            "bpe": self.bpe.to_str(),
            "chunk_size": self.chunk_size,
            "action_dim": self.action_dim,
            "scale": self.scale,
            "token_ids": list(self.token_ids),
        }


def _bound(chunk_size: int, scale: float) -> int:
    """Largest rounded coefficient that actions in [-1, 1] can have."""
    return math.ceil(math.sqrt(chunk_size) * scale)


def _text(chunk: np.ndarray, scale: float) -> str:
    """The chunk's rounded coefficients, low frequencies of all dimensions first, a letter each."""
    coefficients = np.rint(dct(chunk, axis=0, norm="ortho") * scale).astype(int)
    return "".join(chr(FIRST_CHARACTER + _bound(len(chunk), scale) + value) for value in coefficients.ravel())
