"""What diffusion and flow matching share: a network that denoises chunks, and the decoder around it."""

import torch
from torch import nn

from ...configuration.configuration_robovlms import RoboVLMConfig
from .action_head import ActionTargets, HeadOutput


class Denoiser(nn.Module):
    """A small transformer over the steps of a noisy chunk, told the frame's context and how noisy the chunk is."""

    def __init__(self, config: RoboVLMConfig, context_size: int):
        super().__init__()
        head = config.head_config
        size = head.denoiser_size
        self.actions = nn.Linear(config.action_dim, size)
        self.positions = nn.Embedding(config.chunk_size, size)
        self.context = nn.Linear(context_size, size)
        self.time = nn.Sequential(nn.Linear(size, size), nn.SiLU(), nn.Linear(size, size))
        layer = nn.TransformerEncoderLayer(
            size, head.denoiser_heads, 4 * size, dropout=0.0, activation="gelu", batch_first=True, norm_first=True
        )
        self.layers = nn.TransformerEncoder(
            layer, head.denoiser_layers, norm=nn.LayerNorm(size), enable_nested_tensor=False
        )
        self.output = nn.Linear(size, config.action_dim)

    def forward(self, actions: torch.Tensor, time: torch.Tensor, context: torch.Tensor) -> torch.Tensor:
        """Noisy chunks `(frames, chunk, action_dim)`, their noise levels in [0, 1] `(frames,)` (1 is pure noise) and
        contexts `(frames, hidden)` to a prediction of the chunks' shape, in their dtype."""
        condition = self.context(context) + self.time(sinusoids(time, self.output.in_features))
        tokens = self.actions(actions) + self.positions.weight + condition[:, None]
        return self.output(self.layers(tokens)).to(actions.dtype)


def sinusoids(time: torch.Tensor, width: int) -> torch.Tensor:
    """Sines and cosines of `time` `(frames,)` with periods from 0.004 to 4, `(frames, width)`."""
    periods = torch.logspace(-3, 0, width // 2, device=time.device, dtype=time.dtype) * 4
    angle = 2 * torch.pi * time[:, None] / periods
    return torch.cat([angle.sin(), angle.cos()], dim=-1)


class DenoisingDecoder(nn.Module):
    """Trains the denoiser on noised chunks of every frame; samples chunks from noise.

    A subclass says how noise is added, what the denoiser is to predict, and how a chunk is sampled. Random numbers are
    drawn row by row from `generator` (or torch's own), on its device: micro-batches one after the other draw what
    their union would draw at once.
    """

    def __init__(self, config: RoboVLMConfig, hidden_size: int):
        super().__init__()
        self.config = config
        self.denoiser = Denoiser(config, hidden_size)

    def random_times(self, count: int, **options: object) -> torch.Tensor:
        """Noise levels to train on, `(count,)`."""
        raise NotImplementedError

    def add_noise(
        self, actions: torch.Tensor, noise: torch.Tensor, times: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Noised chunks, their noise levels in [0, 1], and what the denoiser is to predict. All by frame."""
        raise NotImplementedError

    def sample(self, noise: torch.Tensor, context: torch.Tensor) -> torch.Tensor:
        """Chunks `(frames, chunk, action_dim)` from pure noise of that shape and contexts `(frames, hidden)`."""
        raise NotImplementedError

    def forward(
        self,
        context: torch.Tensor,
        targets: ActionTargets | None = None,
        generator: torch.Generator | None = None,
    ) -> HeadOutput:
        """`context` `(batch, window, hidden)`. With targets only losses, no actions; without, sampled actions for every
        frame. The frames of a row start from the same noise, so that the newest chunk does not depend on how many
        frames came with it."""
        if targets is not None:
            return self._losses(context, targets, generator)
        batch, window = context.shape[:2]
        noise = torch.stack([self._noise(1, generator, context) for _ in range(batch)]).to(context.device)
        noise = noise.expand(-1, window, -1, -1).flatten(0, 1)
        actions = self.sample(noise, context.flatten(0, 1)).unflatten(0, (batch, window))
        return HeadOutput(actions=actions, pose=actions[..., self.config.pose_dims])

    def _losses(self, context: torch.Tensor, targets: ActionTargets, generator: torch.Generator | None) -> HeadOutput:
        """Mean squared error over all dimensions of counting actions, and over pose and grippers apart."""
        config, window = self.config, context.shape[1]
        options = _draws(generator, context)
        rows = [
            (self.random_times(window, **options), self._noise(window, generator, context)) for _ in range(len(context))
        ]
        times, noise = (torch.cat(parts).to(context.device) for parts in zip(*rows, strict=True))
        actions = targets.actions.clone()
        actions[..., config.gripper_dims] = torch.where(actions[..., config.gripper_dims] > 0, 1.0, -1.0).to(actions)
        noisy, levels, wanted = self.add_noise(actions.flatten(0, 1), noise.to(actions.dtype), times)
        predicted = self.denoiser(noisy, levels.to(actions.dtype), context.flatten(0, 1))
        error = (predicted - wanted).square().unflatten(0, context.shape[:2]) * targets.valid[..., None]
        by_dim = error.sum(dim=(0, 1, 2)) / targets.num_items
        output = HeadOutput(loss=by_dim.mean(), pose_loss=by_dim[config.pose_dims].mean())
        if config.gripper_dims:
            output.gripper_loss = by_dim[config.gripper_dims].mean()
        return output

    def _noise(self, frames: int, generator: torch.Generator | None, context: torch.Tensor) -> torch.Tensor:
        return torch.randn(frames, self.config.chunk_size, self.config.action_dim, **_draws(generator, context))


def _draws(generator: torch.Generator | None, context: torch.Tensor) -> dict[str, object]:
    """How to draw random numbers: from `generator` on its device, or else on that of `context`."""
    return {"generator": generator, "device": context.device if generator is None else generator.device}
