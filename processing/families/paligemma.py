"""PaliGemma, a prefix language model: tokens of type 0 attend to each other in both directions, those of type 1 causally."""

import torch
from transformers import BatchFeature

from ..backbone_inputs import BackboneInputs, register_inputs


@register_inputs("PaliGemmaProcessor")
class PaliGemmaInputs(BackboneInputs):
    """Action tokens are of type 1, and the prompt before them of type 0 unless all is to be causal."""

    image_separator = ""
    appended_token_type = 1

    def raw_image_prompt(self) -> str:
        return self.image_prompt * self.processor.image_seq_length

    def mark_actions(self, inputs: BatchFeature, action_token_mask: torch.Tensor, causal: bool) -> None:
        if causal:
            inputs["token_type_ids"] = inputs["attention_mask"].clone()
        else:
            from_action = action_token_mask.long().cumsum(dim=1) > 0
            inputs["token_type_ids"] = torch.where(from_action, inputs["attention_mask"], inputs["token_type_ids"])
