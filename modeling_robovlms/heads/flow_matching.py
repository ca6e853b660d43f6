"""Decoding by flow matching."""

from typing import Any

import torch

from .denoiser import DenoisingDecoder


class FlowMatchingDecoder(DenoisingDecoder):
    """Straight paths from actions (time 0) to noise (time 1), walked back in Euler steps, as in pi0."""

    def random_times(self, count: int, **options: Any) -> torch.Tensor:
        """Times from Beta(alpha, 1), by inverting its distribution function: t ** alpha is uniform."""
        return (1 - torch.rand(count, **options)) ** (1 / self.config.head_config.time_alpha)

    def add_noise(
        self, actions: torch.Tensor, noise: torch.Tensor, times: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        velocity = noise - actions
        return actions + times[:, None, None] * velocity, times, velocity

    def sample(self, noise: torch.Tensor, context: torch.Tensor) -> torch.Tensor:
        steps = self.config.head_config.num_inference_steps
        actions = noise
        for step in range(steps, 0, -1):
            times = noise.new_full((len(noise),), step / steps)
            actions = actions - self.denoiser(actions, times, context) / steps
        return actions
