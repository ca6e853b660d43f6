"""One family through every structure, and what else the matrix says about it."""

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import CONFIG_MAPPING, AutoProcessor

from robovlms.matrix.known_families import HUB_IDS, QUIRKS
from robovlms.modeling_robovlms.image_inputs import IMAGE_INPUTS
from robovlms.processing.backbone_inputs import choose_inputs

from . import tiny_backbone
from .checks import STRUCTURES, check_structure, make
from .families import FAMILIES
from .processors import tiny_processor
from .tokenizer import family_tokenizer

KNOWN_FAILURES = {
    "shieldgemma2": "its files only load into its own classifier class; use the Gemma 3 it was made of",
}
OPTIONAL_LIBRARIES = {"fast_vlm": "timm", "gemma3n": "timm", "perception_lm": "timm", "inkling_mm_model": "scipy"}
"""What a family needs beside transformers."""
# Arguments of processors, and under which names configurations have them.
SIZES = {
    "image_seq_length": ("image_seq_length", "mm_tokens_per_image"),
    "num_image_tokens": ("num_image_tokens", "latent_query_num", "image_seq_length"),
    "img_size": ("image_size",),
    "pooling_ratio": ("projector_pooling_ratio",),
}


def check_family(model_type: str, folder: Path) -> dict[str, Any]:
    """Return a family's entry of the matrix; see `robovlms.matrix.load_matrix`. Writes a tiny checkpoint into
    `folder`."""
    tiny_backbone(model_type, folder)
    call = FAMILIES[model_type].call
    options = {"max_patches": call["max_patches"]} if "max_patches" in call else None
    cameras = choose_inputs(AutoProcessor.from_pretrained(folder)).max_images
    outcomes = {name: check_structure(folder, name, cameras or 2, options) for name in STRUCTURES}
    failed = any(outcome.status == "failed" for outcome in outcomes.values())
    entry = {
        "status": "failed" if failed else "ok",
        "structures": {name: asdict(outcome) for name, outcome in outcomes.items()},
        "tokens_per_image": tokens_per_image(model_type),
        "cameras": cameras,
        "images_learn": not failed and images_learn(folder, cameras or 2, options),
        "quirks": QUIRKS.get(model_type),
        "hub_id": HUB_IDS.get(model_type),
    }
    return entry | ({"known_failure": KNOWN_FAILURES[model_type]} if model_type in KNOWN_FAILURES else {})


def images_learn(folder: Path, cameras: int, image_options: dict[str, Any] | None) -> bool:
    """Return whether a gradient reaches the pixels, so that the image encoder can learn."""
    made = make(folder, "one_step", cameras, image_options)
    inputs = made.inputs(range(2))
    pixels = [
        value.requires_grad_()
        for name, value in inputs.items()
        if name.startswith(IMAGE_INPUTS) and torch.is_tensor(value)
    ]
    made.vla(**inputs).loss.backward()
    return any(value.grad is not None and value.grad.any() for value in pixels)


def tokens_per_image(model_type: str) -> int | None:
    """Return what one image of 224 x 224 adds to a prompt, with the default settings of the family's own classes; None
    where these do not say."""
    family = FAMILIES[model_type]
    config = CONFIG_MAPPING[model_type]().to_dict()
    sizes = {name: _size(config, SIZES.get(name, (name,))) for name in family.processor}
    if "num_additional_image_tokens" in sizes:
        sizes["num_additional_image_tokens"] = 1  # a CLIP encoder's first token
    full = replace(
        family, image={}, video={}, processor={name: size for name, size in sizes.items() if size is not None}
    )
    tokenizer = family_tokenizer(full)
    try:
        inputs = choose_inputs(tiny_processor(model_type, full, tokenizer))
        prompt = inputs([inputs.image_prompt + "open"], [[np.zeros((224, 224, 3), dtype=np.uint8)]])
    except (TypeError, ValueError):  # of processors that lack a size
        return None
    return prompt["input_ids"].shape[1] - len(tokenizer("open")["input_ids"])


def _size(config: dict[str, Any], names: tuple[str, ...]) -> Any:
    """The first of `names` that a configuration or its vision part has."""
    vision = config.get("vision_config") or {}
    return next((part[name] for name in names for part in (vision, config) if part.get(name) is not None), None)
