"""Every tiny checkpoint reloads through the Auto classes and runs from the processor's text and images to logits."""

import inspect
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import AutoModelForImageTextToText, AutoProcessor, Gemma3Processor

from robovlms.modeling_robovlms.families.llama4 import given_image_outputs
from robovlms.testing import SUPPORTED, UNUSABLE, tiny_backbone
from robovlms.testing.families import FAMILIES

DEFAULT = [
    "paligemma",
    "kosmos-2",
    "qwen2_vl",
    "smolvlm",
    "llava",
    "idefics3",
    "mllama",
    "idefics",
    "florence2",
    "blip-2",
    "gemma3",
    "qwen3_vl",
    "qwen3_5",
    "llava_onevision",
    "internvl",
]
OPTIONAL = {"fast_vlm": "timm", "gemma3n": "timm", "perception_lm": "timm", "inkling_mm_model": "scipy"}
TEXTS = ["pick up the red block", "open"]


def pictures(seed: int, count: int) -> list[Image.Image]:
    pixels = np.random.default_rng(seed).integers(0, 255, (count, 72, 96, 3), dtype=np.uint8)
    return [Image.fromarray(image) for image in pixels]


def model_inputs(model_type: str, processor, model, seed: int) -> dict:
    family = FAMILIES[model_type]
    if model_type == "shieldgemma2":  # its own processor writes the text, but is made of Gemma 3's parts
        family = FAMILIES["gemma3"]
        parts = processor.image_processor, processor.tokenizer
        processor = Gemma3Processor(*parts, image_seq_length=processor.image_seq_length)
    count = family.max_images or 2
    images = [pictures(seed + i, count) for i in range(len(TEXTS))]
    call = {"padding": True, "return_tensors": "pt", **family.call}
    if model_type == "udop":  # words on the page and their boxes: none
        call |= {"text_pair": [[], []], "boxes": [[], []]}
    holders = " and ".join([family.prompt] * (1 if family.one_prompt else count)) if family.prompt else ""
    batch = processor(images=images, text=[f"{holders} {text}" for text in TEXTS], **call)

    accepted = inspect.signature(model.forward).parameters
    inputs = {name: value for name, value in batch.items() if name in accepted and name != "labels"}
    for name, value in inputs.items():
        if torch.is_tensor(value) and value.is_floating_point():
            inputs[name] = value.to(model.dtype)
    if model.config.is_encoder_decoder and "decoder_input_ids" not in inputs:
        inputs["decoder_input_ids"] = torch.full((len(TEXTS), 3), 5)
    return inputs


def check(model_type: str, folder: Path) -> None:
    if model_type in OPTIONAL:
        pytest.importorskip(OPTIONAL[model_type])
    assert tiny_backbone(model_type, folder) == folder
    model, report = AutoModelForImageTextToText.from_pretrained(folder, output_loading_info=True)
    processor = AutoProcessor.from_pretrained(folder)
    model.eval()
    assert not report["missing_keys"] and not report["unexpected_keys"] and not report["mismatched_keys"]

    tokenizer = processor.tokenizer
    for text in ["pick up the red block", "\n"] if model_type != "udop" else ["pick up the red block"]:
        assert tokenizer.decode(tokenizer.encode(text, add_special_tokens=False)) == text

    first, second = (model_inputs(model_type, processor, model, seed) for seed in (0, 10))
    completed = given_image_outputs(model) if model_type == "llama4" else nullcontext()  # 5.24 fails without them
    with torch.no_grad(), completed:
        logits, other = model(**first).logits, model(**second).logits
    ids = first.get("decoder_input_ids", first.get("input_ids"))
    image_first = model_type == "git"  # its logits start with the image's tokens
    assert logits.shape[1] == ids.shape[1] or (image_first and logits.shape[1] > ids.shape[1])
    assert logits.shape[0] == len(TEXTS) and torch.isfinite(logits).all()
    assert (logits - other)[:, -1].abs().amax() > 1e-3, "the last token does not depend on the images"


@pytest.mark.parametrize("family", DEFAULT)
def test_family(family: str, tmp_path: Path) -> None:
    check(family, tmp_path / "checkpoint")


@pytest.mark.matrix
@pytest.mark.parametrize("family", SUPPORTED)
def test_every_family(family: str, tmp_path: Path) -> None:
    check(family, tmp_path / "checkpoint")


def test_same_weights_every_time(tmp_path: Path) -> None:
    torch.manual_seed(1)
    before = torch.get_rng_state()
    folders = [tiny_backbone("qwen3_vl", tmp_path / name) for name in "ab"]
    assert torch.equal(before, torch.get_rng_state())
    a, b = (AutoModelForImageTextToText.from_pretrained(folder).state_dict() for folder in folders)
    assert all(torch.equal(a[name], b[name]) for name in a)


def test_unknown_and_unusable_families(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"no_such_model.*paligemma"):
        tiny_backbone("no_such_model", tmp_path)
    for model_type in UNUSABLE:
        with pytest.raises(ValueError, match=f"{model_type}.*cannot be a backbone"):
            tiny_backbone(model_type, tmp_path)
