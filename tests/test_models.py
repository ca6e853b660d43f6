"""The continuous structures over four families: published weights, exact round trips, and what an action depends on."""

import json
import shutil
from collections.abc import Callable
from functools import cache
from typing import NamedTuple

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModel, AutoModelForImageTextToText, AutoProcessor, LlamaConfig, LlamaForCausalLM

from robovlms import (
    ActionContract,
    CameraSpec,
    InterleavedContinuousVLA,
    LSTMHeadConfig,
    MLPHeadConfig,
    OneStepContinuousVLA,
    PolicyHeadContinuousConfig,
    PolicyHeadContinuousVLA,
    RoboVLMProcessor,
)
from robovlms.data import VLACollator
from robovlms.modeling_robovlms import ContinuousVLA

FAMILIES = ["paligemma", "kosmos-2", "qwen2_vl", "smolvlm"]
STRUCTURES = {
    "one_step": (OneStepContinuousVLA, 1, {"head_config": MLPHeadConfig(hidden_size=16, decoder_sizes=(16,))}),
    "policy_head": (
        PolicyHeadContinuousVLA,
        3,
        {"head_config": LSTMHeadConfig(hidden_size=16, num_layers=2, decoder_sizes=(16,))},
    ),
    "interleaved": (InterleavedContinuousVLA, 3, {"head_config": MLPHeadConfig(hidden_size=16, decoder_sizes=(16,))}),
    "banded": (
        InterleavedContinuousVLA,
        3,
        {"head_config": MLPHeadConfig(hidden_size=16, decoder_sizes=(16,)), "frame_attention": "banded"},
    ),
}
OWN = {"action_tokens", "state_encoder", "grounding", "head"}
TARGETS = ("actions", "labels", "grounding")

families = pytest.mark.parametrize("family", FAMILIES)
every_vla = pytest.mark.parametrize(("family", "structure"), [(f, s) for f in FAMILIES for s in STRUCTURES])


class Made(NamedTuple):
    """A VLA in evaluation mode, its processor (with words behind the action tokens) and its contract."""

    vla: ContinuousVLA
    processor: RoboVLMProcessor
    contract: ActionContract


@pytest.fixture(scope="module")
def make(backbone, contract) -> Callable[[str, str], Made]:
    """Makes the VLA of a structure over the tiny backbone of a family, once: tests must not change it."""

    @cache
    def made(family: str, structure: str) -> Made:
        vla_class, window, fields = STRUCTURES[structure]
        own = contract(window_size=window)
        torch.manual_seed(0)
        vla = vla_class.from_backbone(str(backbone(family)), own, num_action_tokens=2, grounding_dim=2, **fields)
        processor = RoboVLMProcessor.from_backbone(
            str(backbone(family)), own, num_action_tokens=2, prompt_template="{images}{instruction}{action} and stop"
        )
        return Made(vla.eval(), processor, own)

    return made


def batch_of(made: Made, sample: Callable, seeds, **changes) -> dict[str, torch.Tensor]:
    """The processor's output for random samples."""
    samples = [sample(made.contract, seed) | changes for seed in seeds]
    for number, window in enumerate(samples):
        window["grounding"] = np.full((len(window["frame_mask"]), 2), 0.1 * number, dtype=np.float32)
    return dict(VLACollator(made.processor)(samples))


def observed(inputs: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name: value for name, value in inputs.items() if name not in TARGETS}


@torch.no_grad()
def features(vla: ContinuousVLA, inputs: dict[str, torch.Tensor]) -> torch.Tensor:
    return vla(**observed(inputs)).action_features


@every_vla
def test_published_weights_are_loaded_exactly(family, structure, make, backbone, sample):
    made = make(family, structure)
    published = AutoModelForImageTextToText.from_pretrained(backbone(family)).eval()
    expected, loaded = published.state_dict(), made.vla.backbone.state_dict()
    assert set(loaded) == set(expected)
    assert all(torch.equal(loaded[name], expected[name]) for name in expected)
    assert all(torch.isfinite(parameter).all() for parameter in made.vla.parameters())

    inputs = {n: v for n, v in batch_of(made, sample, [0]).items() if n not in (*TARGETS, "state", "frame_mask")}
    del inputs["action_token_mask"]
    with torch.no_grad():
        assert torch.equal(made.vla.backbone(**inputs).logits, published(**inputs).logits)


@every_vla
def test_save_and_load_is_bit_identical(family, structure, make, backbone, sample, tmp_path):
    made = make(family, structure)
    made.vla.save_pretrained(tmp_path)
    made.processor.save_pretrained(tmp_path)
    vla, processor = AutoModel.from_pretrained(tmp_path).eval(), AutoProcessor.from_pretrained(tmp_path)
    ours, theirs = (config.to_dict() | {"_name_or_path": ""} for config in (made.vla.config, vla.config))
    assert type(vla) is type(made.vla) and theirs == ours
    ours, theirs = made.vla.state_dict(), vla.state_dict()
    assert set(ours) == set(theirs) and all(torch.equal(ours[name], theirs[name]) for name in ours)
    inputs, again = batch_of(made, sample, range(3)), batch_of(made._replace(processor=processor), sample, range(3))
    with torch.no_grad():
        expected, output = made.vla(**inputs), vla(**again)
    assert torch.equal(output.actions, expected.actions) and torch.equal(output.loss, expected.loss)
    actions = made.vla.predict_action(**observed(inputs))  # the old name
    assert torch.equal(vla.predict_action_chunk(**observed(again)), actions)

    keys = set(load_file(tmp_path / "model.safetensors"))
    published = {f"backbone.{name}" for name in load_file(backbone(family) / "model.safetensors")}
    assert {name for name in keys if name.startswith("backbone.")} == published
    assert {name.split(".")[0] for name in keys - published} == OWN


@pytest.mark.parametrize("side", ["left", "right"])
@every_vla
def test_a_sample_does_not_depend_on_the_batch_or_on_padding(family, structure, side, make, sample):
    made = make(family, structure)
    before, made.processor.tokenizer.padding_side = made.processor.tokenizer.padding_side, side
    inputs = batch_of(made, sample, range(3))  # instructions of three lengths
    made.processor.tokenizer.padding_side = before
    assert (inputs["attention_mask"][:, 0 if side == "left" else -1] == 0).any()
    with torch.no_grad():
        together = made.vla(**inputs)
    total = 0.0
    for row in range(3):
        single = batch_of(made, sample, [row]) | {"grounding": inputs["grounding"][row : row + 1]}
        with torch.no_grad():
            alone = made.vla(**single)
        real = single["frame_mask"][0]
        torch.testing.assert_close(together.actions[row][real], alone.actions[0][real], atol=2e-5, rtol=0)
        torch.testing.assert_close(
            made.vla.predict_action_chunk(**observed(single))[0], together.actions[row, -1], atol=2e-5, rtol=0
        )
        total += alone.loss.item() * int((single["labels"] != -100).sum())
    assert together.loss.item() == pytest.approx(total / int((inputs["labels"] != -100).sum()), abs=2e-5)


@every_vla
def test_streaming_equals_reading_the_window_again(family, structure, make, sample):
    """Frame by frame through a cache, past the point where the window slides."""
    made, steps, window = make(family, structure), 5, STRUCTURES[structure][1]
    episodes = [sample(made.contract.replace(window_size=steps), seed) for seed in range(2)]

    def read(first: int, last: int, padding: int = 0) -> dict[str, torch.Tensor]:
        frames = [first] * padding + list(range(first, last + 1))
        samples = [
            {
                "images": {name: pixels[frames] for name, pixels in episode["images"].items()},
                "state": episode["state"][frames],
                "frame_mask": np.arange(len(frames)) >= padding,
                "instruction": episode["instruction"],
                "embodiment": "arm",
            }
            for episode in episodes
        ]
        return dict(VLACollator(made.processor)(samples))

    stream = made.vla.new_cache(2)
    for step in range(steps):
        streamed = made.vla.predict_action_chunk(**read(step, step), cache=stream)
        if structure == "banded":  # what a frame left reaches further than the window: read the whole stretch
            inputs = read(0, step)
        else:
            first = max(0, step - window + 1)
            inputs = read(first, step, padding=window - 1 - step + first)
        torch.testing.assert_close(streamed, made.vla.predict_action_chunk(**inputs), atol=2e-5, rtol=0)


@families
def test_banded_frames_see_as_many_frames_as_the_window_holds(family, make, sample):
    """On a stretch as long as the window that is plain causal attention; on a longer one it is not."""
    banded, plain = make(family, "banded"), make(family, "interleaved")
    config = type(plain.vla.config).from_dict(plain.vla.config.to_dict() | {"window_size": 4})
    wide = InterleavedContinuousVLA(config).eval()
    wide.load_state_dict(banded.vla.state_dict())
    for frames, is_same in ((3, True), (4, False)):
        stretch = sample(banded.contract.replace(window_size=frames), 0) | {"frame_mask": np.ones(frames, dtype=bool)}
        inputs = dict(VLACollator(banded.processor)([stretch]))
        ours, theirs = features(banded.vla, inputs), features(wide, inputs)
        torch.testing.assert_close(ours[:, :3], theirs[:, :3], atol=2e-5, rtol=0)
        assert ((ours - theirs)[:, -1].abs().amax() < 2e-5) == is_same


@pytest.mark.parametrize("origin", ["from_backbone", "from_pretrained"])
@every_vla
def test_later_tokens_do_not_change_earlier_features(family, structure, origin, make, sample, tmp_path):
    made = make(family, structure)
    vla = made.vla
    if origin == "from_pretrained":
        vla.save_pretrained(tmp_path)
        vla = AutoModel.from_pretrained(tmp_path).eval()
    inputs = batch_of(made, sample, range(2))
    ids, marks = inputs["input_ids"], inputs["action_token_mask"]
    newest = inputs["frame_mask"].sum(dim=1).cumsum(dim=0) - 1  # rows of the samples' newest frames
    is_newest = torch.zeros(len(ids), 1, dtype=torch.bool)
    is_newest[newest] = True
    after = is_newest & ~marks & (marks.cumsum(dim=1) > 0) & inputs["attention_mask"].bool()
    assert after.sum() >= 2 * len(newest)
    other = made.processor.tokenizer("block", add_special_tokens=False)["input_ids"][-1]
    expected = features(vla, inputs)
    torch.testing.assert_close(
        features(vla, inputs | {"input_ids": ids.masked_fill(after, other)}), expected, atol=1e-6, rtol=0
    )

    before = is_newest & _last_word(marks)
    changed = features(vla, inputs | {"input_ids": ids.masked_fill(before, other)})
    assert (changed - expected)[:, -1].abs().amax() > 1e-4  # so the comparison above can tell
    torch.testing.assert_close(changed[:, :-1], expected[:, :-1], atol=1e-6, rtol=0)


def _last_word(marks: torch.Tensor) -> torch.Tensor:
    """The position before the first action token of each row."""
    return marks.roll(-1, dims=1) & (marks.cumsum(dim=1) == 0)


@every_vla
def test_the_future_is_unseen(family, structure, make, sample):
    """Another newest image changes no earlier frame's action."""
    made = make(family, structure)
    window = STRUCTURES[structure][1]
    frames = {"frame_mask": np.ones(window, dtype=bool)}
    one, other = (sample(made.contract, seed) for seed in (0, 1))
    images = {
        name: np.concatenate([pixels[:-1], other["images"][name][-1:]]) for name, pixels in one["images"].items()
    }
    before = features(made.vla, batch_of(made, sample, [0], **frames))
    after = features(made.vla, batch_of(made, sample, [0], **frames, images=images))
    assert (after - before)[:, -1].abs().amax() > 1e-4
    torch.testing.assert_close(after[:, :-1], before[:, :-1], atol=1e-6, rtol=0)


@every_vla
def test_actions_depend_on_every_camera_on_the_instruction_and_on_the_state(family, structure, make, sample):
    made = make(family, structure)
    one, other = (sample(made.contract, seed) for seed in (0, 1))
    changes = [{"images": one["images"] | {name: other["images"][name]}} for name in made.contract.camera_names]
    changes += [{name: other[name]} for name in ("instruction", "state")]
    expected = made.vla.predict_action_chunk(**observed(batch_of(made, sample, [0])))
    assert (expected[..., made.contract.gripper_dims].abs() < 1).all()
    for change in changes:
        actions = made.vla.predict_action_chunk(**observed(batch_of(made, sample, [0], **change)))
        assert (actions - expected).abs().amax() > 1e-6, list(change)


@every_vla
def test_gradients_reach_everything_that_is_not_frozen(family, structure, make, sample):
    """Data-parallel training does not have to look for unused parameters."""
    made = make(family, structure)
    made.vla.zero_grad()
    made.vla(**batch_of(made, sample, range(3))).loss.backward()
    trained = {name: parameter for name, parameter in made.vla.named_parameters() if parameter.requires_grad}
    assert not [name for name, parameter in trained.items() if parameter.grad is None]
    still = {name for name, parameter in trained.items() if not parameter.grad.any()}
    assert not {name for name in still if name.split(".")[0] in OWN}
    assert {name.split(".")[0] for name in trained} == {*OWN, "backbone"}
    moved = {name for name in set(trained) - still if name.startswith("backbone.")}
    in_vision = {name for name in moved if "vision" in name or "visual" in name}
    assert in_vision and moved - in_vision  # both towers learn
    made.vla.zero_grad()


@families
def test_action_tokens_start_as_average_words(family, make):
    """Random numbers as large as what the family's embedding puts out, so that the backbone meets nothing unheard of."""
    vla = make(family, "policy_head").vla
    with torch.no_grad():
        words = vla.get_input_embeddings()(torch.arange(vla.config.get_text_config().vocab_size)[None])[0]
    distance = (vla.action_tokens.weight - words.mean(dim=0)) / words.std(dim=0)
    assert distance.std().item() == pytest.approx(0.1, abs=0.03) and abs(distance.mean().item()) < 0.03


@pytest.mark.parametrize("structure", STRUCTURES)
def test_losses_are_means_over_what_counts(structure, make, sample):
    """By hand: Huber on the pose, cross-entropy on the gripper, Huber on the auxiliary labels that are there."""
    made = make("smolvlm", structure)
    inputs = batch_of(made, sample, range(3))
    inputs["grounding"][1, -1, 0] = np.nan
    with torch.no_grad():
        output = made.vla(**inputs)
    counts, head = inputs["labels"] != -100, made.vla.config.head_config
    assert 0 < counts.sum() < counts.numel()
    error = (output.pose - inputs["actions"][..., :6])[counts].abs()
    pose = torch.where(error < 1, error**2 / 2, error - 0.5).mean()
    is_open = inputs["actions"][..., 6][counts] > 0
    gripper = -torch.where(is_open, output.gripper_logits[..., 0][counts], -output.gripper_logits[..., 0][counts])
    gripper = gripper.exp().log1p().mean()
    error = (output.grounding - inputs["grounding"]).nan_to_num().abs()
    grounding = torch.where(error < 1, error**2 / 2, error - 0.5).mean(dim=-1)
    grounding = (grounding * counts.sum(dim=-1)).sum() / counts.sum()  # a frame counts as often as its actions do
    for name, wanted in (("pose_loss", pose), ("gripper_loss", gripper), ("grounding_loss", grounding)):
        torch.testing.assert_close(output[name], wanted, atol=1e-6, rtol=1e-5)
    total = pose + head.gripper_loss_weight * gripper + made.vla.config.grounding_loss_weight * grounding
    torch.testing.assert_close(output.loss, total, atol=1e-6, rtol=1e-5)
    made.vla.zero_grad()
    made.vla(**inputs).loss.backward()
    assert all(p.grad is None or torch.isfinite(p.grad).all() for p in made.vla.parameters())  # despite the NaN
    made.vla.zero_grad()


@families
def test_a_model_from_a_config_alone(family, make, sample):
    made = make(family, "policy_head")
    torch.manual_seed(1)
    fresh = PolicyHeadContinuousVLA(PolicyHeadContinuousConfig.from_dict(made.vla.config.to_dict())).eval()
    assert all(torch.isfinite(parameter).all() for parameter in fresh.parameters())
    with torch.no_grad():
        assert torch.isfinite(fresh(**batch_of(made, sample, range(2))).loss)


@families
def test_the_frameworks_handles(family, make, backbone, contract, sample):
    """The names under which the framework reaches into every VLA."""
    made = make(family, "one_step")
    vla, parts = made.vla, {id(module) for module in made.vla.backbone.modules()}
    assert vla.model is vla.backbone and vla.word_embedding is vla.backbone.get_input_embeddings()
    text, vision = (
        {id(parameter) for parameter in tower.parameters()} for tower in (vla.text_tower, vla.vision_tower)
    )
    assert {id(vla.text_tower), id(vla.vision_tower)} <= parts and text and vision and not text & vision
    assert type(vla.image_processor) is type(made.processor.image_processor)

    own = contract(cameras=(CameraSpec("static", 48, 64),), state=None)
    processor = RoboVLMProcessor.from_backbone(str(backbone(family)), own)
    inputs = VLACollator(processor)([sample(own, seed) for seed in range(2)])
    images = {
        name: inputs[name] for name in ("pixel_values", "pixel_attention_mask", "image_grid_thw") if name in inputs
    }
    with torch.no_grad():
        encoded = vla.model_encode_images(**images)
    assert len(encoded) == 2 and encoded.shape[2] == vla.hidden_size and torch.isfinite(encoded).all()
    assert (encoded[0] - encoded[1]).abs().max() > 1e-4


# Errors.


def test_backbones_that_cannot_serve(backbone, contract, tmp_path):
    text_only = LlamaConfig(
        hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2, vocab_size=32
    )
    LlamaForCausalLM(text_only).save_pretrained(tmp_path / "text")
    with pytest.raises(ValueError, match=r"backbone.*text' is of type 'llama', which takes no images"):
        PolicyHeadContinuousVLA.from_backbone(str(tmp_path / "text"), contract())

    shutil.copytree(backbone("smolvlm"), tmp_path / "torn")
    weights = load_file(tmp_path / "torn" / "model.safetensors")
    lost = next(name for name in weights if "q_proj" in name)
    del weights[lost]
    save_file(weights, tmp_path / "torn" / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ValueError, match=r"torn does not hold the whole backbone: missing.*q_proj"):
        PolicyHeadContinuousVLA.from_backbone(str(tmp_path / "torn"), contract())


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"head_config": {"type": "mpl"}}, "Unknown head 'mpl'.*'lstm', 'mlp'"),
        ({"head_config": {"type": "mlp", "hiden_size": 8}}, "no field 'hiden_size'.*Did you mean 'hidden_size'"),
        ({"head": {"type": "mlp"}}, "no field 'head'"),
        ({"num_action_token": 2}, "no field 'num_action_token'. Did you mean 'num_action_tokens'"),
    ],
)
def test_from_backbone_refuses_what_it_does_not_know(backbone, contract, fields, message):
    with pytest.raises((ValueError, TypeError), match=message):
        PolicyHeadContinuousVLA.from_backbone(str(backbone("smolvlm")), contract(), **fields)


def test_inputs_of_another_model_are_refused(make, sample):
    made = make("smolvlm", "policy_head")
    inputs = batch_of(made, sample, range(2))
    narrow = {"actions": inputs["actions"][..., :6]}
    with pytest.raises(ValueError, match=r"actions must have shape \(2, 3, 3, 7\).*got \(2, 3, 3, 6\)"):
        made.vla(**inputs | narrow)
    with pytest.raises(ValueError, match=r"state must have shape \(2, 3, 3\).*got \(2, 3, 2\)"):
        made.vla(**inputs | {"state": inputs["state"][..., :2]})
    with pytest.raises(ValueError, match=r"state must have shape.*got nothing"):
        made.vla(**{name: value for name, value in inputs.items() if name != "state"})
    marks = inputs["action_token_mask"].clone()
    marks[0] = False
    with pytest.raises(ValueError, match="action_token_mask must mark num_action_tokens = 2"):
        made.vla(**inputs | {"action_token_mask": marks})
    longer = sample(made.contract.replace(window_size=4), 0)
    with pytest.raises(ValueError, match=r"window holds 4 frames.*window_size = 3"):
        made.vla(**VLACollator(made.processor)([longer]))


def test_config_on_disk_names_no_path(make, tmp_path):
    for family in FAMILIES:
        make(family, "one_step").vla.save_pretrained(tmp_path / family)
        text = (tmp_path / family / "config.json").read_text()
        assert '"/' not in text and "_name_or_path" not in json.loads(text)["vlm_config"]
