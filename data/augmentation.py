"""Image augmentation of window samples for training: seeded, and the same for all frames of a window."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset
from torchvision.transforms import v2

from ..processing.camera_images import crop_and_resize, crop_size
from .windows import WindowSample


class RandomShift(torch.nn.Module):
    """Pads images (..., height, width) by repeating their edge, and crops them back at a random whole-pixel offset.

    One offset for the whole input (a window); `per_frame` draws one per frame instead, as the original RoboVLMs code
    does on CALVIN (10 pixels for the static camera, 4 for the gripper's).
    """

    def __init__(self, pixels: int, per_frame: bool = False):
        super().__init__()
        self.pixels, self.per_frame = pixels, per_frame

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        frames = images.shape[0] if self.per_frame else 1
        return shift_images(images, torch.randint(0, 2 * self.pixels + 1, (frames, 2)), self.pixels)


def shift_images(images: torch.Tensor, offsets: torch.Tensor, pixels: int) -> torch.Tensor:
    """Images (frames, channels, height, width) padded by `pixels` and cropped at `offsets` (frames or 1, (x, y))."""
    height, width = images.shape[-2:]
    padded = v2.functional.pad(images, [pixels] * 4, padding_mode="edge")
    places: list[list[int]] = offsets.expand(len(images), 2).tolist()
    return torch.stack([f[:, y : y + height, x : x + width] for f, (x, y) in zip(padded, places, strict=True)])


class RandomCrop(torch.nn.Module):
    """Crops a random window of `scale` (fraction of the area) and resizes it back.

    A policy trained with it must see the centre crop of the same area in evaluation: `action_contract` of the augmented
    dataset says so, and the processor does it.
    """

    def __init__(self, scale: float = 0.9):
        super().__init__()
        if not 0 < scale < 1:
            raise ValueError(f"scale must be between 0 and 1, got {scale}")
        self.scale = scale

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        height, width = images.shape[-2:]
        inner_height, inner_width = crop_size(height, width, self.scale)
        top = int(torch.randint(0, height - inner_height + 1, ()))
        left = int(torch.randint(0, width - inner_width + 1, ()))
        return crop_and_resize(images, self.scale, top, left)


def open_x_augmentation() -> list[torch.nn.Module]:
    """Return what RoboVLMs trains on Open X-Embodiment with: a crop of 90% of the area and colour jitter."""
    return [RandomCrop(0.9), v2.ColorJitter(brightness=0.2, contrast=(0.8, 1.2), saturation=(0.8, 1.2), hue=0.05)]


AUGMENTATIONS: dict[str, Callable[[], list[torch.nn.Module]]] = {
    "shift": lambda: [RandomShift(10)],
    "crop": lambda: [RandomCrop(0.9)],
    "open_x": open_x_augmentation,
}
"""Usual ones by name."""


class Augmented(Dataset):
    """A dataset whose images are augmented: the same draw for all frames of a window, another for each camera.

    The draw depends on seed, epoch, episode and frame alone, not on workers or order. Evaluation simply uses the
    dataset itself. Random crops are noted in the samples (`cropped`) and in the contract that `action_contract` makes of
    this dataset, so that the processor cuts the centre out of every other image.

    Args:
        dataset: of window samples.
        transforms: modules on uint8 (window, 3, height, width), e.g. torchvision's v2; or {camera: modules}.
        seed: of the draws.

    Raises:
        ValueError: for crops other than one `RandomCrop` per camera, which the contract could not tell.
    """

    def __init__(self, dataset: Any, transforms, seed: int = 0):
        self.dataset, self.transforms, self.seed = dataset, transforms, seed
        for several in transforms.values() if isinstance(transforms, dict) else [transforms]:
            _crop_of(several)
        self._epoch = torch.zeros((), dtype=torch.int64).share_memory_()

    def __getattr__(self, name: str):
        if name in ("dataset", "__setstate__"):
            raise AttributeError(name)
        return getattr(self.dataset, name)  # stretches(), fps, statistics, ...

    def random_crop(self, camera: str) -> float | None:
        """Return the fraction of the area that the camera's images are cropped to; None where they are not."""
        return _crop_of(self._transforms_of(camera))

    def _transforms_of(self, camera: str) -> Sequence[Any]:
        return self.transforms[camera] if isinstance(self.transforms, dict) else self.transforms

    def set_epoch(self, epoch: int) -> None:
        """Chooses the draws of an epoch; workers see it at once."""
        self._epoch.fill_(epoch)
        if hasattr(self.dataset, "set_epoch"):
            self.dataset.set_epoch(epoch)

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> WindowSample:
        sample = self.dataset[index]
        images, cropped = {}, {}
        for number, (camera, frames) in enumerate(sample["images"].items()):
            key = [self.seed, int(self._epoch), sample["episode"], sample["frame"], number]
            transforms, crop = self._transforms_of(camera), self.random_crop(camera)
            if crop is not None:
                cropped[camera] = crop
            frames = torch.from_numpy(frames).movedim(-1, -3)
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(int(np.random.default_rng(key).integers(2**63)))
                for transform in transforms:
                    frames = transform(frames)
            images[camera] = frames.movedim(-3, -1).contiguous().numpy()
        return sample | {"images": images} | ({"cropped": cropped} if cropped else {})


def _crop_of(transforms: Sequence[Any]) -> float | None:
    foreign = [
        type(t).__name__ for t in transforms if isinstance(t, (v2.RandomCrop, v2.RandomResizedCrop, v2.CenterCrop))
    ]
    crops = [transform.scale for transform in transforms if isinstance(transform, RandomCrop)]
    if foreign or len(crops) > 1:
        raise ValueError(
            f"the contract tells evaluation of one robovlms.data.RandomCrop per camera, got {len(crops)} of them"
            + (f" and {foreign}, of which evaluation would not know" if foreign else "")
        )
    return crops[0] if crops else None
