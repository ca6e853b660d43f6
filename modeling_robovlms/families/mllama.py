"""Llama 3.2 Vision (mllama)."""

from typing import Any

import torch

from ...configuration.saving import travels_with
from ..backbone import UnsupportedByBackbone, register_backbone
from ..cross_attention import CrossAttentionBackbone


@register_backbone("mllama")
class MllamaBackbone(CrossAttentionBackbone):
    """Keys and values of images share the cache with those of the text, and stay those of the first call."""

    mask_name = "cross_attention_mask"
    image_names = ("pixel_values", "aspect_ratio_ids", "aspect_ratio_mask")

    @travels_with("interleaved_continuous")
    def require_keys_and_values(self) -> None:
        raise UnsupportedByBackbone(
            "frame_attention = 'banded' keeps keys and values of frames; in 'mllama' the first frame's images would stay "
            "in them. Use 'window'."
        )

    @travels_with("interleaved_continuous")
    def causal(self, inputs: dict[str, Any]) -> dict[str, Any]:
        """Tokens in front of the images, which may read none, read all there are: in a joined row, the future's too. Here
        they read those of their frame."""
        mask = inputs[self.mask_name]
        in_front = ~mask.flatten(2).any(dim=2)
        mask = torch.where(in_front[:, :, None, None], mask.amax(dim=1, keepdim=True), mask)
        return inputs | {self.mask_name: mask}
