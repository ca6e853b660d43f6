"""Which of a backbone's inputs are images, and images that are encoded already."""

from typing import Any

import torch
from transformers.modeling_outputs import BaseModelOutputWithPooling

TENSOR_OF_IMAGES, LIST_OF_IMAGES, DEEPSTACK = "encoded_images", "list_of_encoded_images", "deepstack."
IMAGE_INPUTS = ("pixel_values", "flattened_patches")
BESIDE_IMAGES = ("encoder_attention_mask", "qformer_")
ENCODED_FIELDS = {"pooler_output", "last_hidden_state", "hidden_states", "attentions", "deepstack_features"}


def is_image_input(name: str, value: Any, input_ids: torch.Tensor) -> bool:
    """Return whether an input belongs to the images: it is not laid out like the tokens."""
    return torch.is_tensor(value) and (
        name.startswith(IMAGE_INPUTS + BESIDE_IMAGES) or value.shape[:2] != input_ids.shape
    )


def per_row(value: torch.Tensor, rows: int) -> torch.Tensor:
    """Return a tensor over all rows' images, `(rows * n, ...)`, as `(rows, n, ...)`."""
    if len(value) % rows:
        raise ValueError(f"The rows' images differ in size or number: {len(value)} entries for {rows} rows.")
    return value.unflatten(0, (rows, -1))


def encoded_per_row(output: BaseModelOutputWithPooling, rows: int) -> dict[str, torch.Tensor] | None:
    """Return what `get_image_features` returned, `(rows, ...)` each; None where the forward needs more than its
    features."""
    features: Any = output.pooler_output  # a tensor, or one for each image
    deepstack = getattr(output, "deepstack_features", None) or []
    if features is None or set(output.keys()) - ENCODED_FIELDS:
        return None
    if any(not torch.is_tensor(image) for layer in deepstack for image in layer):
        return None
    layers = {f"{DEEPSTACK}{i}": per_row(torch.cat(list(layer)), rows) for i, layer in enumerate(deepstack)}
    if torch.is_tensor(features):
        return layers | {TENSOR_OF_IMAGES: per_row(features, rows)}
    if len({image.shape for image in features}) == 1:
        return layers | {LIST_OF_IMAGES: per_row(torch.stack(list(features)), rows)}
    # Cameras of different sizes: a frame's images end to end, which is how such families read them.
    return layers | {LIST_OF_IMAGES: per_row(torch.cat(list(features)), rows)[:, None]}


def encoded_as_inputs(features: dict[str, torch.Tensor]) -> dict[str, Any]:
    """`encoded_per_row` of frames end to end, as the forward takes it."""
    inputs: dict[str, Any] = dict(features)
    depth = sum(name.startswith(DEEPSTACK) for name in features)
    layers = [[inputs.pop(f"{DEEPSTACK}{layer}")] for layer in range(depth)]
    encoded: Any = inputs.pop(TENSOR_OF_IMAGES, None)
    if encoded is None and (images := inputs.pop(LIST_OF_IMAGES, None)) is not None:
        encoded = tuple(images)
    if encoded is not None:
        output = BaseModelOutputWithPooling(pooler_output=encoded)
        if layers:
            output.deepstack_features = layers
        inputs["mm_encoder_outputs"] = {"image": output}
    return inputs
