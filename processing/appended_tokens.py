"""Appending tokens to rows that are padded already."""

from collections.abc import Sequence

import torch
from transformers import BatchFeature

from .backbone_inputs import per_token_names


def append_tokens(
    inputs: BatchFeature,
    ids: Sequence[torch.Tensor],
    labels: Sequence[torch.Tensor],
    pad_token_id: int,
    token_type: int | None = None,
) -> None:
    """Put each row's `ids` `(count,)` behind its last real token, with `labels` there and -100 before.

    Rows come out padded at the right. Other per-token inputs (which images a token reads, whether it is one) go on as at
    the last real token, except for `token_type_ids` where a `token_type` is given.
    """
    real = inputs["attention_mask"].bool()

    def joined(name: str, value: torch.Tensor) -> torch.Tensor:
        rows = []
        for row, keep, new in zip(value, real, ids, strict=True):
            kept = row[keep]
            added = kept[-1:].expand(len(new), *kept.shape[1:])
            if name == "input_ids":
                added = new.to(row)
            elif name == "token_type_ids" and token_type is not None:
                added = torch.full_like(added, token_type)
            rows.append(torch.cat([kept, added]))
        fill = pad_token_id if name == "input_ids" else 0
        return torch.nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=fill)

    for name in per_token_names(inputs):
        inputs[name] = joined(name, inputs[name])
    own = [torch.cat([row.new_full((int(keep.sum()),), -100), row]) for row, keep in zip(labels, real, strict=True)]
    inputs["labels"] = torch.nn.utils.rnn.pad_sequence(own, batch_first=True, padding_value=-100)
