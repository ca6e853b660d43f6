"""Pictures, states and instructions in the forms that robots and simulators have them in, as policies take them."""

import contextlib
from typing import Any, Literal

import numpy as np
from PIL import Image, ImageOps

from ..configuration.action_contract import CameraSpec, VectorSpec

Resize = Literal["refuse", "stretch", "pad"]
"""What happens to a picture of another size than the contract's: it is refused, stretched, or scaled and padded with
black to keep its proportions (openpi's `resize_with_pad`)."""


def read_picture(
    picture: Any, camera: CameraSpec, name: str, resize: Resize = "refuse", max_pixels: int | None = None
) -> np.ndarray:
    """uint8 RGB `(height, width, 3)` of the camera's size, a copy.

    Args:
        picture: an array or tensor `(height, width, 3)` or `(3, height, width)`, uint8 or floats in [0, 1], or a PIL image.
        name: what errors call it.
        max_pixels: how many it may have.

    Raises:
        ValueError: naming it, for anything else.
    """
    image: np.ndarray = np.empty(0)
    with contextlib.suppress(TypeError, ValueError):
        image = as_array(picture)
    if image.ndim != 3 or 3 not in (image.shape[0], image.shape[2]):
        raise ValueError(
            f"{name!r} must be an image (height, width, 3) or (3, height, width), got {described(picture)}."
        )
    if image.shape[2] != 3:
        image = image.transpose(1, 2, 0)
    height, width = image.shape[:2]
    if not 0 < height * width <= (max_pixels or height * width):
        raise ValueError(
            f"{name!r} has {height}x{width} pixels; allowed are 1 to {max_pixels or 'any number'} in all."
        )
    if image.dtype.kind == "f":
        if not (np.isfinite(image).all() and image.min() >= 0 and image.max() <= 1):
            raise ValueError(f"{name!r} is of floats and must hold finite values from 0 to 1.")
        image = np.rint(image * 255).astype(np.uint8)
    if image.dtype != np.uint8:
        raise ValueError(f"{name!r} must be uint8, or floats from 0 to 1; got {image.dtype}.")
    if (height, width) == (camera.height, camera.width):
        return np.array(image, order="C")
    if resize == "refuse":
        raise ValueError(
            f"{name!r} is {height}x{width}, camera {camera.name!r} is {camera.height}x{camera.width}: give that size, or "
            "allow others with resize='stretch' or 'pad' (Policy, RobotMapping; --resize of `robovlms serve`)."
        )
    whole, size = Image.fromarray(np.ascontiguousarray(image)), (camera.width, camera.height)
    if resize == "stretch":
        return np.array(whole.resize(size, Image.Resampling.BILINEAR))
    return np.array(ImageOps.pad(whole, size, Image.Resampling.BILINEAR))


def read_state(value: Any, state: VectorSpec, name: str) -> np.ndarray:
    """float32 `(state_dim,)` of numbers in any shape, or of a list of vectors one behind the other.

    Raises:
        ValueError: naming it, for another number of values, and for what is not finite.
    """
    try:
        parts = value if isinstance(value, list) else [value]
        arrays = [as_array(part) for part in parts]
        if any(array.dtype.kind not in "biuf" for array in arrays):
            raise TypeError("no numbers")
        numbers = np.concatenate([array.reshape(-1) for array in arrays]).astype(np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name!r} must be numbers, got {described(value)}.") from error
    if len(numbers) != len(state.names):
        raise ValueError(f"{name!r} must hold {len(state.names)} numbers {list(state.names)}, got {len(numbers)}.")
    if not np.isfinite(numbers).all():
        raise ValueError(f"{name!r} holds a value that is not finite.")
    return numbers.astype(np.float32)


def read_instruction(value: Any, name: str) -> str:
    """Return a sentence. Raises ValueError, naming it, for anything but a text (bytes, None, numbers, lists), and for
    none."""
    if not isinstance(value, str) or not value.strip():
        hint = ": decode it" if isinstance(value, bytes) else ""
        raise ValueError(f"{name!r} must be a sentence, got {described(value)}{hint}.")
    return value


def require_resize(resize: str) -> None:
    """Raises ValueError for a way to resize that there is not."""
    if resize not in ("refuse", "stretch", "pad"):
        raise ValueError(f"resize must be 'refuse', 'stretch' or 'pad', got {resize!r}.")


def as_array(value: Any) -> np.ndarray:
    """Return an array of an array, a PIL image, numbers, or a tensor on any device."""
    return np.asarray(value.detach().cpu() if hasattr(value, "detach") else value)


def described(value: Any) -> str:
    """Return what was got, for an error."""
    if isinstance(value, np.ndarray) or hasattr(value, "detach"):
        return f"an array of {value.dtype} {tuple(value.shape)}"
    return f"{type(value).__name__} {str(value)[:50]!r}"
