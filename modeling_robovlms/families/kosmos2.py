"""KosMos-2."""

from typing import Any

import torch
from torch import nn
from transformers import DynamicCache

from ...configuration.saving import travels_with
from ..backbone import Backbone, cache_argument, register_backbone
from ..image_inputs import per_row


@register_backbone("kosmos-2")
class Kosmos2Backbone(Backbone):
    """Images enter through the head model, and only without a past: with one, they are written where they belong."""

    @travels_with("one_step_discrete")
    def bidirectional(self, inputs: dict[str, Any], marks: torch.Tensor) -> dict[str, Any]:
        raise ValueError(
            "KosMos-2 builds its own causal mask: decode autoregressively, parallel decoding is not possible."
        )

    @property
    def text_tower(self) -> nn.Module:
        return self.model.text_model

    @property
    def vision_tower(self) -> nn.Module:
        return self.model.vision_model

    @travels_with("interleaved_continuous")
    def image_features(self, inputs: dict[str, Any], rows: int) -> dict[str, torch.Tensor]:
        pixels = self.accepted(inputs)["pixel_values"]
        return {"image_embeds": per_row(self.encode_images(pixels), rows)}

    def encode_images(self, pixel_values: torch.Tensor, **image_inputs: Any) -> torch.Tensor:
        pixels = pixel_values.to(self.model.dtype)
        states = self.model.vision_model(pixel_values=pixels).last_hidden_state
        states = self.model.vision_model.model.post_layernorm(states)
        return self.model.image_to_text_projection(nn.functional.normalize(states, dim=-1))[0]

    @travels_with("interleaved_continuous")
    def step(
        self,
        inputs: dict[str, Any],
        token_mask: torch.Tensor,
        tokens: torch.Tensor,
        past: DynamicCache,
        position_ids: torch.Tensor,
    ) -> torch.Tensor:
        text = self.model.text_model.model
        images = self.encode_images(self.accepted(inputs)["pixel_values"]).flatten(0, 1)
        with self.written_embeddings((token_mask, tokens), (inputs["image_embeds_position_mask"].bool(), images)):
            return text(
                input_ids=inputs["input_ids"],
                attention_mask=inputs["attention_mask"],
                **cache_argument(past, text),
                position_ids=position_ids + text.embed_positions.padding_idx + 1,
            ).last_hidden_state
