"""Text and images to a backbone's inputs, through its own processor: the general way, and which family has another."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np
import torch
from transformers import BatchFeature

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
        processor: the backbone's own processor; every family's has attributes of its own.
        image_options: options of the processor's call, beside or instead of those that keep images whole.
    """

    image_text: str | None = None
    """What stands for one image in a prompt; None: what the processor names."""
    image_separator = "\n"
    """Between images: some families take adjacent ones for one (M-RoPE counts positions per run of image tokens)."""
    max_images: int | None = None
    """How many images a prompt may hold; None: any number."""
    padding_side: str | None = None
    """Where padding goes; None: where the tokenizer puts it."""
    appended_token_type: int | None = None
    """Token type of tokens that are appended to a prompt; None: that of its last token."""

    def __init__(self, processor: Any, image_options: Mapping[str, Any] | None = None):
        self.processor = processor
        self.image_options = self.whole_images() | dict(image_options or {})

    @property
    def image_prompt(self) -> str:
        """The text that stands for one image in a prompt.

        Raises:
            ValueError: if the processor names none.
        """
        if self.image_text is not None:
            return self.image_text
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
        return self.call_processor(texts, images)

    def call_processor(self, texts: list[str], images: Any) -> BatchFeature:
        """Make the processor's own call, `images` as it wants them."""
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
        """Return the placeholder tokens of one image as they stand in the ids, with no marks around them."""
        raise ValueError(f"raw_prompt is not possible with {type(self.processor).__name__}.")

    def from_raw(self, texts: list[str], images: list[list[np.ndarray]]) -> BatchFeature:
        """Do what a call does, for texts that are written out in full: nothing is added to them."""
        tokenizer = self.processor.tokenizer
        inputs = tokenizer(texts, add_special_tokens=False, padding=True, return_tensors="pt")
        return BatchFeature({**inputs, **self.processor.image_processor(flat(images), return_tensors="pt")})

    def image_positions(self, inputs: BatchFeature) -> torch.Tensor:
        """Return where the images' tokens stand among the text's, bool `(rows, sequence)`.

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


InputsClass = TypeVar("InputsClass", bound=type[BackboneInputs])

INPUTS: dict[str, type[BackboneInputs]] = {}
"""By the name of a processor's class."""


def register_inputs(*processor_classes: str) -> Callable[[InputsClass], InputsClass]:
    """Class decorator: use it for processors whose class has one of these names."""

    def register(inputs: InputsClass) -> InputsClass:
        INPUTS.update(dict.fromkeys(processor_classes, inputs))
        return inputs

    return register


def choose_inputs(processor: Any, image_options: Mapping[str, Any] | None = None) -> BackboneInputs:
    """Return what is registered for the processor's class, else the general way."""
    return INPUTS.get(type(processor).__name__, BackboneInputs)(processor, image_options)


def flat(images: Sequence[Sequence[np.ndarray]]) -> list[np.ndarray]:
    """Return all images of all rows."""
    return [image for row in images for image in row]


def per_token_names(inputs: BatchFeature) -> list[str]:
    """Return the inputs that are laid out like `input_ids`, `(rows, sequence, ...)`."""
    shape = inputs["input_ids"].shape
    return [
        name
        for name, value in inputs.items()
        if torch.is_tensor(value)
        and value.shape[:2] == shape
        and not name.startswith(("pixel_", "flattened_", "qformer_"))
    ]


def append_tokens(
    inputs: BatchFeature,
    ids: Sequence[torch.Tensor],
    labels: Sequence[torch.Tensor],
    pad_token_id: int,
    token_type: int | None = None,
) -> None:
    """Put each row's `ids` `(count,)` behind its last real token, with `labels` there and -100 before.

    Rows come out padded at the right. Other per-token inputs (which images a token reads, whether it is one) go on as at
    the last real token, except for `token_type_ids` where a `token_type` is given.
    """
    real = inputs["attention_mask"].bool()

    def joined(name: str, value: torch.Tensor) -> torch.Tensor:
        rows = []
        for row, keep, new in zip(value, real, ids, strict=True):
            kept = row[keep]
            added = kept[-1:].expand(len(new), *kept.shape[1:])
            if name == "input_ids":
                added = new.to(row)
            elif name == "token_type_ids" and token_type is not None:
                added = torch.full_like(added, token_type)
            rows.append(torch.cat([kept, added]))
        fill = pad_token_id if name == "input_ids" else 0
        return torch.nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=fill)

    for name in per_token_names(inputs):
        inputs[name] = joined(name, inputs[name])
    own = [torch.cat([row.new_full((int(keep.sum()),), -100), row]) for row, keep in zip(labels, real, strict=True)]
    inputs["labels"] = torch.nn.utils.rnn.pad_sequence(own, batch_first=True, padding_value=-100)
