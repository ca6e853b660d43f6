"""Which modules make up the head that a config asks for."""

from ...configuration.configuration_robovlms import RoboVLMConfig
from .action_head import ActionHead
from .diffusion import DiffusionDecoder
from .flow_matching import FlowMatchingDecoder
from .mlp import FrameMLP
from .recurrent import RecurrentHistory
from .regression import RegressionDecoder
from .transformer import TransformerHistory

_HISTORIES = {"mlp": FrameMLP, "lstm": RecurrentHistory, "gru": RecurrentHistory, "transformer": TransformerHistory}
_DECODERS = {"diffusion": DiffusionDecoder, "flow_matching": FlowMatchingDecoder}


def build_head(config: RoboVLMConfig, feature_dim: int) -> ActionHead:
    """The head of `config.head_config`, for action tokens of `feature_dim` numbers each."""
    head = config.head_config
    history = _HISTORIES[head.history_config.type](config, feature_dim * config.num_action_tokens)
    decoder = _DECODERS.get(head.type, RegressionDecoder)(config, history.hidden_size)
    return ActionHead(history, decoder)
