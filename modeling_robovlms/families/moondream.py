"""MoonDream, releases up to August 2024.

Its classes live on the Hub as code of their own, and must be registered for `AutoConfig` and
`AutoModelForImageTextToText` before `from_backbone`. Written from the published interface, and **untested**.
"""

from typing import Any

import torch
from torch import nn

from ..backbone import Backbone, register_backbone


@register_backbone("moondream1")
class MoondreamBackbone(Backbone):
    """A vision encoder and a Phi language model, and no forward over both."""

    @property
    def entry(self) -> nn.Module:
        return self.model.text_model

    @property
    def text_tower(self) -> nn.Module:
        return self.model.text_model

    @property
    def vision_tower(self) -> nn.Module:
        return self.model.vision_encoder

    def embedding_modules(self) -> list[nn.Module]:
        return [self.model.text_model.get_input_embeddings()]

    def accepted(self, inputs: dict[str, Any]) -> dict[str, Any]:
        ids, place = inputs["input_ids"], inputs["image_embeds_position_mask"].bool()
        embeds = self.embedding_modules()[0](ids)
        images = self.model.vision_encoder(inputs["pixel_values"].to(embeds.dtype)).flatten(0, 1)
        embeds = embeds.masked_scatter(place[..., None], images.to(embeds.dtype))
        return {"inputs_embeds": embeds, "attention_mask": inputs["attention_mask"], "use_cache": False}

    def hidden_states(self, inputs: dict[str, Any], *written: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
        with self.written_embeddings(*written):  # embedding happens before the forward
            return self.run(self.accepted(inputs))

    def run(self, inputs: dict[str, Any]) -> torch.Tensor:
        return self.model.text_model(**inputs, output_hidden_states=True).hidden_states[-1]
