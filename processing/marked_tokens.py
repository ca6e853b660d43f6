"""Finding a part of a prompt among its tokens, by marks that are taken out again."""

import torch
from transformers import BatchFeature

from .backbone_inputs import per_token_names

MARK = "<robovlms_mark>"


def marked(text: str) -> str:
    """`text` between two marks."""
    return MARK + text + MARK


def take_marks_out(inputs: BatchFeature, mark_id: int) -> torch.Tensor:
    """Remove the two marks of every row from all per-token inputs.

    Returns:
        bool `(rows, sequence)`, True at the tokens that stood between the marks.

    Raises:
        ValueError: if a row does not have two marks.
    """
    ids = inputs["input_ids"]
    is_mark = ids == mark_id
    if not (is_mark.sum(dim=1) == 2).all():
        raise ValueError(f"Each prompt must hold two marks {MARK!r}, got {is_mark.sum(dim=1).tolist()} per row.")

    def without_marks(value: torch.Tensor) -> torch.Tensor:
        return value[~is_mark].unflatten(0, (len(ids), ids.shape[1] - 2))

    between = without_marks(is_mark.cumsum(dim=1) == 1)
    for name in per_token_names(inputs):
        inputs[name] = without_marks(inputs[name])
    return between
