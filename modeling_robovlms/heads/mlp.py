"""No history: every frame's features by themselves."""

import torch
from torch import nn

from ...configuration.configuration_robovlms import RoboVLMConfig
from ..streaming import VLACache
from .layers import mlp


class FrameMLP(nn.Module):
    """Two linear layers on each frame's features, as the original's `FCDecoder`."""

    def __init__(self, config: RoboVLMConfig, width: int):
        super().__init__()
        self.hidden_size = config.head_config.history_config.hidden_size * config.num_action_tokens
        self.mlp = mlp(width, width // 2, self.hidden_size)

    def forward(self, features: torch.Tensor, frame_mask: torch.Tensor) -> torch.Tensor:
        return self.mlp(features)

    def new_state(self, batch: int) -> dict[str, torch.Tensor]:
        return {}

    def step(self, features: torch.Tensor, cache: VLACache) -> torch.Tensor:
        return self.mlp(features)
