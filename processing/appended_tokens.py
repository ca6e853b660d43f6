"""Appending tokens to rows that are padded already."""

import torch
from transformers import BatchFeature


def append_tokens(inputs: BatchFeature, ids: torch.Tensor, labels: torch.Tensor, pad_token_id: int) -> None:
    """Put `ids` `(rows, count)` behind each row's last real token, with `labels` there and -100 before.

    Rows come out padded at the right. Token types of the appended tokens are 1 where the model has types of its own
    for what is not prompt (`token_type_ids`), other per-token inputs are 0.
    """
    real = inputs["attention_mask"].bool()
    shape = real.shape
    fill = {"input_ids": pad_token_id}
    suffix = {"input_ids": ids, "attention_mask": torch.ones_like(ids), "token_type_ids": torch.ones_like(ids)}

    def joined(name: str, value: torch.Tensor) -> torch.Tensor:
        added = suffix.get(name, torch.zeros_like(ids)).to(value.dtype)
        rows = [torch.cat([row[keep], more]) for row, keep, more in zip(value, real, added, strict=True)]
        return torch.nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=fill.get(name, 0))

    prompts = torch.full(shape, -100)
    own = [torch.cat([row[keep], label]) for row, keep, label in zip(prompts, real, labels, strict=True)]
    per_token = [name for name, value in inputs.items() if torch.is_tensor(value) and value.shape[:2] == shape]
    for name in per_token:
        inputs[name] = joined(name, inputs[name])
    inputs["labels"] = torch.nn.utils.rnn.pad_sequence(own, batch_first=True, padding_value=-100)
