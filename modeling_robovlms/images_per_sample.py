"""Backbones that take the images of a row side by side."""

from typing import Any

import torch

from ..configuration.saving import travels_with
from .backbone import Backbone


class ImagesPerSampleBackbone(Backbone):
    """Pixels are `(rows, images, ...)`, not one entry per image; all-zero images are skipped."""

    @travels_with("interleaved_continuous")
    def join_images(self, inputs: dict[str, Any], frame_mask: torch.Tensor) -> dict[str, Any]:
        images = {name: value for name, value in inputs.items() if name.startswith("pixel_")}
        return inputs | {name: side_by_side(value, frame_mask) for name, value in images.items()}


def side_by_side(value: torch.Tensor, frame_mask: torch.Tensor) -> torch.Tensor:
    """`(frames, images, ...)` of all samples as `(batch, images of a sample, ...)`, padded with zeros."""
    samples = [frames.flatten(0, 1) for frames in value.split(frame_mask.sum(dim=1).tolist())]
    return torch.nn.utils.rnn.pad_sequence(samples, batch_first=True)
