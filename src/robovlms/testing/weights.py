"""Random weights under which a tiny model still depends on all of its inputs."""

import math

import torch


@torch.no_grad()
def randomize(model: torch.nn.Module, seed: int = 0) -> None:
    """Redraw the weights in place, reproducibly.

    The families' own initialisation (std 0.02, gates and some projectors at zero) is made for wide models: at width 64
    the image's effect on the logits drowns in rounding, and a test of that effect would test nothing.
    """
    generator = torch.Generator().manual_seed(seed)
    embeddings = {m.weight for m in model.modules() if isinstance(m, torch.nn.Embedding)}
    convolutions = {m.weight for m in model.modules() if isinstance(m, torch.nn.modules.conv._ConvNd)}
    for name, parameter in model.named_parameters():
        if not parameter.is_floating_point() or "quantize" in name:  # a codebook must stay close to its inputs
            continue
        if parameter.ndim >= 2:
            fan_in = parameter[0].numel() if parameter in convolutions else parameter.shape[-1]
            std = 0.5 if parameter in embeddings else 1 / math.sqrt(fan_in)
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * std)
        elif parameter.ndim == 1 and not parameter.any() and not name.endswith("bias"):
            parameter.fill_(0.5)  # gates that start closed
