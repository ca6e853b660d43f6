"""First weights of the layers that are not the backbone's."""

from torch import nn
from transformers import initialization as init


def init_layer(layer: nn.Module) -> None:
    """Xavier for linear and attention layers, torch's own range for recurrent ones, 0.02 for embeddings.

    Called for every layer; what was loaded from a checkpoint stays.
    """
    if isinstance(layer, nn.Linear):
        init.xavier_uniform_(layer.weight, gain=getattr(layer, "init_gain", 1.0))
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
    elif isinstance(layer, nn.LayerNorm) and layer.elementwise_affine:
        init.ones_(layer.weight)
        init.zeros_(layer.bias)
