"""Text and images to a backbone's inputs, through its own processor."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from transformers import BatchFeature, Kosmos2Processor, ProcessorMixin

# Options of image processors that cut one image into many tiles, and the value that keeps it whole.
WHOLE_IMAGES = {"crop_to_patches": False, "do_image_splitting": False}


class BackboneInputs:
    """Calls one family's processor. Subclass and `register_inputs` for a family that needs something else.

    Args:
        processor: the backbone's own processor.
    """

    image_separator = "\n"

    def __init__(self, processor: ProcessorMixin):
        self.processor = processor

    @property
    def image_prompt(self) -> str:
        """The text that stands for one image in a prompt."""
        token = getattr(self.processor, "image_token", None)
        if token is None:
            raise ValueError(
                f"{type(self.processor).__name__} names no image placeholder: pass prompt_template with the text that "
                "stands for an image, or register a BackboneInputs for it."
            )
        return str(token)

    def call_options(self) -> dict[str, Any]:
        image_processor = getattr(self.processor, "image_processor", None)
        return {name: value for name, value in WHOLE_IMAGES.items() if hasattr(image_processor, name)}

    def __call__(self, texts: list[str], images: list[list[np.ndarray]]) -> BatchFeature:
        """One row per text; `images[row]` in the order of its placeholders. Rows are padded to the longest."""
        inputs = self.processor(text=texts, images=images, padding=True, return_tensors="pt", **self.call_options())
        inputs.pop("labels", None)
        return inputs

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


def backbone_inputs(processor: ProcessorMixin) -> BackboneInputs:
    """What is registered for the processor's class, else the general way."""
    return _REGISTRY.get(type(processor).__name__, BackboneInputs)(processor)


@register_inputs("PaliGemmaProcessor")
class PaliGemmaInputs(BackboneInputs):
    """A prefix language model: tokens of type 0 attend to each other in both directions, those of type 1 causally."""

    image_separator = ""

    def raw_image_prompt(self) -> str:
        return self.image_prompt * self.processor.image_seq_length

    def mark_actions(self, inputs: BatchFeature, action_token_mask: torch.Tensor, causal: bool) -> None:
        if causal:
            inputs["token_type_ids"] = inputs["attention_mask"].clone()
        else:
            from_action = action_token_mask.long().cumsum(dim=1) > 0
            inputs["token_type_ids"] = torch.where(from_action, inputs["attention_mask"], inputs["token_type_ids"])


@register_inputs("Qwen2VLProcessor", "Qwen2_5_VLProcessor", "Qwen3VLProcessor")
class QwenVLInputs(BackboneInputs):
    """Positions are counted per image: each must be enclosed by its start and end marks."""

    image_prompt = "<|vision_start|><|image_pad|><|vision_end|>"


@register_inputs("Kosmos2Processor")
class Kosmos2Inputs(BackboneInputs):
    """The processor takes one image, the model several: placeholders and their mask are laid out here."""

    image_prompt = "<image>"
    placeholder = "</chunk>"  # a mark of KosMos-2 that prompts have no use for

    def __call__(self, texts: list[str], images: list[list[np.ndarray]]) -> BatchFeature:
        tokens = self.placeholder * Kosmos2Processor.num_image_tokens
        return self.from_raw([text.replace("<image>", f"<image>{tokens}</image>") for text in texts], images)

    def raw_image_prompt(self) -> str:
        return self.placeholder * Kosmos2Processor.num_image_tokens

    def from_raw(self, texts: list[str], images: list[list[np.ndarray]]) -> BatchFeature:
        tokenizer = self.processor.tokenizer
        texts = [tokenizer.bos_token + text for text in texts]
        inputs = tokenizer(texts, add_special_tokens=False, padding=True, return_tensors="pt")
        is_image = inputs["input_ids"] == tokenizer.convert_tokens_to_ids(self.placeholder)
        ids = torch.arange(Kosmos2Processor.num_image_tokens) + tokenizer.unk_token_id + 1
        inputs["input_ids"][is_image] = ids.repeat(int(is_image.sum()) // len(ids))
        pixels = self.processor.image_processor(flat(images), return_tensors="pt")
        return BatchFeature({**inputs, **pixels, "image_embeds_position_mask": is_image.long()})


def flat(images: Sequence[Sequence[np.ndarray]]) -> list[np.ndarray]:
    """All images of all rows."""
    return [image for row in images for image in row]
