"""The one adapter over every vision-language backbone: the backbone runs its own forward, unmodified.

Action tokens are positions of `input_ids` that carry an ordinary text id. While the backbone runs, a hook on its
input embedding writes learnable vectors there, and the last hidden state is read at the same positions. Prompt
layout, image tokens, multimodal positions and cross-attention stay the backbone's own business.
"""

import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

import torch
from torch import nn
from transformers import PreTrainedModel


class Backbone:
    """Runs one vision-language model. Subclass and `register_backbone` for a family that needs something else.

    Args:
        model: the vision-language model, as `AutoModelForImageTextToText` builds it.
    """

    def __init__(self, model: PreTrainedModel):
        self.model = model

    def hidden_states(self, inputs: dict[str, Any], token_mask: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
        """Last hidden states (after the final norm) of the text side, `(rows, sequence, hidden_size)`.

        Args:
            inputs: what the backbone's own processor returned, `input_ids` `(rows, sequence)` included.
            token_mask: bool `(rows, sequence)`, True where `tokens` replace the input embeddings.
            tokens: `(token_mask.sum(), hidden_size)`, in row-major order of the mask.
        """
        with self.written_embeddings(token_mask, tokens):
            states = self.run(self.accepted(inputs))
        return states[:, -token_mask.shape[1] :]

    def run(self, inputs: dict[str, Any]) -> torch.Tensor:
        """The base model's last hidden state, without vocabulary logits."""
        return self.model.base_model(**inputs).last_hidden_state

    def accepted(self, inputs: dict[str, Any]) -> dict[str, Any]:
        """`inputs` that the forward takes, floats in the backbone's dtype."""
        names = _forward_names(type(self.entry))
        dtype = self.model.dtype
        kept = {
            name: value.to(dtype) if torch.is_tensor(value) and value.is_floating_point() else value
            for name, value in inputs.items()
            if name in names
        }
        return kept | ({"use_cache": False} if "use_cache" in names else {})

    @property
    def entry(self) -> nn.Module:
        """The module whose forward is called."""
        return self.model.base_model

    def embedding_modules(self) -> list[nn.Module]:
        """The modules that embed `input_ids`."""
        return [self.model.get_input_embeddings()]

    @contextmanager
    def written_embeddings(self, token_mask: torch.Tensor, tokens: torch.Tensor) -> Iterator[None]:
        """While open, the input embeddings at `token_mask` are `tokens`."""

        def write(module: nn.Module, arguments: Any, output: torch.Tensor) -> torch.Tensor:
            if output.shape[:2] != token_mask.shape:
                return output
            mask = token_mask.to(output.device)[..., None]
            return output.masked_scatter(mask, tokens.to(output.device, output.dtype))

        handles = [module.register_forward_hook(write) for module in self.embedding_modules()]
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()


@lru_cache
def _forward_names(entry: type[nn.Module]) -> frozenset[str]:
    parameters = inspect.signature(entry.forward).parameters.values()
    return frozenset(parameter.name for parameter in parameters if parameter.kind != parameter.VAR_KEYWORD)


_REGISTRY: dict[str, type[Backbone]] = {}


def register_backbone(*model_types: str) -> Callable[[type[Backbone]], type[Backbone]]:
    """Class decorator: use this adapter for backbones whose `config.model_type` is one of `model_types`."""

    def register(adapter: type[Backbone]) -> type[Backbone]:
        _REGISTRY.update(dict.fromkeys(model_types, adapter))
        return adapter

    return register


def backbone_adapter(model: PreTrainedModel) -> Backbone:
    """The adapter registered for the model's family, else the general one."""
    return _REGISTRY.get(model.config.model_type, Backbone)(model)


@register_backbone("kosmos-2")
class HeadModelBackbone(Backbone):
    """Families whose images enter through the head model: it is called itself, asked for a single logit."""

    @property
    def entry(self) -> nn.Module:
        return self.model

    def run(self, inputs: dict[str, Any]) -> torch.Tensor:
        extra = {"logits_to_keep": 1} if "logits_to_keep" in _forward_names(type(self.model)) else {}
        return self.model(**inputs, **extra, output_hidden_states=True).hidden_states[-1]
