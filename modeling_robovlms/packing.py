"""Frames of a sample, one row each, joined into one sequence per sample."""

from typing import Any

import torch

from .backbone import is_image_input


def pack_tokens(inputs: dict[str, Any], marks: torch.Tensor, frame_mask: torch.Tensor) -> tuple[dict, torch.Tensor]:
    """Join the rows of each sample's frames, leaving out padding between them.

    Args:
        inputs: the processor's output; a row per real frame, samples one after another.
        marks: the action token mask, `(rows, sequence)`.
        frame_mask: `(batch, window)`, which frames are real.

    Returns:
        `inputs` with token tensors of shape `(batch, joined)`, padded at the right (image tensors are unchanged, their
        order is the same), and the marks likewise.
    """
    input_ids = inputs["input_ids"]
    attention = inputs.get("attention_mask", torch.ones_like(input_ids)).bool()
    frames = frame_mask.sum(dim=1).tolist()
    lengths = [int(part.sum()) for part in attention.split(frames)]

    def joined(tokens: torch.Tensor) -> torch.Tensor:
        rows = tokens[attention].split(lengths)
        return torch.nn.utils.rnn.pad_sequence(list(rows), batch_first=True)

    packed = {
        name: value if not torch.is_tensor(value) or is_image_input(name, value, input_ids) else joined(value)
        for name, value in inputs.items()
    }
    packed["attention_mask"] = joined(attention.long())
    return packed, joined(marks)
