"""The converter against what the original computed (../shared/reference/golden)."""

import importlib.util
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch

from robovlms.modeling_robovlms.conversion_original import convert_original, reference_inputs
from robovlms.processing.uniform_action_tokenizer import UniformActionTokenizer, original_token_ids

REFERENCE = Path(__file__).parents[1].parent / "shared" / "reference"
CASES = sorted(folder.name for folder in (REFERENCE / "golden").glob("[!_]*")) or ["none"]
pytestmark = pytest.mark.skipif(not REFERENCE.exists(), reason="needs ../shared/reference, which is not here")


@pytest.fixture(scope="module")
def golden():
    spec = importlib.util.spec_from_file_location("golden_io", REFERENCE / "golden_io.py")
    golden_io = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(golden_io)
    return lambda name: golden_io.load_case(REFERENCE / "golden" / name)


@pytest.mark.parametrize("name", CASES)
@torch.no_grad()
def test_forward_and_losses(name, golden):
    case = golden(name)
    vla, expected = convert_original(case["config"], case["state_dict"]), case["outputs"]
    output = vla(**reference_inputs(case["config"], case["inputs"]))
    names = {"loss": "loss.loss", "pose": "pose", "gripper_logits": "gripper_logits", "logits": "logits"}
    names |= {"pose_loss": "loss.loss_arm_act", "gripper_loss": "loss.loss_gripper_act"}
    compared = [ours for ours, theirs in names.items() if theirs in expected and getattr(output, ours) is not None]
    assert len(compared) >= 2
    for ours in compared:
        torch.testing.assert_close(getattr(output, ours), expected[names[ours]], atol=2e-5, rtol=0)
    if "loss.nomask.loss_arm" in expected:
        everything = {key: value for key, value in case["inputs"].items() if key != "chunck_mask"}
        output = vla(**reference_inputs(case["config"], everything))
        torch.testing.assert_close(output.pose_loss, expected["loss.nomask.loss_arm"], atol=2e-5, rtol=0)
        torch.testing.assert_close(output.gripper_loss, expected["loss.nomask.loss_gripper"], atol=2e-5, rtol=0)


@pytest.mark.parametrize("name", [name for name in CASES if name.endswith("_post")] or ["none"])
def test_streaming_step_by_step(name, golden):
    case = golden(name)
    vla, inputs, expected = convert_original(case["config"], case["state_dict"]), case["inputs"], case["outputs"]
    cache = vla.new_cache(1)
    for step in range(inputs["stream.rgb"].shape[1]):
        frame = {key: inputs[f"stream.{key}"][:, step : step + 1] for key in ("rgb", "hand_rgb")}
        frame |= {key: inputs[f"stream.{key}"] for key in ("text", "text_mask")}
        actions = vla.predict_action(cache=cache, **reference_inputs(case["config"], frame))
        torch.testing.assert_close(actions[..., :6], expected["stream.pose"][:, step], atol=2e-5, rtol=0)
        gripper = torch.tanh(expected["stream.gripper_logits"][:, step] / 2)
        torch.testing.assert_close(actions[..., 6:], gripper, atol=2e-5, rtol=0)


@pytest.mark.parametrize("name", [name for name in CASES if name.endswith("_discrete")] or ["none"])
def test_discrete_labels_are_the_tokenizers(name, golden):
    """What the release wrote as labels is what the action tokenizer makes of the normalised actions."""
    case = golden(name)
    tokens = case["config"]["action_tokenizer"]
    tokenizer = UniformActionTokenizer(original_token_ids(tokens["tokenizer_orig_size"], tokens["n_bins"]))
    labels = case["inputs"]["instr_and_action_labels"].flatten(0, 1)
    ids = [[token for token in row if token in tokenizer.token_ids] for row in labels.tolist()]
    # The release tokenises before it maps the gripper to {0, 1}; `infer*.action` are decoded middles of bins.
    for index, row in enumerate(ids):
        theirs = tokenizer.decode(
            case["outputs"][f"infer{index}.action_token_ids"][0].numpy().clip(*_range(tokenizer))
        )
        np.testing.assert_allclose(theirs[:6], case["outputs"][f"infer{index}.action"][0, :6].numpy(), atol=2e-5)
        assert len(row) == 7


def _range(tokenizer: UniformActionTokenizer) -> tuple[int, int]:
    return min(tokenizer.token_ids), max(tokenizer.token_ids)


def test_missing_and_unexpected_weights_are_listed(golden):
    case = golden(CASES[0])
    weights = dict(case["state_dict"])
    weights["act_head.surprise"] = weights.pop(next(key for key in weights if key.startswith("act_head.actions")))
    with pytest.raises(ValueError, match=r"missing \['head.decoder.pose.*unexpected \['act_head.surprise'\]"):
        convert_original(case["config"], weights)


def test_prefixes_of_training_tools_are_removed(golden):
    case = golden(CASES[0])
    weights = {f"module.model.{key}": value for key, value in case["state_dict"].items()}
    convert_original(case["config"], weights)


@pytest.mark.parametrize(("field", "value"), [("type", "NoDecoder"), ("history_type", "video")])
def test_unknown_parts_are_refused(golden, field, value):
    case = golden("kosmos_onestep_fc")
    config = case["config"] | {"act_head": case["config"]["act_head"] | {field: value}}
    with pytest.raises(ValueError, match=f"{field} = {value!r}"):
        convert_original(config, case["state_dict"])


def test_pickles_that_run_code_are_refused(tmp_path):
    from robovlms.commands.convert_original import read_checkpoint

    class Danger:
        def __reduce__(self):
            return print, ("code ran",)

    file = tmp_path / "bad.pt"
    torch.save({"state_dict": Danger()}, file)
    with pytest.raises((ValueError, pickle.UnpicklingError), match="weights"):
        read_checkpoint(file)
