"""FAST: a chunk as the compressed text of its frequencies (Pertsch et al. 2025, arXiv 2501.09747)."""

import copy
import json
import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
from tokenizers import Tokenizer, decoders, models, trainers
from transformers.utils.hub import cached_file

from ..configuration.saving import travels_with
from .action_tokenizer import ActionTokenizer, register_action_tokenizer

FIRST_CHARACTER = 0x4E00  # a long run of characters that are letters and nothing else
UNREADABLE = "\ufffd"  # what bytes that make no character are decoded to


@register_action_tokenizer
class FASTActionTokenizer(ActionTokenizer):
    """Normalised chunks to few tokens: cosine transform over time, rounding, byte-pair encoding.

    Args:
        bpe: the trained byte-pair encoding, as JSON of the `tokenizers` library. Its text has a character for each
            rounded coefficient, low frequencies of all dimensions first.
        chunk_size, action_dim: of the chunks; of the widest ones, where embodiments differ.
        scale: coefficients are rounded to multiples of `1 / scale`; larger is finer and longer.
        zero: code point of the character that stands for the coefficient 0.
        token_ids: the vocabulary's id of each of the encoding's tokens.
    """

    kind: ClassVar[str] = "fast"
    ends_with_stop: ClassVar[bool] = True

    def __init__(self, bpe: str, chunk_size: int, action_dim: int, scale: float, zero: int, token_ids: Sequence[int]):
        if chunk_size < 1 or action_dim < 1 or not 0 < scale < math.inf:
            raise ValueError(
                f"chunk_size = {chunk_size}, action_dim = {action_dim} and scale = {scale} must be positive."
            )
        _scipy_fft()
        self.bpe = Tokenizer.from_str(bpe)
        self.chunk_size, self.action_dim, self.scale, self.zero = chunk_size, action_dim, float(scale), zero
        self.token_ids = tuple(int(i) for i in token_ids)
        size = self.bpe.get_vocab_size()
        if len(self.token_ids) != size or len(set(self.token_ids)) != size:
            raise ValueError(f"token_ids must be {size} distinct ids, one per token, got {len(self.token_ids)}.")
        self._token_of = {token: index for index, token in enumerate(self.token_ids)}

    @travels_with()
    @classmethod
    def fit(
        cls,
        chunks: np.ndarray | list[np.ndarray],
        vocab_size: int = 1024,
        scale: float = 10.0,
        token_ids: Sequence[int] = (),
    ) -> Self:
        """Train the encoding on normalised chunks `(chunks, chunk_size, action_dim)`, or on a list of such arrays of
        several widths.

        It finds at most `vocab_size` tokens and takes as many of `token_ids`; without them its tokens count from 0.

        Raises:
            ValueError: for another shape, values that are not finite or outside [-1, 1], or too small a vocabulary.
        """
        groups = [np.asarray(group, dtype=np.float64) for group in (chunks if isinstance(chunks, list) else [chunks])]
        if any(group.ndim != 3 or not group.size or group.shape[1] != groups[0].shape[1] for group in groups):
            raise ValueError(
                "chunks must have shape (chunks, chunk_size, action_dim), with one chunk_size, got "
                f"{', '.join(str(group.shape) for group in groups)}."
            )
        chunk_size = groups[0].shape[1]
        bound = math.ceil(math.sqrt(chunk_size) * scale)  # of the coefficients of actions in [-1, 1]
        alphabet = [chr(FIRST_CHARACTER + index) for index in range(2 * bound + 1)]
        if vocab_size < len(alphabet):
            raise ValueError(f"vocab_size = {vocab_size} must be at least {len(alphabet)} at scale = {scale}.")
        bpe = Tokenizer(models.BPE())
        bpe.decoder = decoders.Fuse()
        trainer = trainers.BpeTrainer(
            vocab_size=vocab_size, initial_alphabet=alphabet, min_frequency=2, show_progress=False
        )
        zero = FIRST_CHARACTER + bound
        texts = (_text(_rounded(chunk, scale), zero) for group in groups for chunk in group)
        bpe.train_from_iterator(texts, trainer)
        ids = _first(token_ids, bpe.get_vocab_size())
        return cls(bpe.to_str(), chunk_size, max(group.shape[2] for group in groups), scale, zero, ids)

    @travels_with()
    @classmethod
    def from_published(
        cls, name_or_path: str | Path, chunk_size: int, action_dim: int, token_ids: Sequence[int] = ()
    ) -> Self:
        """An encoding published in the layout of the paper's authors ("physical-intelligence/fast"): a folder or Hub
        id with `tokenizer.json` and `processor_config.json`. Its own code is not run.

        Raises:
            ValueError: if it was made for another chunk.
        """
        files = [cached_file(str(name_or_path), name) for name in ("tokenizer.json", "processor_config.json")]
        bpe, text = (Path(str(file)).read_text(encoding="utf-8") for file in files)
        config = json.loads(text)
        for name, value in (("time_horizon", chunk_size), ("action_dim", action_dim)):
            if config.get(name) not in (None, value):
                raise ValueError(f"{name_or_path} was made for {name} = {config[name]}, asked for {value}.")
        ids = _first(token_ids, Tokenizer.from_str(bpe).get_vocab_size())
        return cls(bpe, chunk_size, action_dim, config["scale"], -config["min_token"], ids)

    def of_width(self, action_dim: int) -> Self:
        """The same encoding for chunks of another width: its text has a character for each number."""
        other = copy.copy(self)
        other.action_dim = action_dim
        return other

    @property
    def token_lengths(self) -> tuple[int, ...] | None:
        """How many coefficients each token stands for: whatever adds up to `chunk_size * action_dim` can be decoded.

        None for published encodings, whose tokens may be a part of a character.
        """
        texts = [self.bpe.decode([index], skip_special_tokens=False) for index in range(len(self.token_ids))]
        return None if any(UNREADABLE in text for text in texts) else tuple(map(len, texts))

    def encode(self, chunk: np.ndarray, /) -> list[int]:
        """A normalised chunk `(chunk_size, action_dim)` to ids; as many as it takes.

        Raises:
            ValueError: for another shape, values that are not finite or outside [-1, 1], or coefficients that a
                published encoding has no token for.
        """
        chunk = np.asarray(chunk, dtype=np.float64)
        if chunk.shape != (self.chunk_size, self.action_dim):
            raise ValueError(f"chunk must have shape ({self.chunk_size}, {self.action_dim}), got {chunk.shape}.")
        coefficients = _rounded(chunk, self.scale)
        text = _text(coefficients, self.zero) if coefficients.min() >= -self.zero else ""
        tokens = self.bpe.encode(text, add_special_tokens=False).ids
        if not text or self.bpe.decode(tokens, skip_special_tokens=False) != text:
            raise ValueError("The encoding lacks tokens for this chunk: it was trained on chunks of a smaller range.")
        return [self.token_ids[token] for token in tokens]

    def decode(self, ids: Iterable[int], /) -> np.ndarray:
        """Ids to the chunk `(chunk_size, action_dim)` that they stand for, float32.

        Raises:
            ValueError: for an id that is no action token, or ids that do not make a whole chunk.
        """
        ids = [int(i) for i in ids]
        if unknown := [i for i in ids if i not in self._token_of]:
            raise ValueError(f"id(s) {unknown[:8]} are no action tokens.")
        text = self.bpe.decode([self._token_of[i] for i in ids], skip_special_tokens=False)
        if UNREADABLE in text:
            raise ValueError(f"The {len(ids)} tokens make no text: a part of a character is missing.")
        if len(text) != self.chunk_size * self.action_dim:
            raise ValueError(
                f"{len(ids)} tokens stand for {len(text)} coefficients, a chunk has {self.chunk_size * self.action_dim}."
            )
        coefficients = np.array([ord(letter) - self.zero for letter in text], dtype=np.float64)
        chunk = _scipy_fft().idct(coefficients.reshape(self.chunk_size, -1) / self.scale, axis=0, norm="ortho")
        return np.asarray(chunk, dtype=np.float32)

    def to_dict(self) -> dict[str, Any]:
        """The constructor's arguments, as JSON values."""
        return {
            "bpe": self.bpe.to_str(),
            "chunk_size": self.chunk_size,
            "action_dim": self.action_dim,
            "scale": self.scale,
            "zero": self.zero,
            "token_ids": list(self.token_ids),
        }


def _scipy_fft() -> Any:
    """The module of cosine transforms; a checkpoint's code runs with little more than transformers."""
    try:
        from scipy import fft
    except ImportError as error:
        raise ImportError("FAST action tokens need scipy: pip install scipy") from error
    return fft


def _rounded(chunk: np.ndarray, scale: float) -> np.ndarray:
    """The chunk's coefficients in steps of `1 / scale`, int `(chunk_size, action_dim)`."""
    if not np.isfinite(chunk).all() or np.abs(chunk).max() > 1 + 1e-6:
        raise ValueError("chunk must hold finite numbers in [-1, 1]: FAST reads clamped, normalised actions.")
    return np.rint(np.asarray(_scipy_fft().dct(chunk, axis=0, norm="ortho")) * scale).astype(int)


def _text(coefficients: np.ndarray, zero: int) -> str:
    """A character each, row by row."""
    return "".join(chr(zero + value) for value in coefficients.ravel())


def _first(token_ids: Sequence[int], count: int) -> Sequence[int]:
    return token_ids[:count] if len(token_ids) else range(count)
