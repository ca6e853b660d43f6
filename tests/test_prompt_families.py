"""Prompts: written by hand as the family's own processor would, images whole and apart, one camera where it must be."""

import json

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn
from transformers import AutoProcessor

from robovlms import CameraSpec, OneStepContinuousVLA, RoboVLMProcessor
from robovlms.processing.backbone_inputs import choose_inputs

TEXT = "pick up the red block"


def picture(seed: int, height: int = 48, width: int = 64) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


@pytest.mark.parametrize("family", ["blip-2", "florence2", "fuyu", "idefics", "instructblip", "kosmos-2.5"])
def test_hand_built_prompts_equal_the_processors_own(family, backbone):
    """For one image, of which the processor can write a prompt itself."""
    processor = AutoProcessor.from_pretrained(backbone(family))
    inputs = choose_inputs(processor, {"max_patches": 16} if family == "kosmos-2.5" else None)
    ours = inputs([inputs.image_prompt + TEXT], [[picture(0)]])
    call = {"padding": True, "return_tensors": "pt", **inputs.image_options}
    if family == "fuyu":
        theirs = processor(text=[TEXT], images=[[picture(0)]], return_legacy_image_output=False)
        theirs["input_ids"] = theirs["input_ids"][:, :-1]  # its mark that an answer begins
    elif family == "idefics":
        theirs = processor(text=[[Image.fromarray(picture(0)), TEXT]], padding="longest")
    else:
        theirs = processor(text=[TEXT], images=[picture(0)], **call)
    if family == "kosmos-2.5":  # the tiny tokenizer writes another begin token, for which its mask has no place
        theirs["input_ids"] = theirs["input_ids"][:, 1:]
    for name in set(ours) - {"attention_mask", "image_embeds_position_mask"}:
        assert torch.equal(ours[name], theirs[name]), name
    if family == "kosmos-2.5":  # its own mask also tells the marks around the image, which no model reads
        assert torch.equal(ours["image_embeds_position_mask"] == 1, theirs["image_embeds_position_mask"][:, :-1] == 1)


@pytest.mark.parametrize(
    "family", ["internvl", "idefics3", "lfm2_vl", "minicpmv4_6", "molmo2", "aya_vision", "llama4"]
)
def test_images_are_kept_whole_and_the_options_are_saved(family, backbone, contract, tmp_path):
    """A wide picture costs as many tokens as two square ones would at most, whatever the processor was saved with."""
    agreed = contract(state=None, cameras=(CameraSpec("wide", 60, 240),))
    processor = RoboVLMProcessor.from_backbone(str(backbone(family)), agreed)
    scene = {"images": {"wide": picture(0, 60, 240)}, "instruction": TEXT}
    whole = processor(**scene)
    tiled = choose_inputs(processor.backbone_processor, {})
    tiled.image_options = {}
    cut = tiled([processor.prompt(TEXT, 1)], [[scene["images"]["wide"]]])
    assert whole["input_ids"].shape[1] < cut["input_ids"].shape[1]

    processor.save_pretrained(tmp_path)
    saved = json.loads((tmp_path / "processor_config.json").read_text())["robovlms"]["image_options"]
    assert saved and all(not value or value == 1 for value in saved.values())
    again = RoboVLMProcessor.from_pretrained(tmp_path)(**scene)
    assert all(torch.equal(again[name], value) for name, value in whole.items() if torch.is_tensor(value))


@pytest.mark.parametrize("family", ["llava", "qwen2_vl", "paddleocr_vl", "glm4v", "smolvlm"])
def test_text_stands_between_images(family, backbone, contract):
    processor = RoboVLMProcessor.from_backbone(str(backbone(family)), contract(state=None))
    images = {camera.name: picture(0, camera.height, camera.width) for camera in processor.contract().cameras}
    inputs = processor(images=images, instruction=TEXT)
    is_image = inputs["input_ids"][0] == processor.backbone_processor.image_token_id
    runs = int((is_image[1:] & ~is_image[:-1]).sum()) + int(is_image[0])
    assert runs == 2


@pytest.mark.parametrize("family", ["blip", "git", "udop", "pix2struct", "vision-encoder-decoder"])
def test_one_image_families_refuse_two_cameras(family, backbone, contract):
    with pytest.raises(ValueError, match=r"1 image per prompt, the contract has 2 cameras"):
        RoboVLMProcessor.from_backbone(str(backbone(family)), contract())


def test_frozen_batch_normalisation_keeps_its_statistics(backbone, contract):
    vla = OneStepContinuousVLA.from_backbone(str(backbone("emu3")), contract()).train()
    normalisations = [m for m in vla.backbone.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
    assert normalisations and not any(module.training for module in normalisations)  # its images learn nothing
    for module in normalisations:
        module.requires_grad_(True)
    vla.train()
    assert all(module.training for module in normalisations)
    assert not any(module.training for module in vla.eval().backbone.modules())


def test_images_a_model_does_not_take_are_not_lost(backbone, contract):
    """Processors that name their images otherwise than the model does are an error, not a blind policy."""
    own = contract(state=None)
    vla = OneStepContinuousVLA.from_backbone(str(backbone("llava")), own)
    processor = RoboVLMProcessor.from_backbone(str(backbone("llava")), own)
    images = {camera.name: picture(0, camera.height, camera.width) for camera in own.cameras}
    inputs = dict(processor(images=images, instruction=TEXT))
    inputs["pixel_values_images"] = inputs.pop("pixel_values")
    with pytest.raises(ValueError, match=r"does not take \['pixel_values_images'\]"):
        vla(**inputs)
