"""What a policy sees of its cameras: their images in the contract's order and size, and of them the part that training saw
(its random crops, evaluation's centre crops of the same area)."""

from collections.abc import Mapping

import numpy as np
import torch
from torch.nn.functional import interpolate

from ..configuration.action_contract import ActionContract, CameraSpec


def crop_size(height: int, width: int, fraction: float) -> tuple[int, int]:
    """(height, width) of a crop of that fraction of the area, with the image's proportions."""
    return round(height * fraction**0.5), round(width * fraction**0.5)


def crop_and_resize(images: torch.Tensor, fraction: float, top: int, left: int) -> torch.Tensor:
    """Images `(..., height, width)` cut at (top, left) and resized back, with antialiasing."""
    outer_height, outer_width = images.shape[-2:]
    height, width = crop_size(outer_height, outer_width, fraction)
    crops = images[..., top : top + height, left : left + width].reshape(-1, 1, height, width)
    return interpolate(crops, size=(outer_height, outer_width), mode="bilinear", antialias=True).reshape(images.shape)


def crop_centre(images: torch.Tensor, fraction: float) -> torch.Tensor:
    """Return the centre of images `(..., height, width)`, resized back."""
    height, width = images.shape[-2:]
    inner_height, inner_width = crop_size(height, width, fraction)
    return crop_and_resize(images, fraction, (height - inner_height) // 2, (width - inner_width) // 2)


def seen_part(pixels: np.ndarray, camera: CameraSpec, cropped: float | None) -> np.ndarray:
    """Return what the policy sees of uint8 `(window, height, width, 3)`, of which training cut random crops already
    (the fraction `cropped`) or not (None).

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


def ordered_frames(
    images: Mapping[str, np.ndarray], contract: ActionContract, cropped: Mapping[str, float]
) -> list[list[np.ndarray]]:
    """Per frame of a sample, the cameras' images in the contract's order.

    Args:
        images: by camera, uint8 `(height, width, 3)` or `(window, height, width, 3)`.
        cropped: the fraction of the area that training cut out, by camera.

    Raises:
        ValueError: naming the camera, for one that is missing, of another size, or with another number of frames.
    """
    missing = [name for name in contract.camera_names if name not in images]
    if missing:
        raise ValueError(
            f"images lack camera(s) {missing} of embodiment {contract.embodiment!r}; got {sorted(images)}."
        )
    cameras = []
    for camera in contract.cameras:
        pixels = np.asarray(images[camera.name])
        pixels = pixels[None] if pixels.ndim == 3 else pixels
        if pixels.dtype != np.uint8 or pixels.shape[1:] != (camera.height, camera.width, 3):
            raise ValueError(
                f"images[{camera.name!r}] must be uint8 of shape (window, {camera.height}, {camera.width}, 3), the "
                f"size that embodiment {contract.embodiment!r} was trained on; got {pixels.dtype} {pixels.shape}."
            )
        cameras.append(seen_part(pixels, camera, cropped.get(camera.name)))
    if len({len(pixels) for pixels in cameras}) > 1:
        raise ValueError(f"images: cameras hold different numbers of frames, {[len(p) for p in cameras]}.")
    return [list(frame) for frame in zip(*cameras, strict=True)]
