"""A dataset whose cameras have other sizes than those of the recordings it is trained with."""

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
from PIL import Image, ImageOps
from torch.utils.data import Dataset

Resizing = Literal["stretch", "pad"]


class Resized(Dataset):
    """Window samples whose images are stretched to `sizes`, or scaled and padded with black to keep their proportions.

    Args:
        dataset: of window samples.
        sizes: {camera: (height, width)} in pixels; other cameras stay as they are.
        how: "stretch" or "pad", as the policy server and `robovlms robot evaluate` have it.
    """

    def __init__(self, dataset: Any, sizes: Mapping[str, tuple[int, int]], how: Resizing):
        self.dataset, self.sizes, self.how = dataset, dict(sizes), how

    def __getattr__(self, name: str):
        if name in ("dataset", "__setstate__"):
            raise AttributeError(name)
        return getattr(self.dataset, name)  # stretches(), fps, statistics, ...

    @property
    def camera_shapes(self) -> dict[str, tuple[int, int]]:
        """{camera: (height, width)} after resizing."""
        return self.dataset.camera_shapes | {
            name: self.sizes[name] for name in self.dataset.camera_shapes if name in self.sizes
        }

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> dict:
        sample = self.dataset[index]
        images = {camera: self._resize(frames, self.sizes.get(camera)) for camera, frames in sample["images"].items()}
        return sample | {"images": images}

    def _resize(self, frames: np.ndarray, size: tuple[int, int] | None) -> np.ndarray:
        """Frames uint8 (window, height, width, 3) in another size; None leaves theirs."""
        if size is None or frames.shape[1:3] == size:
            return frames
        height, width = size
        pictures = [Image.fromarray(frame) for frame in frames]
        if self.how == "stretch":
            resized = [picture.resize((width, height), Image.Resampling.BILINEAR) for picture in pictures]
        else:
            resized = [ImageOps.pad(picture, (width, height), Image.Resampling.BILINEAR) for picture in pictures]
        return np.stack([np.asarray(picture) for picture in resized])
