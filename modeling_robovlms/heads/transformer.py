"""History by a causal transformer over the window's features."""

import torch
from torch import nn
from transformers import GPT2Config, GPT2Model

from ...configuration.configuration_robovlms import RoboVLMConfig
from ...configuration.head_configs import TransformerHistoryConfig
from ..streaming import VLACache, push
from .action_head import History, register_history
from .layers import gather_window, leading_padding_last, over_windows


@register_history(TransformerHistoryConfig)
class TransformerHistory(History):
    """GPT-2 with learned positions that count from the first real frame, as the original's `GPTDecoder`."""

    def __init__(self, config: RoboVLMConfig, history: TransformerHistoryConfig, width: int):
        super().__init__(config, history, width)
        self.window_size = config.window_size
        self.num_action_tokens = config.num_action_tokens
        self.hidden_size = history.hidden_size * config.num_action_tokens
        feature_dim = width // config.num_action_tokens
        same = feature_dim == history.hidden_size
        self.fc = nn.Identity() if same else nn.Linear(feature_dim, history.hidden_size)
        self.gpt = GPT2Model(
            GPT2Config(
                vocab_size=1,
                n_positions=config.window_size,
                n_embd=self.hidden_size,
                n_layer=history.num_layers,
                n_head=history.num_heads,
                resid_pdrop=history.dropout,
                embd_pdrop=history.dropout,
                attn_pdrop=history.dropout,
                use_cache=False,
                bos_token_id=None,
                eos_token_id=None,
            )
        )
        self.gpt.wte = None  # its inputs are no words

    def forward(self, features: torch.Tensor, frame_mask: torch.Tensor) -> torch.Tensor:
        return self._fuse(self._embed(features), frame_mask)

    def new_state(self, batch: int) -> dict[str, torch.Tensor]:
        weight = self.gpt.wpe.weight
        return {
            "transformer_frames": weight.new_zeros(batch, self.window_size, self.hidden_size),
            "transformer_seen": torch.zeros(batch, self.window_size, dtype=torch.bool, device=weight.device),
        }

    def step(self, features: torch.Tensor, cache: VLACache) -> torch.Tensor:
        """Runs the transformer over the window's frames, which are kept: positions move with the window, so keys and
        values of past frames would not be those of training."""
        frame = self._embed(features)
        cache["transformer_frames"] = push(cache["transformer_frames"], frame)
        cache["transformer_seen"] = push(cache["transformer_seen"], torch.ones_like(cache["transformer_seen"][:, 0]))
        return self._fuse(cache["transformer_frames"], cache["transformer_seen"])[:, -1]

    def _embed(self, features: torch.Tensor) -> torch.Tensor:
        """`fc` on each action token of `(..., width)`."""
        return self.fc(features.unflatten(-1, (self.num_action_tokens, -1))).flatten(-2)

    def _fuse(self, frames: torch.Tensor, frame_mask: torch.Tensor) -> torch.Tensor:
        """The context of every frame.

        With padding moved behind the real frames, causality hides it and positions start at the first real one."""
        if frames.shape[1] > self.window_size:
            return over_windows(self._fuse, frames, frame_mask, self.window_size)
        frames, undo = leading_padding_last(frames, frame_mask)
        return gather_window(self.gpt(inputs_embeds=frames).last_hidden_state, undo)
