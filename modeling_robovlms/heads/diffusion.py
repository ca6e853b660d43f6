"""Decoding by denoising diffusion."""

from typing import Any

import torch
from diffusers import DDIMScheduler, DDPMScheduler

from ...configuration.configuration_robovlms import RoboVLMConfig
from .denoiser import DenoisingDecoder


class DiffusionDecoder(DenoisingDecoder):
    """DDPM noise to train, DDIM steps (deterministic given the initial noise) to sample."""

    def __init__(self, config: RoboVLMConfig, hidden_size: int):
        super().__init__(config, hidden_size)
        head = config.head_config
        schedule = {
            "num_train_timesteps": head.num_train_timesteps,
            "beta_schedule": "squaredcos_cap_v2",
            "prediction_type": head.prediction_type,
            "clip_sample": head.clip_range is not None,
            "clip_sample_range": head.clip_range or 1.0,
            "timestep_spacing": "trailing",
        }
        with torch.device("cpu"):  # tables, not parameters: real also while the model is built on the meta device
            self.training_scheduler = DDPMScheduler(**schedule)
            self.sampling_scheduler = DDIMScheduler(**schedule)
            self.sampling_scheduler.set_timesteps(head.num_inference_steps)

    def random_times(self, count: int, **options: Any) -> torch.Tensor:
        """Time steps of the schedule, all equally likely."""
        return torch.randint(self.config.head_config.num_train_timesteps, (count,), **options)

    def add_noise(
        self, actions: torch.Tensor, noise: torch.Tensor, times: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        noisy = self.training_scheduler.add_noise(actions, noise, times)
        kind = self.config.head_config.prediction_type
        if kind == "v_prediction":
            wanted = self.training_scheduler.get_velocity(actions, noise, times)
        else:
            wanted = actions if kind == "sample" else noise
        return noisy, self._levels(times), wanted

    def sample(self, noise: torch.Tensor, context: torch.Tensor) -> torch.Tensor:
        actions = noise
        for step in self.sampling_scheduler.timesteps.tolist():
            levels = self._levels(noise.new_full((len(noise),), step))
            predicted = self.denoiser(actions, levels, context)
            # The noise left in a chunk is what the clamped estimate leaves, not what the unclamped one would.
            step_output = self.sampling_scheduler.step(predicted, step, actions, use_clipped_model_output=True)
            actions = step_output.prev_sample
        return actions

    def _levels(self, times: torch.Tensor) -> torch.Tensor:
        return (times + 1) / self.config.head_config.num_train_timesteps
