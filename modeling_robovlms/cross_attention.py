"""Backbones whose text reads images by cross-attention: which token reads which image is a mask of its own."""

from typing import Any, ClassVar

import torch

from ..configuration.saving import travels_with
from .backbone import Backbone
from .images_per_sample import side_by_side


class CrossAttentionBackbone(Backbone):
    """Images are `(rows, images, ...)`; a mask `(rows, sequence, images, ...)` says which token reads which image."""

    mask_name: ClassVar[str]
    image_names: ClassVar[tuple[str, ...]]

    @travels_with("interleaved_continuous")
    def join_images(self, inputs: dict[str, Any], frame_mask: torch.Tensor) -> dict[str, Any]:
        """A frame's tokens go on reading the images of their own frame only."""
        frames = frame_mask.sum(dim=1)
        place = (frame_mask.cumsum(dim=1) - 1)[frame_mask]  # of a row among its sample's frames
        mask = inputs[self.mask_name]
        slots = torch.nn.functional.one_hot(place.to(mask.device), int(frames.max())).to(mask)
        wide = torch.einsum("rw,rsn...->rswn...", slots, mask).flatten(2, 3)
        images = {name: side_by_side(inputs[name], frame_mask) for name in self.image_names}
        return inputs | images | {self.mask_name: wide}
