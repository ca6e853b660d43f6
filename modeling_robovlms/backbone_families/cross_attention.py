"""Families whose text reads images by cross-attention: which token reads which image is a mask of its own."""

from typing import Any, ClassVar

import torch

from ..backbone import Backbone, UnsupportedByBackbone, register_backbone
from .images_per_sample import side_by_side


class CrossAttentionBackbone(Backbone):
    """Images are `(rows, images, ...)`; a mask `(rows, sequence, images, ...)` says which token reads which image."""

    mask_name: ClassVar[str]
    image_names: ClassVar[tuple[str, ...]]

    def join_images(self, inputs: dict[str, Any], frame_mask: torch.Tensor) -> dict[str, Any]:
        """A frame's tokens go on reading the images of their own frame only."""
        frames = frame_mask.sum(dim=1)
        place = (frame_mask.cumsum(dim=1) - 1)[frame_mask]  # of a row among its sample's frames
        mask = inputs[self.mask_name]
        slots = torch.nn.functional.one_hot(place.to(mask.device), int(frames.max())).to(mask)
        wide = torch.einsum("rw,rsn...->rswn...", slots, mask).flatten(2, 3)
        images = {name: side_by_side(inputs[name], frame_mask) for name in self.image_names}
        return inputs | images | {self.mask_name: wide}


@register_backbone("idefics")
class IdeficsBackbone(CrossAttentionBackbone):
    """The open Flamingo. Its own configuration freezes text and vision layers unless told otherwise."""

    mask_name = "image_attention_mask"
    image_names = ("pixel_values",)


@register_backbone("mllama")
class MllamaBackbone(CrossAttentionBackbone):
    """Keys and values of images share the cache with those of the text, and stay those of the first call."""

    mask_name = "cross_attention_mask"
    image_names = ("pixel_values", "aspect_ratio_ids", "aspect_ratio_mask")

    def require_keys_and_values(self) -> None:
        raise UnsupportedByBackbone(
            "frame_attention = 'banded' keeps keys and values of frames; in 'mllama' the first frame's images would stay "
            "in them. Use 'window'."
        )

    def causal(self, inputs: dict[str, Any]) -> dict[str, Any]:
        """Tokens in front of the images, which may read none, read all there are: in a joined row, the future's too. Here
        they read those of their frame."""
        mask = inputs[self.mask_name]
        in_front = ~mask.flatten(2).any(dim=2)
        mask = torch.where(in_front[:, :, None, None], mask.amax(dim=1, keepdim=True), mask)
        return inputs | {self.mask_name: mask}
