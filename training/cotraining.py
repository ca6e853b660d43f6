"""Vision-language co-training: image-text samples beside the actions, so that the VLM keeps its language."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch.utils.data import Dataset

from ..data.collator import VLACollator
from ..data.windows import WindowSample
from ..processing.chat import encode_chat
from ..processing.processing_robovlms import RoboVLMProcessor

TEXT = "image_text"


class CoTrainingDataset(Dataset):
    """The samples of an action dataset, some of which bring image-text samples along.

    A batch of 32 actions at `text_per_action` 0.5 holds 16 image-text samples, on average; at whole numbers exactly as
    many for any batch, shuffling, number of processes or accumulation. What goes with which action changes with
    `set_epoch`.

    Args:
        actions: the action dataset; what it is beyond its samples (`metadata`, statistics, ...) stays with it.
        image_text: samples of `images` and `messages`, see `encode_chat`.
        text_per_action: image-text samples per action sample.
    """

    def __init__(self, actions: Any, image_text: Sequence[Mapping[str, Any]], text_per_action: float = 1.0):
        if not len(image_text):
            raise ValueError("image_text is empty: co-training needs image-text samples.")
        if text_per_action <= 0:
            raise ValueError(f"text_per_action must be positive, got {text_per_action}.")
        self.actions, self.image_text, self.text_per_action = actions, image_text, text_per_action
        self._offset = torch.zeros((), dtype=torch.int64).share_memory_()

    def set_epoch(self, epoch: int) -> None:
        """Every epoch goes on with the image-text samples where the last one ended."""
        self._offset.fill_(epoch * self._texts_before(len(self)))
        if hasattr(self.actions, "set_epoch"):
            self.actions.set_epoch(epoch)

    def __len__(self) -> int:
        return len(self.actions)

    def __getitem__(self, index: int) -> WindowSample:
        places = range(self._texts_before(index), self._texts_before(index + 1))
        texts = [self.image_text[(int(self._offset) + place) % len(self.image_text)] for place in places]
        return WindowSample(self.actions[index], **{TEXT: texts})

    def _texts_before(self, index: int) -> int:
        return int(index * self.text_per_action)


class CoTrainingCollator:
    """What a VLA's forward takes of a `CoTrainingDataset`'s samples: a `VLACollator`'s batch, with the image-text
    samples under `text`."""

    def __init__(self, processor: RoboVLMProcessor):
        self.processor, self.actions = processor, VLACollator(processor)

    def __call__(self, samples: Sequence[Mapping[str, Any]]) -> Any:
        batch = self.actions(samples)
        if texts := [text for sample in samples for text in sample.get(TEXT, ())]:
            batch["text"] = dict(encode_chat(self.processor, texts))
        return batch


__all__ = ["CoTrainingCollator", "CoTrainingDataset"]
