"""The policy: independent rows, resets, when it observes and when it predicts."""

import numpy as np
import pytest
import torch
from PIL import Image

from robovlms import (
    LSTMHeadConfig,
    OneStepContinuousVLA,
    Policy,
    PolicyHeadContinuousVLA,
    RoboVLMProcessor,
)
from robovlms.configuration.head_configs import FlowMatchingHeadConfig
from robovlms.serving import random_observation

LSTM = LSTMHeadConfig(hidden_size=32, num_layers=1, decoder_sizes=(32,))
SENTENCES = ["pick up the red block", "push"]


@pytest.fixture(scope="module")
def parts(backbone, contract):
    agreed = contract(window_size=3, history_stride=2, chunk_size=5, n_action_steps=4)
    torch.manual_seed(0)
    vla = PolicyHeadContinuousVLA.from_backbone(backbone("smolvlm"), agreed, head_config=LSTM)
    return vla, RoboVLMProcessor.from_backbone(backbone("smolvlm"), agreed)


def observations(contract, steps, seed):
    return [random_observation(contract, seed=100 * seed + step) for step in range(steps)]


def test_rows_are_independent_and_reset_alone(parts):
    together, contract = Policy(*parts), parts[1].contract()
    streams = [observations(contract, 9, seed) for seed in range(2)]
    alone = [Policy(*parts) for _ in range(2)]
    for step in range(9):
        if step == 5:
            together.reset(rows=[1])
            alone[1].reset()
        actions = together.select_action([stream[step] for stream in streams], SENTENCES)
        for row in range(2):
            own = alone[row].select_action(streams[row][step], SENTENCES[row])
            np.testing.assert_allclose(actions[row], own, atol=1e-5)


@pytest.mark.parametrize("n_action_steps", [None, 2])
@torch.no_grad()
def test_actions_are_those_of_the_window_that_training_sees(parts, n_action_steps):
    """Observes every second step, predicts every fourth (or second), executes the chunk's first actions in between."""
    vla, processor = parts
    policy, contract = Policy(vla, processor, n_action_steps=n_action_steps), processor.contract()
    seen, executed = observations(contract, 14, 0), n_action_steps or 4
    actions = []
    for step, observation in enumerate(seen):
        actions.append(policy.select_action(observation, SENTENCES[0]))
        newest = step - step % executed
        frames = [seen[index] for index in range(newest - 4, newest + 1, 2) if index >= 0]
        inputs = processor(
            images={c: np.stack([frame["images"][c] for frame in frames]) for c in contract.camera_names},
            instruction=SENTENCES[0],
            state=np.stack([frame["state"] for frame in frames]),
        )
        chunk = processor.decode_actions(vla(**inputs).actions[0, -1])
        np.testing.assert_allclose(actions[-1], chunk[step % executed], atol=1e-5)
    assert np.abs(np.diff(actions, axis=0)).max(axis=1).min() > 1e-3  # no two in a row are alike


def test_model_and_processor_must_belong_together(parts, backbone, contract):
    other = RoboVLMProcessor.from_backbone(backbone("smolvlm"), contract(chunk_size=3, window_size=3))
    with pytest.raises(ValueError, match="chunk_size is 3 in the contract"):
        Policy(parts[0], other)
    grippers = RoboVLMProcessor.from_backbone(backbone("smolvlm"), contract(window_size=3, chunk_size=5, grippers=()))
    with pytest.raises(ValueError, match="gripper_dims"):
        Policy(parts[0], grippers)
    tokens = RoboVLMProcessor.from_backbone(backbone("smolvlm"), parts[1].contract(), num_action_tokens=2)
    with pytest.raises(ValueError, match="num_action_tokens is 2 in the processor and 1 in the model"):
        Policy(parts[0], tokens)
    with pytest.raises(ValueError, match="n_action_steps = 6 exceeds chunk_size = 5"):
        Policy(*parts, n_action_steps=6)
    with pytest.raises(ValueError, match="embodiment 'crane' is unknown"):
        Policy(*parts, embodiment="crane")


def test_bad_observations(parts):
    policy = Policy(*parts)
    observation = random_observation(policy.contract)
    with pytest.raises(ValueError, match=r"lack camera.*static"):
        policy.select_action({"images": {}, "state": observation["state"]}, "push")
    policy.reset()
    with pytest.raises(ValueError, match="lacks 'state'"):
        policy.select_action({"images": observation["images"]}, "push")
    policy.reset()
    policy.select_action([observation] * 2, SENTENCES)
    with pytest.raises(ValueError, match="Got 3 observations, the episode runs with 2"):
        policy.select_action([observation] * 3, [*SENTENCES, "push"])


@pytest.mark.parametrize("wrong", [{"static": 0}, {"images": None}, {"images": np.zeros((8, 8, 3))}, None, 7])
def test_an_observation_names_its_pictures(wrong, parts):
    with pytest.raises(ValueError, match=r"observation.* must (be a mapping|map names of cameras)"):
        Policy(*parts).select_action(wrong, "push")


def test_resets_of_rows_that_are_not_there(parts):
    policy = Policy(*parts)
    policy.select_action([random_observation(policy.contract)] * 2, SENTENCES)
    for rows in ([2], [-1]):
        with pytest.raises(ValueError, match="not all among the 2"):
            policy.reset(rows=rows)
    with pytest.raises(ValueError, match="1 rows need as many seeds, got 2"):
        policy.reset(rows=[0], seeds=[1, 2])


def test_options_reach_a_policy_from_a_folder(parts, backbone, tmp_path):
    for part in parts:
        part.save_pretrained(tmp_path)
    policy = Policy.from_pretrained(str(tmp_path), n_action_steps=2, resize="pad")
    assert policy.contract.n_action_steps == 2 and policy.predictor.resize == "pad"
    with pytest.raises(ValueError, match="needs a VLA's checkpoint"):
        Policy.from_pretrained(str(backbone("smolvlm")))


def test_one_step_policy(backbone, contract):
    agreed = contract(n_action_steps=3)
    vla = OneStepContinuousVLA.from_backbone(backbone("smolvlm"), agreed)
    policy = Policy(vla, RoboVLMProcessor.from_backbone(backbone("smolvlm"), agreed))
    observation = random_observation(agreed)
    chunk = [policy.select_action(observation, "push") for _ in range(3)]
    assert np.array_equal(policy.select_action(observation, "push"), chunk[0])
    assert set(np.array(chunk)[:, 6]) <= {0.0, 1.0}  # the gripper's own two values


def test_what_a_sampling_head_draws_follows_the_seed_of_the_episode(backbone, contract):
    agreed = contract(chunk_size=4, n_action_steps=2)
    vla = OneStepContinuousVLA.from_backbone(
        backbone("smolvlm"), agreed, head_config=FlowMatchingHeadConfig(denoiser_size=32, denoiser_layers=1)
    )
    processor = RoboVLMProcessor.from_backbone(backbone("smolvlm"), agreed)
    streams = [observations(agreed, 5, seed) for seed in range(2)]

    def actions(rows, seeds):
        policy = Policy(vla, processor)
        policy.reset(rows=range(len(rows)), seeds=seeds)
        return np.stack(
            [policy.select_action([streams[row][step] for row in rows], ["push"] * len(rows)) for step in range(5)], 1
        )

    together = actions([0, 1], [7, 8])
    np.testing.assert_allclose(together[0], actions([0], [7])[0], atol=1e-5)
    np.testing.assert_allclose(together[1], actions([1], [8])[0], atol=1e-5)
    assert np.abs(together[0] - actions([0], [8])[0]).max() > 1e-2


def test_pictures_and_states_in_whatever_form(parts):
    """As simulators and robots hand them out: what is the same picture leads to the same action."""
    policy, contract = Policy(*parts), parts[1].contract()
    plain = random_observation(contract)
    wanted = policy.select_action(plain, "push")

    def act(static, state=plain["state"]):
        policy.reset()
        return policy.select_action({"images": plain["images"] | {"static": static}, "state": state}, "push")

    picture = plain["images"]["static"]
    frozen = picture.copy()
    frozen.setflags(write=False)
    for same in (
        picture[::-1, ::-1].copy()[::-1, ::-1],
        picture[..., ::-1].copy()[..., ::-1],
        frozen,
        Image.fromarray(picture),
        torch.from_numpy(picture),
        torch.from_numpy(picture).permute(2, 0, 1) / 255,
        picture / 255,
    ):
        np.testing.assert_array_equal(act(same), wanted)
    for state in (plain["state"].tolist(), torch.from_numpy(plain["state"])[None]):
        np.testing.assert_array_equal(act(picture, state), wanted)
    for bad, message in (
        (np.dstack([picture, picture[..., :1]]), r"'images/static' must be an image .*\(48, 64, 4\)"),
        (Image.fromarray(picture).convert("L"), r"'images/static' must be an image .* got Image"),
        ([[1], [2, 3]], r"'images/static' must be an image"),
        (picture / 254, r"'images/static' is of floats and must hold finite values from 0 to 1"),
        (picture.astype(np.int64), r"'images/static' must be uint8"),
        (picture.repeat(2, 0), r"'images/static' is 96x64, camera 'static' is 48x64.*resize="),
    ):
        with pytest.raises(ValueError, match=message):
            act(bad)
    with pytest.raises(ValueError, match=r"'state' must hold 3 numbers .*, got 2"):
        act(picture, plain["state"][:2])
    with pytest.raises(ValueError, match="'state' must be numbers, got list"):
        act(picture, ["0", "1", "2"])


def test_a_camera_of_another_size_only_where_it_is_allowed(parts):
    contract = parts[1].contract()
    small, large = random_observation(contract), random_observation(contract)
    images = {name: pixels.repeat(2, 0).repeat(2, 1) for name, pixels in small["images"].items()}
    large = small | {"images": images}
    for resize in ("stretch", "pad"):  # the proportions are the contract's: nothing is to be padded
        expected = {
            name: np.asarray(Image.fromarray(image).resize((image.shape[1] // 2, image.shape[0] // 2), 2))
            for name, image in images.items()
        }
        policy = Policy(*parts, resize=resize)
        action = policy.select_action(large, "push")
        policy.reset()
        np.testing.assert_array_equal(policy.select_action(small | {"images": expected}, "push"), action)
    with pytest.raises(ValueError, match="resize must be 'refuse', 'stretch' or 'pad', got 'crop'"):
        Policy(*parts, resize="crop")


@pytest.mark.parametrize(
    "instruction", [b"push the block", np.bytes_(b"push"), None, 7, ["push"], ("push",), np.array("push"), "", "  "]
)
def test_an_instruction_is_a_sentence(instruction, parts):
    policy = Policy(*parts)
    observation = random_observation(policy.contract)
    with pytest.raises(ValueError, match=r"'instruction' must be a sentence, got"):
        policy.select_action(observation, instruction)
    if not isinstance(instruction, list | tuple):
        with pytest.raises(ValueError, match=r"'instruction' must be a sentence, got"):
            policy.select_action([observation] * 2, ["push", instruction])
    policy.select_action(observation, "把红色方块放进盒子, pick {up} the cup")
