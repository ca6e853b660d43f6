"""History by a recurrent network (LSTM or GRU) over the window's features."""

import torch
from torch import nn

from ...configuration.configuration_robovlms import RoboVLMConfig
from ...configuration.head_configs import RecurrentHistoryConfig
from ..streaming import VLACache, push
from .action_head import History, register_history
from .layers import gather_window, leading_padding_last, over_windows

_NETWORKS = {"lstm": nn.LSTM, "gru": nn.GRU}
_STATES = {"lstm": ("lstm_h", "lstm_c"), "gru": ("gru_h",)}


@register_history(RecurrentHistoryConfig)
class RecurrentHistory(History):
    """Starts from zero at the first real frame of the window; the LSTM is the original's `LSTMDecoder`."""

    def __init__(self, config: RoboVLMConfig, history: RecurrentHistoryConfig, width: int):
        super().__init__(config, history, width)
        self.window_size = config.window_size
        self.hidden_size = history.hidden_size * config.num_action_tokens
        self.state_names = _STATES[history.type]
        self.rnn = _NETWORKS[history.type](
            width,
            self.hidden_size,
            num_layers=history.num_layers,
            dropout=history.dropout if history.num_layers > 1 else 0.0,
            batch_first=True,
        )

    def forward(self, features: torch.Tensor, frame_mask: torch.Tensor) -> torch.Tensor:
        if features.shape[1] > self.window_size:
            return over_windows(self.forward, features, frame_mask, self.window_size)
        features, undo = leading_padding_last(features, frame_mask)
        return gather_window(self.rnn(features)[0], undo)

    def new_state(self, batch: int) -> dict[str, torch.Tensor]:
        shape = (batch, self.window_size, self.rnn.num_layers, self.hidden_size)
        return {name: self.rnn.weight_ih_l0.new_zeros(shape) for name in self.state_names}

    def step(self, features: torch.Tensor, cache: VLACache) -> torch.Tensor:
        """Runs `window_size` networks side by side, each started one frame later than the one before, on the new frame
        alone. The oldest has then seen exactly the window, so nothing is ever run twice."""
        batch, slots = len(features), self.window_size
        states = [cache[name].flatten(0, 1) for name in self.state_names]
        newest: list[list[torch.Tensor]] = [[] for _ in states]
        output = features.repeat_interleave(slots, dim=0)
        for layer in range(self.rnn.num_layers):
            output, *rest = self._cell(layer, output, [state[:, layer] for state in states])
            for kept, value in zip(newest, (output, *rest), strict=True):
                kept.append(value)
        for name, kept in zip(self.state_names, newest, strict=True):
            slot_states = torch.stack(kept, dim=1).unflatten(0, (batch, slots))
            cache[name] = push(slot_states, torch.zeros_like(slot_states[:, 0]))
        return output.unflatten(0, (batch, slots))[:, 0]

    def _cell(self, layer: int, inputs: torch.Tensor, states: list[torch.Tensor]) -> tuple[torch.Tensor, ...]:
        """One step of one layer; twice as fast on a CPU as a sequence of length one."""
        weights = [getattr(self.rnn, f"{name}_l{layer}") for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")]
        if isinstance(self.rnn, nn.LSTM):
            return torch.lstm_cell(inputs, states, *weights)
        return (torch.gru_cell(inputs, states[0], *weights),)
