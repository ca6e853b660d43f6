"""A head: something that fuses the features over the window, and something that decodes a chunk of actions."""

from dataclasses import dataclass

import torch
from torch import nn

from ..streaming import VLACache
from .overlap import ChunkOverlap


@dataclass
class HeadOutput:
    """A chunk per frame; losses where there were targets. Shapes as in `VLAOutput`."""

    actions: torch.Tensor | None = None
    pose: torch.Tensor | None = None
    gripper_logits: torch.Tensor | None = None
    loss: torch.Tensor | None = None
    pose_loss: torch.Tensor | None = None
    gripper_loss: torch.Tensor | None = None


@dataclass
class ActionTargets:
    """Normalised actions `(batch, window, chunk, action_dim)`, which of them count `(batch, window, chunk)`, and the
    number of counting ones over which losses are averaged (over all micro-batches and processes of one update)."""

    actions: torch.Tensor
    valid: torch.Tensor
    num_items: torch.Tensor | int


class ActionHead(nn.Module):
    """Joins a history module and a decoder.

    Args:
        history: maps features `(batch, window, width)` and a frame mask `(batch, window)` to contexts
            `(batch, window, hidden)`; causal over the window; has `new_state(batch)` and `step(features, cache)`.
        decoder: maps contexts to chunks; has the loss.
    """

    def __init__(self, history: nn.Module, decoder: nn.Module):
        super().__init__()
        self.history = history
        self.decoder = decoder

    @property
    def dtype(self) -> torch.dtype:
        """What features are cast to: the heads stay in float32 over a backbone in half precision."""
        return next(self.parameters()).dtype

    def forward(
        self,
        features: torch.Tensor,
        frame_mask: torch.Tensor,
        targets: ActionTargets | None = None,
        generator: torch.Generator | None = None,
    ) -> HeadOutput:
        """`features` `(batch, window, num_action_tokens, hidden)`; False in `frame_mask` marks frames before the
        episode's start, which come first in a window."""
        context = self.history(features.flatten(2), frame_mask)
        return self.decoder(context, targets=targets, generator=generator)

    def newest(
        self,
        features: torch.Tensor,
        frame_mask: torch.Tensor,
        generator: torch.Generator | None = None,
        overlap: ChunkOverlap | None = None,
    ) -> torch.Tensor:
        """The newest frame's chunk alone, `(batch, chunk, action_dim)`."""
        context = self.history(features.flatten(2), frame_mask)
        return self.decoder(context[:, -1:], generator=generator, overlap=overlap).actions[:, -1]

    def new_state(self, batch: int) -> dict[str, torch.Tensor]:
        """Empty entries for a `VLACache`."""
        return self.history.new_state(batch)

    def step(
        self,
        features: torch.Tensor,
        cache: VLACache,
        generator: torch.Generator | None = None,
        overlap: ChunkOverlap | None = None,
    ) -> HeadOutput:
        """One new frame's `features` `(batch, 1, num_action_tokens, hidden)`: what `forward` would give for the
        newest frame of the window that ends there. Updates `cache`."""
        context = self.history.step(features.flatten(2)[:, 0], cache)
        return self.decoder(context[:, None], generator=generator, overlap=overlap)
