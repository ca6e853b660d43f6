"""No history: every frame's features by themselves."""

import torch

from ...configuration.configuration_robovlms import RoboVLMConfig
from ...configuration.head_configs import MLPHistoryConfig
from ..streaming import VLACache
from .action_head import History, register_history
from .layers import mlp


@register_history(MLPHistoryConfig)
class FrameMLP(History):
    """Two linear layers on each frame's features, as the original's `FCDecoder`."""

    def __init__(self, config: RoboVLMConfig, history: MLPHistoryConfig, width: int):
        super().__init__(config, history, width)
        self.hidden_size = history.hidden_size * config.num_action_tokens
        self.mlp = mlp(width, width // 2, self.hidden_size)

    def forward(self, features: torch.Tensor, frame_mask: torch.Tensor) -> torch.Tensor:
        return self.mlp(features)

    def step(self, features: torch.Tensor, cache: VLACache) -> torch.Tensor:
        return self.mlp(features)
