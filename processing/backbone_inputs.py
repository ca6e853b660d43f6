"""Text and images to a backbone's inputs, through its own processor."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from transformers import BatchFeature, ProcessorMixin

ACTION_TOKEN = "<robovlms_action>"

# Options of image processors that cut one image into many tiles, and the value that keeps it whole.
WHOLE_IMAGES = {
    "crop_to_patches": False,
    "do_image_splitting": False,
    "do_pan_and_scan": False,
    "split_image": False,
    "max_crops": 1,
    "max_slice_nums": 1,
}


class BackboneInputs:
    """Calls one family's processor. Subclass and `register_inputs` for a family that needs something else.

    Args:
        processor: the backbone's own processor.
        image_options: options of the processor's call, beside or instead of those that keep images whole.
    """

    image_separator = "\n"
    """Between images: some families take adjacent ones for one (M-RoPE counts positions per run of image tokens)."""
    max_images: int | None = None
    """How many images a prompt may hold; None: any number."""
    padding_side: str | None = None
    """Where padding goes; None: where the tokenizer puts it."""
    appended_token_type: int | None = None
    """Token type of tokens that are appended to a prompt; None: that of its last token."""

    def __init__(self, processor: ProcessorMixin, image_options: Mapping[str, Any] | None = None):
        self.processor = processor
        self.image_options = self.whole_images() | dict(image_options or {})

    @property
    def image_prompt(self) -> str:
        """The text that stands for one image in a prompt."""
        for name in ("image_placeholder_token", "image_token"):
            if (token := getattr(self.processor, name, None)) is not None:
                return str(token)
        raise ValueError(
            f"{type(self.processor).__name__} names no image placeholder: pass prompt_template with the text that "
            "stands for an image, or register a BackboneInputs for it."
        )

    def whole_images(self) -> dict[str, Any]:
        """Options that keep an image in one piece. They are given at every call: the defaults of processors win over
        what their image processors were saved with."""
        image_processor = getattr(self.processor, "image_processor", None)
        return {name: value for name, value in WHOLE_IMAGES.items() if hasattr(image_processor, name)}

    def require_images(self, count: int) -> None:
        """Raises ValueError if a prompt cannot hold `count` images."""
        if self.max_images is not None and count > self.max_images:
            raise ValueError(
                f"{type(self.processor).__name__} and its model read {self.max_images} image per prompt, the contract "
                f"has {count} cameras: leave one, or join them in one picture."
            )

    def __call__(self, texts: list[str], images: list[list[np.ndarray]]) -> BatchFeature:
        """One row per text; `images[row]` in the order of its placeholders. Rows are padded to the longest."""
        inputs = self.processor(text=texts, images=images, return_tensors="pt", **self.padding, **self.call_options())
        inputs.pop("labels", None)
        return inputs

    @property
    def padding(self) -> dict[str, Any]:
        """Options of a tokenizer's call that pad rows to the longest."""
        return {"padding": True} | ({} if self.padding_side is None else {"padding_side": self.padding_side})

    def call_options(self) -> dict[str, Any]:
        options = dict(self.image_options)
        if "mm_token_type_ids" in self.processor.model_input_names:  # positions of M-RoPE need them
            options["return_mm_token_type_ids"] = True
        return options

    def raw_image_prompt(self) -> str:
        """The placeholder tokens of one image as they stand in the ids, with no marks around them."""
        raise ValueError(f"raw_prompt is not possible with {type(self.processor).__name__}.")

    def from_raw(self, texts: list[str], images: list[list[np.ndarray]]) -> BatchFeature:
        """As a call, for texts that are written out in full: nothing is added to them."""
        tokenizer = self.processor.tokenizer
        inputs = tokenizer(texts, add_special_tokens=False, padding=True, return_tensors="pt")
        return BatchFeature({**inputs, **self.processor.image_processor(flat(images), return_tensors="pt")})

    def image_positions(self, inputs: BatchFeature) -> torch.Tensor:
        """Where the images' tokens stand among the text's, bool `(rows, sequence)`.

        Raises:
            ValueError: if they do not stand there (cross-attention).
        """
        if (mask := inputs.get("image_embeds_position_mask")) is not None:
            return mask.bool()
        token_id = getattr(self.processor, "image_token_id", None)
        positions = inputs["input_ids"] == token_id
        if token_id is None or not positions.any():
            raise ValueError(
                f"{type(self.processor).__name__} puts no image tokens among the text's: token_source must be 'action' "
                "or 'all'."
            )
        return positions

    def mark_actions(self, inputs: BatchFeature, action_token_mask: torch.Tensor, causal: bool) -> None:
        """Adjust `inputs` for the action tokens in them, where a family's attention depends on token types."""


_REGISTRY: dict[str, type[BackboneInputs]] = {}


def register_inputs(*processor_classes: str) -> Callable[[type[BackboneInputs]], type[BackboneInputs]]:
    """Class decorator: use it for processors whose class has one of these names."""

    def register(inputs: type[BackboneInputs]) -> type[BackboneInputs]:
        _REGISTRY.update(dict.fromkeys(processor_classes, inputs))
        return inputs

    return register


def registered_inputs(processor_class: str) -> type[BackboneInputs] | None:
    """What is registered for a processor's class."""
    return _REGISTRY.get(processor_class)


def flat(images: Sequence[Sequence[np.ndarray]]) -> list[np.ndarray]:
    """All images of all rows."""
    return [image for row in images for image in row]


def per_token_names(inputs: BatchFeature) -> list[str]:
    """The inputs that are laid out like `input_ids`, `(rows, sequence, ...)`."""
    shape = inputs["input_ids"].shape
    return [
        name
        for name, value in inputs.items()
        if torch.is_tensor(value)
        and value.shape[:2] == shape
        and not name.startswith(("pixel_", "flattened_", "qformer_"))
    ]
