"""The part of an image that a policy sees: training's random crops, evaluation's centre crops of the same area."""

import numpy as np
import torch
from torch.nn.functional import interpolate

from ..configuration.action_contract import CameraSpec


def crop_size(height: int, width: int, fraction: float) -> tuple[int, int]:
    """(height, width) of a crop of that fraction of the area, with the image's proportions."""
    return round(height * fraction**0.5), round(width * fraction**0.5)


def crop_and_resize(images: torch.Tensor, fraction: float, top: int, left: int) -> torch.Tensor:
    """Images `(..., height, width)` cut at (top, left) and resized back, with antialiasing."""
    size = images.shape[-2:]
    height, width = crop_size(*size, fraction)
    crops = images[..., top : top + height, left : left + width].reshape(-1, 1, height, width)
    return interpolate(crops, size=tuple(size), mode="bilinear", antialias=True).reshape(images.shape)


def crop_centre(images: torch.Tensor, fraction: float) -> torch.Tensor:
    """The centre of images `(..., height, width)`, resized back."""
    height, width = images.shape[-2:]
    inner_height, inner_width = crop_size(height, width, fraction)
    return crop_and_resize(images, fraction, (height - inner_height) // 2, (width - inner_width) // 2)


def seen_part(pixels: np.ndarray, camera: CameraSpec, cropped: float | None) -> np.ndarray:
    """What the policy sees of uint8 `(window, height, width, 3)`, of which training cut random crops already (the
    fraction `cropped`) or not (None).

    Raises:
        ValueError: for crops of another area than the contract's, or of a camera without crops there.
    """
    if cropped == camera.centre_crop:
        return pixels
    if camera.centre_crop is None or cropped is not None:
        raise ValueError(
            f"images[{camera.name!r}] are random crops of {cropped} of the area, the contract's centre_crop is "
            f"{camera.centre_crop}: evaluation would see another part. Make the contract from the augmented dataset."
        )
    centre = crop_centre(torch.from_numpy(pixels).movedim(-1, -3), camera.centre_crop)
    return centre.movedim(-3, -1).contiguous().numpy()
