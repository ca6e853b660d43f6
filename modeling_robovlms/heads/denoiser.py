"""What diffusion and flow matching share: a network that denoises chunks, and the decoder around it."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from ...configuration.configuration_robovlms import RoboVLMConfig
from ...configuration.head_configs import DenoisingHeadConfig
from .action_head import ActionTargets, Decoder, Generators, HeadOutput
from .overlap import ChunkOverlap


class Denoiser(nn.Module):
    """A small transformer over the steps of a noisy chunk, told the frame's context and how noisy the chunk is."""

    def __init__(self, config: RoboVLMConfig, head: DenoisingHeadConfig, context_size: int):
        super().__init__()
        size = head.denoiser_size
        self.actions = nn.Linear(config.action_dim, size)
        self.positions = nn.Embedding(config.chunk_size, size)
        self.context = nn.Sequential(nn.LayerNorm(context_size), nn.Linear(context_size, size))
        self.time = nn.Sequential(nn.Linear(size, size), nn.SiLU(), nn.Linear(size, size))
        self.blocks = nn.ModuleList(DenoiserBlock(size, head.denoiser_heads) for _ in range(head.denoiser_layers))
        self.output = nn.Sequential(nn.LayerNorm(size), SmallLinear(size, config.action_dim))

    def forward(
        self,
        actions: torch.Tensor,
        time: torch.Tensor,
        context: torch.Tensor,
        dim_mask: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Noisy chunks `(frames, chunk, action_dim)`, their noise levels in [0, 1] `(frames,)` (1 is pure noise) and
        contexts `(frames, hidden)` to a prediction of the chunks' shape, in their dtype. What a robot lacks (False in
        `dim_mask` `(frames, 1, action_dim)`) is neither seen nor predicted: it stays zero while a chunk is sampled."""
        own = None if dim_mask is None else dim_mask.to(actions)  # a copy, through which guidance differentiates
        tokens = self.actions(actions if own is None else actions * own) + self.positions.weight
        condition = F.silu(self.context(context) + self.time(sinusoids(time, tokens.shape[-1])))
        for block in self.blocks:
            tokens = block(tokens, condition)
        predicted = self.output(tokens).to(actions.dtype)
        return predicted if own is None else predicted * own


class SmallLinear(nn.Linear):
    """A linear layer that starts small: blocks begin close to the identity and predictions close to zero, so that the
    repeated calls of sampling do not blow differences up."""

    init_gain = 0.2


class DenoiserBlock(nn.Module):
    """A transformer block whose norms are scaled and shifted, and its branches gated, by a condition (adaLN, as in DiT)."""

    def __init__(self, size: int, num_heads: int):
        super().__init__()
        self.modulation = SmallLinear(size, 6 * size)
        self.attention_norm = nn.LayerNorm(size, elementwise_affine=False)
        self.attention = nn.MultiheadAttention(size, num_heads, batch_first=True)
        self.mlp_norm = nn.LayerNorm(size, elementwise_affine=False)
        self.mlp = nn.Sequential(nn.Linear(size, 4 * size), nn.GELU(), nn.Linear(4 * size, size))

    def forward(self, tokens: torch.Tensor, condition: torch.Tensor) -> torch.Tensor:
        """`tokens` `(frames, chunk, size)`, `condition` `(frames, size)`."""
        scale_1, shift_1, gate_1, scale_2, shift_2, gate_2 = self.modulation(condition)[:, None].chunk(6, dim=-1)
        normed = self.attention_norm(tokens) * (1 + scale_1) + shift_1
        tokens = tokens + gate_1 * self.attention(normed, normed, normed, need_weights=False)[0]
        return tokens + gate_2 * self.mlp(self.mlp_norm(tokens) * (1 + scale_2) + shift_2)


def sinusoids(time: torch.Tensor, width: int) -> torch.Tensor:
    """Sines and cosines of `time` `(frames,)` with periods from 0.13 to 4, `(frames, width)`."""
    periods = torch.logspace(-1.5, 0, width // 2, device=time.device, dtype=time.dtype) * 4
    angle = 2 * torch.pi * time[:, None] / periods
    return torch.cat([angle.sin(), angle.cos()], dim=-1)


class DenoisingDecoder(Decoder):
    """Trains the denoiser on noised chunks of every frame; samples chunks from noise.

    A subclass says how noise is added, what the denoiser is to predict, and how a chunk is sampled. Random numbers are
    drawn row by row from `generator` (or torch's own), on its device: micro-batches one after the other draw what
    their union would draw at once.
    """

    def __init__(self, config: RoboVLMConfig, head: DenoisingHeadConfig, hidden_size: int):
        super().__init__(config, head, hidden_size)
        self.num_draws = head.num_draws
        self.denoiser = Denoiser(config, head, hidden_size)

    def random_times(self, count: int, **options: Any) -> torch.Tensor:
        """Times to train on, `(count,)`; `options` go to torch's random functions."""
        raise NotImplementedError

    def add_noise(
        self, actions: torch.Tensor, noise: torch.Tensor, times: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Noised chunks, their noise levels in [0, 1], and what the denoiser is to predict. All by frame."""
        raise NotImplementedError

    def sample(
        self,
        noise: torch.Tensor,
        context: torch.Tensor,
        overlap: ChunkOverlap | None = None,
        dim_mask: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Chunks `(frames, chunk, action_dim)` from pure noise of that shape and contexts `(frames, hidden)`, guided
        towards `overlap`; `dim_mask` is for the denoiser."""
        raise NotImplementedError

    def forward(
        self,
        context: torch.Tensor,
        targets: ActionTargets | None = None,
        generator: Generators = None,
        overlap: ChunkOverlap | None = None,
        dim_mask: torch.Tensor | None = None,
    ) -> HeadOutput:
        """`context` `(batch, window, hidden)`. With targets only losses, no actions; without, sampled actions for every
        frame. The frames of a row start from the same noise, so that the newest chunk does not depend on how many
        frames came with it. `generator` may be one per row. `overlap` is for one frame per row."""
        if targets is not None:
            if isinstance(generator, Sequence):
                raise ValueError("With targets, generator must be one for all rows: training draws from one.")
            return self._losses(context, targets, generator, dim_mask)
        batch, window = context.shape[:2]
        generators = generator if isinstance(generator, Sequence) else [generator] * batch
        own = [None] * batch if dim_mask is None else dim_mask
        noise = [self._noise(1, _options(one, context), dims) for one, dims in zip(generators, own, strict=True)]
        noise = torch.cat([row.to(context.device) for row in noise]).repeat_interleave(window, dim=0)
        if overlap is not None:
            overlap = overlap.to(noise)
        by_frame = None if dim_mask is None else _by_frame(dim_mask, window)
        actions = self.sample(noise, context.flatten(0, 1), overlap, by_frame)
        if overlap is not None:
            actions = torch.where((overlap.weights == 1)[..., None], overlap.actions, actions)
        actions = actions.unflatten(0, (batch, window))
        return HeadOutput(actions=actions, pose=actions[..., self.config.pose_dims])

    def _losses(
        self,
        context: torch.Tensor,
        targets: ActionTargets,
        generator: torch.Generator | None,
        dim_mask: torch.Tensor | None,
    ) -> HeadOutput:
        """Mean squared error over all dimensions of counting actions, and over pose and grippers apart."""
        config, draws = self.config, self.num_draws
        frames = draws * context.shape[1]
        options = _options(generator, context)
        own = [None] * len(context) if dim_mask is None else dim_mask
        random = [(self.random_times(frames, **options), self._noise(frames, options, dims)) for dims in own]
        times, noise = (torch.cat(parts).to(context.device) for parts in zip(*random, strict=True))
        context, actions, valid = (
            tensor.repeat_interleave(draws, dim=0).flatten(0, 1)
            for tensor in (context, targets.actions, targets.valid)
        )
        actions = actions * valid[..., None]  # steps of a chunk see each other: those that do not count must be alike
        actions[..., config.gripper_dims] = (actions[..., config.gripper_dims] > 0).to(actions.dtype) * 2 - 1
        if dim_mask is not None:
            actions = actions * _by_frame(dim_mask, frames)
        noisy, levels, wanted = self.add_noise(actions, noise, times)
        error = (self.denoiser(noisy, levels, context) - wanted).square()

        def mean(dims: list[int]) -> torch.Tensor:
            weights = targets.weights(dims, dim_mask).repeat_interleave(draws, dim=0).flatten(0, 1)
            return ((error * weights).sum(dim=(0, 1)) / (targets.num_items * draws))[dims].mean()

        output = HeadOutput(loss=mean([*range(config.action_dim)]), pose_loss=mean(config.pose_dims))
        if config.grippers:
            output.gripper_loss = targets.where_there(mean(config.grippers), config.grippers, dim_mask)
        return output

    def _noise(self, count: int, options: dict[str, Any], own: torch.Tensor | None) -> torch.Tensor:
        """`(count, chunk, action_dim)`, drawn for a robot's `own` dimensions alone: as many as it would have by itself."""
        config = self.config
        if own is None:
            return torch.randn(count, config.chunk_size, config.action_dim, **options)
        drawn = torch.randn(count, config.chunk_size, int(own.sum()), **options)
        noise = drawn.new_zeros(count, config.chunk_size, config.action_dim)
        noise[..., own.to(noise.device)] = drawn
        return noise


def _by_frame(dim_mask: torch.Tensor, frames: int) -> torch.Tensor:
    """`(batch, action_dim)` as `(batch * frames, 1, action_dim)`."""
    return dim_mask.repeat_interleave(frames, dim=0)[:, None]


def _options(generator: torch.Generator | None, context: torch.Tensor) -> dict[str, Any]:
    """How to draw random numbers: from `generator` on its device, or else on that of `context`."""
    return {"generator": generator, "device": context.device if generator is None else generator.device}
