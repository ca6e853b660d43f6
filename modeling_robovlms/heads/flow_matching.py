"""Decoding by flow matching."""

from typing import Any

import torch

from ...configuration.configuration_robovlms import RoboVLMConfig
from ...configuration.head_configs import FlowMatchingHeadConfig
from .action_head import register_head
from .denoiser import DenoisingDecoder
from .overlap import MAX_GUIDANCE, ChunkOverlap, guide


@register_head(FlowMatchingHeadConfig)
class FlowMatchingDecoder(DenoisingDecoder):
    """Straight paths from actions (time 0) to noise (time 1), walked back in Euler steps, as in pi0."""

    def __init__(self, config: RoboVLMConfig, head: FlowMatchingHeadConfig, hidden_size: int):
        super().__init__(config, head, hidden_size)
        self.head = head

    def random_times(self, count: int, **options: Any) -> torch.Tensor:
        """Times from Beta(alpha, 1), by inverting its distribution function: t ** alpha is uniform."""
        return (1 - torch.rand(count, **options)) ** (1 / self.head.time_alpha)

    def add_noise(
        self, actions: torch.Tensor, noise: torch.Tensor, times: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        velocity = noise - actions
        return actions + times[:, None, None] * velocity, times, velocity

    def sample(
        self,
        noise: torch.Tensor,
        context: torch.Tensor,
        overlap: ChunkOverlap | None = None,
        dim_mask: torch.Tensor | None = None,
    ) -> torch.Tensor:
        steps = self.head.num_inference_steps
        actions = noise
        for step in range(steps, 0, -1):
            times = noise.new_full((len(noise),), step / steps)
            if overlap is None:
                velocity = self.denoiser(actions, times, context, dim_mask)
            else:
                velocity = self._guided_velocity(actions, times, context, overlap, step / steps, dim_mask)
            actions = actions - velocity / steps
        return actions

    def _guided_velocity(
        self,
        actions: torch.Tensor,
        times: torch.Tensor,
        context: torch.Tensor,
        overlap: ChunkOverlap,
        time: float,
        dim_mask: torch.Tensor | None,
    ) -> torch.Tensor:
        """The paper's equations 2 to 4; its time runs from noise to actions, ours the other way."""

        def estimate(noisy: torch.Tensor, context: torch.Tensor) -> torch.Tensor:
            return noisy - time * self.denoiser(noisy, times.clone(), context, dim_mask)

        clean, pull = guide(overlap, estimate, actions, context)
        odds = time * (1 - time)
        weight = min(MAX_GUIDANCE, (time**2 + (1 - time) ** 2) / odds) if odds else MAX_GUIDANCE
        return (actions - clean) / time - weight * pull
