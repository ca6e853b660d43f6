"""The converter against what the original computed (../shared/reference/golden)."""

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file
from transformers import CLIPImageProcessorPil, SiglipImageProcessorPil

from robovlms.commands.convert_original import make_calvin_contract
from robovlms.modeling_robovlms.conversion_original import convert_original, reference_inputs
from robovlms.processing.normalization import ActionNormalizer
from robovlms.processing.uniform_action_tokenizer import UniformActionTokenizer, original_token_ids

REFERENCE = Path(__file__).parents[1].parent / "shared" / "reference"
FOLDERS = sorted((REFERENCE / "golden").glob("[!_]*"))
CASES = [folder.name for folder in FOLDERS] or ["none"]
pytestmark = pytest.mark.skipif(not REFERENCE.exists(), reason="needs ../shared/reference, which is not here")
# Frames of a stream, and images with the actions that the original's evaluation wrapper made of them.
STREAMS = {"stream": "stream.rgb", "wrapper": "wrapper.static_u8"}
close = {"atol": 2e-5, "rtol": 0}


@pytest.fixture(scope="module")
def golden():
    spec = importlib.util.spec_from_file_location("golden_io", REFERENCE / "golden_io.py")
    golden_io = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(golden_io)
    return lambda name: golden_io.load_case(REFERENCE / "golden" / name)


@pytest.fixture(scope="module")
def helpers():
    """What the original's helper functions computed, and their settings."""
    folder = REFERENCE / "golden" / "_misc"
    return load_file(folder / "values.safetensors"), json.loads((folder / "config.json").read_text())


@pytest.mark.parametrize("name", CASES)
@torch.no_grad()
def test_forward_and_losses(name, golden):
    case = golden(name)
    vla, expected = convert_original(case["config"], case["state_dict"]), case["outputs"]
    output = vla(**reference_inputs(case["config"], case["inputs"]))
    wanted = {"loss": "loss.loss", "pose_loss": "loss.loss_arm_act", "gripper_loss": "loss.loss_gripper_act"}
    wanted |= {"pose": "pose", "gripper_logits": "gripper_logits"}
    if "logits" in expected:
        wanted = {"loss": "loss.loss", "logits": "logits"}
    for ours, theirs in wanted.items():
        torch.testing.assert_close(output[ours], expected[theirs], **close)
    if "loss.nomask.loss_arm" in expected:
        everything = {key: value for key, value in case["inputs"].items() if key != "chunck_mask"}
        output = vla(**reference_inputs(case["config"], everything))
        torch.testing.assert_close(output.pose_loss, expected["loss.nomask.loss_arm"], **close)
        torch.testing.assert_close(output.gripper_loss, expected["loss.nomask.loss_gripper"], **close)


def streams() -> list[tuple[str, str]]:
    """The cases that have them."""
    found = []
    for folder in FOLDERS:
        with safe_open(folder / "inputs.safetensors", "pt") as file:
            found += [(folder.name, source) for source, key in STREAMS.items() if key in file.keys()]  # noqa: SIM118
    return found or [("none", "none")]


@pytest.mark.parametrize(("name", "source"), streams())
def test_streaming_step_by_step(name, source, golden):
    """Frame by frame; the evaluation's from camera images to the newest frame's action."""
    case = golden(name)
    config, inputs, expected = case["config"], case["inputs"], case["outputs"]
    if source == "stream":
        frames = {camera: inputs[f"stream.{camera}"] for camera in ("rgb", "hand_rgb")}
        prompt = {key: inputs[f"stream.{key}"] for key in ("text", "text_mask")}
        poses, grippers = expected["stream.pose"], expected["stream.gripper_logits"]
    else:
        cameras = {"rgb": "wrapper.static_u8", "hand_rgb": "wrapper.gripper_u8"}
        frames = {key: preprocessed(config, inputs[camera])[None] for key, camera in cameras.items()}
        torch.testing.assert_close(frames["rgb"][0], expected["wrapper.last_frame_pixels"], **close)
        prompt = {key: inputs[key][:1] for key in ("text", "text_mask")}
        poses, grippers = expected["wrapper.last_frame_pose"], expected["wrapper.last_frame_gripper_logits"]
    vla = convert_original(config, case["state_dict"])
    cache, actions = vla.new_cache(1), []
    for step in range(poses.shape[1]):
        frame = {key: images[:, step : step + 1] for key, images in frames.items()}
        actions.append(vla.predict_action_chunk(cache=cache, **reference_inputs(config, frame | prompt)))
    actions = torch.stack(actions, dim=1)
    torch.testing.assert_close(actions[..., :6], poses, **close)
    torch.testing.assert_close(actions[..., 6:], torch.tanh(grippers / 2), **close)
    if source == "wrapper" and config["act_head"]["history_type"] == "post":  # "pre" executed the oldest frame's
        executed = ActionNormalizer(make_calvin_contract(config)).decode(actions[0, :, 0].numpy())
        np.testing.assert_allclose(executed, expected["wrapper.env_action"].numpy(), **close)


def preprocessed(config: dict, images: torch.Tensor) -> torch.Tensor:
    side = {"height": config["image_size"], "width": config["image_size"]}
    if config["backbone"] == "kosmos":
        processor = CLIPImageProcessorPil(size=side, do_center_crop=False)
    else:
        processor = SiglipImageProcessorPil(size=side, resample=3)
    return processor(list(images.numpy()), return_tensors="pt")["pixel_values"]


@pytest.mark.parametrize("name", [name for name in CASES if "discrete" in name] or ["none"])
@torch.no_grad()
def test_greedy_token_ids(name, golden):
    case = golden(name)
    vla, inputs, expected = convert_original(case["config"], case["state_dict"]), case["inputs"], case["outputs"]
    for row in range(2):
        frame = {camera: inputs[camera][row : row + 1] for camera in ("rgb", "hand_rgb")}
        prompt = inputs[f"infer{row}.prompt_ids"]
        ids = prompt
        for _ in range(7):
            logits = vla(**reference_inputs(case["config"], frame | {"instr_and_action_ids": ids})).logits[:, -1:]
            ids = torch.cat([ids, logits.argmax(dim=-1)], dim=1)
        assert torch.equal(ids[:, prompt.shape[1] :], expected[f"infer{row}.action_token_ids"])
        arguments = reference_inputs(case["config"], frame | {"text": prompt})
        assert torch.equal(vla.predict_tokens(**arguments), expected[f"infer{row}.action_token_ids"])
        action = vla.predict_action_chunk(**arguments)[0, 0]
        torch.testing.assert_close(action[:6].double(), expected[f"infer{row}.action"][0, :6], **close)
        assert action[6].sign() == expected[f"infer{row}.action"][0, 6]


def test_action_tokens(helpers):
    values, config = helpers
    for entry in config["action_tokenizer"]:
        if (entry["min"], entry["max"]) != (-1, 1):
            continue
        tokenizer = UniformActionTokenizer(original_token_ids(entry["tokenizer_orig_size"], entry["n_bins"]))
        theirs = {key.removeprefix(f"{entry['tag']}."): value.numpy() for key, value in values.items()}
        np.testing.assert_array_equal(tokenizer.encode(theirs["actions"]), theirs["ids"])
        np.testing.assert_allclose(tokenizer.decode(theirs["ids"]), theirs["decoded"], **close)


def test_normalisation_and_images(helpers, golden):
    values, _ = helpers
    contract = make_calvin_contract(golden("kosmos_onestep_fc")["config"])
    normalizer = ActionNormalizer(contract)
    pose = slice(0, 6)
    ours = normalizer.encode(values["norm.in"].numpy())[:, pose]
    np.testing.assert_allclose(ours, values["norm.out_maintainTrue"][:, pose], **close)
    ours = normalizer.decode(values["norm.wrapper_1d_in"].numpy())[pose]
    np.testing.assert_allclose(ours, values["norm.wrapper_1d_unnorm_maintainFalse"][pose], **close)
    for family in ("kosmos", "paligemma"):
        ours = preprocessed({"backbone": family, "image_size": 28}, values["image.in_u8"][None])
        torch.testing.assert_close(ours, values[f"image.{family}_28"], **close)
