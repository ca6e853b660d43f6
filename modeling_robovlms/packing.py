"""Frames of a sample, one row each, joined into one sequence per sample."""

from collections.abc import Iterator
from typing import Any

import torch

from .image_inputs import is_image_input, per_row


def pack_tokens(
    inputs: dict[str, Any], marks: torch.Tensor, frame_mask: torch.Tensor, once: torch.Tensor | None = None
) -> tuple[dict, torch.Tensor]:
    """Join the rows of each sample's frames, leaving out padding between them.

    Args:
        inputs: the processor's output; a row per real frame, samples one after another.
        marks: the action token mask, `(rows, sequence)`.
        frame_mask: `(batch, window)`, which frames are real.
        once: tokens that only the first real frame of a sample keeps, bool `(rows, sequence)`.

    Returns:
        `inputs` with token tensors of shape `(batch, joined)`, padded at the right (image tensors are unchanged, their
        order is the same), and the marks likewise.
    """
    input_ids = inputs["input_ids"]
    kept = inputs.get("attention_mask", torch.ones_like(input_ids)).bool()
    if once is not None:
        is_first = (frame_mask.cumsum(dim=1) == 1)[frame_mask]
        kept = kept & (is_first[:, None] | ~once)
    frames = frame_mask.sum(dim=1).tolist()
    lengths = [int(part.sum()) for part in kept.split(frames)]

    def joined(tokens: torch.Tensor) -> torch.Tensor:
        rows = tokens[kept].split(lengths)
        return torch.nn.utils.rnn.pad_sequence(list(rows), batch_first=True)

    packed = {
        name: value if not torch.is_tensor(value) or is_image_input(name, value, input_ids) else joined(value)
        for name, value in inputs.items()
    }
    packed["attention_mask"] = joined(kept.long())
    return packed, joined(marks)


def rows_of(inputs: dict[str, Any], chosen: torch.Tensor, rows: int) -> dict[str, Any]:
    """Return some rows of the processor's output for `rows` rows."""
    return {
        name: value
        if not torch.is_tensor(value)
        else per_row(value, rows)[chosen].flatten(0, 1)
        if is_image_input(name, value, inputs["input_ids"])
        else value[chosen]
        for name, value in inputs.items()
    }


def rows_of_equal_length(inputs: dict[str, Any]) -> Iterator[tuple[torch.Tensor, dict[str, Any]]]:
    """Yield the rows in groups of the same number of real tokens, without padding, with their indices."""
    rows = len(inputs["input_ids"])
    lengths = inputs["attention_mask"].sum(dim=1)
    for length in lengths.unique().tolist():
        chosen = (lengths == length).nonzero()[:, 0]
        group = rows_of(inputs, chosen, rows)
        real = group["attention_mask"].bool()
        yield (
            chosen,
            {
                name: value
                if not torch.is_tensor(value) or is_image_input(name, value, group["input_ids"])
                else value[real].unflatten(0, (len(chosen), length))
                for name, value in group.items()
            },
        )
