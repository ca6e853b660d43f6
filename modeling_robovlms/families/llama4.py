"""Llama 4."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from transformers import PreTrainedModel
from transformers.utils.generic import ModelOutput

from ...configuration.saving import travels_with
from ..backbone import Backbone, register_backbone


@register_backbone("llama4")
class Llama4Backbone(Backbone):
    """In transformers 5.24 the forward of the whole model reads `image_outputs` of its language model's output, which has
    none: it gets one here."""

    def run_to_vocabulary(self, inputs: dict[str, Any]) -> torch.Tensor:
        with given_image_outputs(self.model):
            return super().run_to_vocabulary(inputs)

    def logits(
        self, inputs: dict[str, Any], token_mask: torch.Tensor | None = None, tokens: torch.Tensor | None = None
    ) -> torch.Tensor:
        with given_image_outputs(self.model):
            return super().logits(inputs, token_mask, tokens)

    @travels_with("one_step_discrete")
    def generate(self, inputs: dict[str, Any], **options: Any) -> torch.Tensor:
        with given_image_outputs(self.model):
            return super().generate(inputs, **options)


@contextmanager
def given_image_outputs(model: PreTrainedModel) -> Iterator[None]:
    """While open, what the language model puts out has `image_outputs`: None."""

    def give(module: nn.Module, arguments: Any, output: ModelOutput) -> None:
        output.image_outputs = None

    handle = model.get_submodule("language_model").register_forward_hook(give)
    try:
        yield
    finally:
        handle.remove()
