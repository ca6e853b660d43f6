"""Chunks that must join a running one: real-time chunking (Black, Galliker, Levine 2025, arXiv 2506.07339)."""

from collections.abc import Callable
from dataclasses import dataclass

import torch

MAX_GUIDANCE = 5.0
"""The paper's bound on the guidance weight, without which few sampling steps diverge."""


@dataclass
class ChunkOverlap:
    """What of a new chunk is known beforehand.

    Args:
        actions: normalised, `(batch, chunk, action_dim)`: the running chunk from the new one's first step on; anything
            behind its end.
        weights: `(batch, chunk)` in [0, 1]: 1 where the running chunk is executed in any case, 0 where the new one is
            free, in between where it should stay close.
    """

    actions: torch.Tensor
    weights: torch.Tensor

    def to(self, tensor: torch.Tensor) -> "ChunkOverlap":
        """On the device and in the dtype of `tensor`."""
        return ChunkOverlap(self.actions.to(tensor), self.weights.to(tensor))

    def blend(self, actions: torch.Tensor) -> torch.Tensor:
        """`actions` mixed with the running chunk's by the weights: for heads that sample nothing to be guided."""
        return actions + self.weights[..., None] * (self.actions - actions)


def guide(
    overlap: ChunkOverlap,
    estimate: Callable[[torch.Tensor, torch.Tensor], torch.Tensor],
    noisy: torch.Tensor,
    context: torch.Tensor,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the clean chunks that `estimate(noisy, context)` sees in noisy ones, and where to pull the noisy ones so
    that they agree with the overlap (the vector-Jacobian product of pseudoinverse guidance)."""
    with torch.inference_mode(False), torch.enable_grad():
        noisy = noisy.clone().requires_grad_()
        clean = estimate(noisy, context.clone())
        error = (overlap.actions.clone() - clean.detach()) * overlap.weights.clone()[..., None]
        (pull,) = torch.autograd.grad(clean, noisy, error)
    return clean.detach(), pull
