"""Decoding by denoising diffusion."""

from typing import Any

import torch

from ...configuration.configuration_robovlms import RoboVLMConfig
from ...configuration.head_configs import DiffusionHeadConfig
from .action_head import register_head
from .denoiser import DenoisingDecoder
from .overlap import MAX_GUIDANCE, ChunkOverlap, guide


@register_head(DiffusionHeadConfig)
class DiffusionDecoder(DenoisingDecoder):
    """DDPM noise to train, DDIM steps (deterministic given the initial noise) to sample."""

    training_scheduler: Any  # diffusers' annotations want times of a type that no tensor has
    sampling_scheduler: Any

    def __init__(self, config: RoboVLMConfig, head: DiffusionHeadConfig, hidden_size: int):
        super().__init__(config, head, hidden_size)
        try:
            from diffusers.schedulers.scheduling_ddim import DDIMScheduler
            from diffusers.schedulers.scheduling_ddpm import DDPMScheduler
        except ImportError as error:  # a checkpoint's code runs with little more than transformers
            raise ImportError("head_config 'diffusion' needs diffusers: pip install diffusers") from error
        self.head = head
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
        return torch.randint(self.head.num_train_timesteps, (count,), **options)

    def add_noise(
        self, actions: torch.Tensor, noise: torch.Tensor, times: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        noisy = self.training_scheduler.add_noise(actions, noise, times)
        kind = self.head.prediction_type
        if kind == "v_prediction":
            wanted = self.training_scheduler.get_velocity(actions, noise, times)
        else:
            wanted = actions if kind == "sample" else noise
        return noisy, self._levels(times), wanted

    def sample(
        self,
        noise: torch.Tensor,
        context: torch.Tensor,
        overlap: ChunkOverlap | None = None,
        dim_mask: torch.Tensor | None = None,
    ) -> torch.Tensor:
        actions = noise
        for step in self.sampling_scheduler.timesteps.tolist():
            levels = self._levels(noise.new_full((len(noise),), step))
            if overlap is None:
                predicted = self.denoiser(actions, levels, context, dim_mask)
            else:
                predicted = self._guided_prediction(actions, levels, context, overlap, step, dim_mask)
            # The noise left in a chunk is what the clamped estimate leaves, not what the unclamped one would.
            step_output = self.sampling_scheduler.step(predicted, step, actions, use_clipped_model_output=True)
            actions = step_output.prev_sample
        return actions

    def _guided_prediction(
        self,
        actions: torch.Tensor,
        levels: torch.Tensor,
        context: torch.Tensor,
        overlap: ChunkOverlap,
        step: int,
        dim_mask: torch.Tensor | None,
    ) -> torch.Tensor:
        """What the denoiser would predict if it saw the estimated chunk pulled towards the overlap."""
        signal = self.sampling_scheduler.alphas_cumprod[step].item() ** 0.5
        noise_share = (1 - signal**2) ** 0.5
        kind = self.head.prediction_type

        def estimate(noisy: torch.Tensor, context: torch.Tensor) -> torch.Tensor:
            predicted = self.denoiser(noisy, levels.clone(), context, dim_mask)
            if kind == "sample":
                return predicted
            if kind == "v_prediction":
                return signal * noisy - noise_share * predicted
            return (noisy - noise_share * predicted) / signal

        clean, pull = guide(overlap, estimate, actions, context)
        clean = clean + min(MAX_GUIDANCE, 1 / signal) * pull
        if kind == "sample":
            return clean
        noise = (actions - signal * clean) / noise_share
        return signal * noise - noise_share * clean if kind == "v_prediction" else noise

    def _levels(self, times: torch.Tensor) -> torch.Tensor:
        return (times + 1) / self.head.num_train_timesteps
