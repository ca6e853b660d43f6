"""First weights of a head's layers."""

from collections.abc import Iterator

from torch import nn
from transformers import PreTrainedModel
from transformers import initialization as init


def init_head_weights(head: nn.Module) -> None:
    """Xavier for linear and attention layers, torch's own range for recurrent ones, 0.02 for embeddings. Models of
    transformers inside the head initialise themselves. What was loaded from a checkpoint stays."""
    for layer in _own_layers(head):
        if isinstance(layer, nn.Linear):
            init.xavier_uniform_(layer.weight)
            if layer.bias is not None:
                init.zeros_(layer.bias)
        elif isinstance(layer, nn.MultiheadAttention):
            init.xavier_uniform_(layer.in_proj_weight)
            init.zeros_(layer.in_proj_bias)
        elif isinstance(layer, nn.RNNBase):
            for parameter in layer.parameters():
                init.uniform_(parameter, -(layer.hidden_size**-0.5), layer.hidden_size**-0.5)
        elif isinstance(layer, nn.Embedding):
            init.normal_(layer.weight, std=0.02)
        elif isinstance(layer, nn.LayerNorm):
            init.ones_(layer.weight)
            init.zeros_(layer.bias)


def _own_layers(module: nn.Module) -> Iterator[nn.Module]:
    if not isinstance(module, PreTrainedModel):
        yield module
        for child in module.children():
            yield from _own_layers(child)
