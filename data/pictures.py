"""What a feature's pictures look like: where height, width and channels stand, and whether they are depth."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

CHANNELS = (1, 3, 4)
SMALLEST_SIDE = 8  # pixels; a smaller array of numbers is no picture
DEPTH_MODES = ("I;16", "I;16B", "I;16L", "I;16N", "I", "F")  # PIL's: more than 8 bits, one channel
DEPTH_TYPES = ("uint16", "float16", "float32", "float64")


@dataclass(frozen=True)
class Picture:
    """Size of a camera's pictures (pixels), and whether they are depth."""

    height: int
    width: int
    is_depth: bool


def channel_axis(shape: Sequence[int]) -> int | None:
    """Return which axis of a picture's shape holds the channels: the last or the first; None for (height, width).

    Raises ValueError for anything else.
    """
    if len(shape) == 2:
        return None
    if len(shape) == 3 and shape[-1] in CHANNELS:
        return 2
    if len(shape) == 3 and shape[0] in CHANNELS:
        return 0
    raise ValueError(f"shape {list(shape)} is no picture: height, width and 1, 3 or 4 channels, last or first")


def picture_size(shape: Sequence[int]) -> tuple[int, int]:
    """(height, width) of a picture's shape, channels last, first or none. Raises ValueError for anything else."""
    axis = channel_axis(shape)
    height, width = [size for number, size in enumerate(shape) if number != axis]
    return int(height), int(width)


def is_picture(feature: Mapping[str, Any]) -> bool:
    """Return whether a feature of info.json holds pictures: a video, images, or whole pictures as arrays of
    numbers."""
    dtype, shape = feature["dtype"], feature.get("shape") or ()
    if dtype in ("video", "image"):
        return True
    if dtype != "uint8" and dtype not in DEPTH_TYPES:
        return False
    try:
        is_large = min(picture_size(shape)) >= SMALLEST_SIDE
    except ValueError:
        return False
    return is_large and (dtype == "uint8" or _is_single(shape) or (dtype != "uint16" and 3 in shape))


def is_declared_depth(feature: Mapping[str, Any]) -> bool:
    """Return whether info.json says that a feature of pictures holds depth, by a flag or by its type of numbers."""
    infos = [feature, feature.get("info") or {}, feature.get("video_info") or {}]
    if any(info.get(flag) for info in infos for flag in ("is_depth_map", "video.is_depth_map", "is_depth")):
        return True
    if feature["dtype"] in DEPTH_TYPES and _is_single(feature.get("shape") or ()):
        return True
    return any(is_depth_format(info.get("video.pix_fmt")) for info in infos)


def _is_single(shape: Sequence[int]) -> bool:
    """Whether a picture's shape has one channel."""
    return len(shape) == 2 or 1 in shape


def is_depth_format(pixel_format: str | None) -> bool:
    """Return whether FFmpeg's pixel format has one channel of more than 8 bits: gray10le, gray12le, gray16be ..."""
    return (
        bool(pixel_format)
        and pixel_format.startswith("gray")
        and pixel_format[4:6] in ("9l", "9b", "10", "12", "14", "16")
    )


def colour(pixels: np.ndarray) -> np.ndarray:
    """RGB uint8 (height, width, 3) of uint8, or floats from 0 to 1, (height, width), or with 1, 3 or 4 channels last or
    first; alpha goes.

    Raises ValueError for another type or shape.
    """
    if pixels.dtype.kind == "f" and pixels.min() >= 0 and pixels.max() <= 1:
        pixels = np.rint(pixels * 255).astype(np.uint8)
    if pixels.dtype != np.uint8:
        raise ValueError(
            f"a colour picture is uint8, or floats from 0 to 1; this one is {pixels.dtype}, {pixels.min()} to {pixels.max()}"
        )
    axis = channel_axis(pixels.shape)
    pixels = pixels[..., None] if axis is None else np.moveaxis(pixels, axis, -1)
    pixels = pixels[..., :3] if pixels.shape[-1] > 1 else pixels.repeat(3, axis=-1)
    return np.ascontiguousarray(pixels)


def metres(values: np.ndarray) -> np.ndarray:
    """Depth float32 (height, width) in metres: integers are millimetres (as depth cameras write them), real numbers
    metres already. Raises ValueError where there is more than one channel."""
    axis = channel_axis(values.shape)
    if axis is not None:
        values = np.moveaxis(values, axis, -1)
        if values.shape[-1] != 1:
            raise ValueError(f"depth has one channel, this picture {values.shape[-1]}")
        values = values[..., 0]
    return values.astype(np.float32) * np.float32(1.0 if values.dtype.kind == "f" else 0.001)
