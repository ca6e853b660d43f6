"""Llama 4."""

from typing import Any

import torch
import transformers
from torch import nn

from ...configuration.configuration_robovlms import RoboVLMConfig
from ..backbone import Backbone, UnsupportedByBackbone, register_backbone


class _Reached(Exception):
    """Ends a forward at the vocabulary's output layer."""


@register_backbone("llama4")
class Llama4Backbone(Backbone):
    """In transformers 5.24 its forward fails behind the output layer (its output lacks `image_outputs`): end it there."""

    def require_support(self, config: RoboVLMConfig) -> None:
        super().require_support(config)
        if config.structure == "one_step_discrete" and transformers.__version__.startswith("5.24."):
            raise UnsupportedByBackbone(
                "backbone 'llama4': its forward fails in transformers 5.24, so that it writes no tokens. Use another version, "
                "or OneStepContinuousVLA."
            )

    def run_to_vocabulary(self, inputs: dict[str, Any]) -> torch.Tensor:
        reached: list[torch.Tensor] = []

        def tap(module: nn.Module, arguments: tuple[torch.Tensor, ...]) -> None:
            reached.append(arguments[0])
            raise _Reached

        handle = self.output_layer.register_forward_pre_hook(tap)
        try:
            self.model(**inputs)
        except _Reached:
            pass
        finally:
            handle.remove()
        return reached[0]
