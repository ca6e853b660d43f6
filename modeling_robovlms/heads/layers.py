"""Small layers that the heads share."""

from collections.abc import Callable
from itertools import pairwise

import torch
from torch import nn


def mlp(*widths: int) -> nn.Sequential:
    """Linear layers of the given widths with ReLU in between."""
    layers: list[nn.Module] = []
    for index, (before, after) in enumerate(pairwise(widths)):
        layers += [nn.ReLU()] if index else []
        layers.append(nn.Linear(before, after))
    return nn.Sequential(*layers)


def leading_padding_last(values: torch.Tensor, mask: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Rotate each row so that its masked-out first items come last.

    Args:
        values: `(batch, window, ...)`; mask: `(batch, window)`, False for the items before the real ones.

    Returns:
        the rotated values, and the index `(batch, window)` that `gather_window` takes to undo it.
    """
    window = mask.shape[1]
    offset = (~mask).sum(dim=1, keepdim=True)
    position = torch.arange(window, device=mask.device)[None]
    return gather_window(values, (position + offset) % window), (position - offset) % window


def gather_window(values: torch.Tensor, index: torch.Tensor) -> torch.Tensor:
    """`values[b, index[b, w]]` for every `b` and `w`."""
    return values[torch.arange(len(values), device=values.device)[:, None], index]


def over_windows(
    history: Callable[[torch.Tensor, torch.Tensor], torch.Tensor],
    features: torch.Tensor,
    mask: torch.Tensor,
    window_size: int,
) -> torch.Tensor:
    """A stretch longer than the window, `(batch, frames, width)`: every frame's context is that of the `window_size`
    frames that end with it, as in control."""

    def windows(values: torch.Tensor) -> torch.Tensor:
        before = values.new_zeros(len(values), window_size - 1, *values.shape[2:])
        return torch.cat([before, values], dim=1).unfold(1, window_size, 1).flatten(0, 1)

    contexts = history(windows(features).transpose(1, 2), windows(mask))
    return contexts[:, -1].unflatten(0, mask.shape)
