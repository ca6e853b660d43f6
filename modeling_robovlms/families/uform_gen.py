"""UForm-Gen.

Its classes live on the Hub as code of their own, and must be registered for `AutoConfig` and
`AutoModelForImageTextToText` before `from_backbone`. Written from the published interface, and **untested**.
"""

from typing import Any

import torch

from ..backbone import Backbone, register_backbone


@register_backbone("vlm")
class UFormGenBackbone(Backbone):
    """One placeholder becomes an image's latents inside the model, so its output is longer than its input."""

    takes_several_images = False

    def accepted(self, inputs: dict[str, Any]) -> dict[str, Any]:
        mask = inputs["attention_mask"]
        latents = mask.new_ones(len(mask), self.model.config.image_pooler_num_latents - 1)
        inputs = inputs | {"images": inputs["pixel_values"], "attention_mask": torch.cat([latents, mask], dim=1)}
        return super().accepted({name: value for name, value in inputs.items() if name != "pixel_values"})
