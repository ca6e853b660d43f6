"""Appending tokens to rows that are padded already."""

from collections.abc import Sequence

import torch
from transformers import BatchFeature


def append_tokens(
    inputs: BatchFeature, ids: Sequence[torch.Tensor], labels: Sequence[torch.Tensor], pad_token_id: int
) -> None:
    """Put each row's `ids` `(count,)` behind its last real token, with `labels` there and -100 before.

    Rows come out padded at the right. Token types of the appended tokens are 1, which in a prefix language model means
    that they are read causally; other per-token inputs are 0.
    """
    real = inputs["attention_mask"].bool()
    suffixes = {"input_ids": ids}
    ones = [torch.ones_like(row) for row in ids]
    zeros = [torch.zeros_like(row) for row in ids]

    def joined(name: str, value: torch.Tensor) -> torch.Tensor:
        added = suffixes.get(name, ones if name in ("attention_mask", "token_type_ids") else zeros)
        rows = [torch.cat([row[keep], more.to(row)]) for row, keep, more in zip(value, real, added, strict=True)]
        fill = pad_token_id if name == "input_ids" else 0
        return torch.nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=fill)

    per_token = [name for name, value in inputs.items() if torch.is_tensor(value) and value.shape[:2] == real.shape]
    for name in per_token:
        inputs[name] = joined(name, inputs[name])
    own = [torch.cat([row.new_full((int(keep.sum()),), -100), row]) for row, keep in zip(labels, real, strict=True)]
    inputs["labels"] = torch.nn.utils.rnn.pad_sequence(own, batch_first=True, padding_value=-100)
