"""What a policy learns in place of the robot's actions is part of its contract: every way to run it undoes it."""

import json
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest
import torch

from robovlms import ActionContract, OneStepContinuousVLA, Policy, RoboVLMProcessor, Statistics, VectorSpec
from robovlms.configuration import ActionTransform, LearnedActions, register_action_transform
from robovlms.data import (
    AbsoluteToDelta,
    Chain,
    ConvertRotation,
    LeRobotDataset,
    LeRobotWriter,
    VLACollator,
    WorldToTool,
    action_contract,
)
from robovlms.serving import ChunkPredictor, PolicyClient, PolicyServer, random_observation
from robovlms.serving.background import in_background
from robovlms.serving.chunk_predictor import ChunkRequest
from robovlms.serving.client import PolicyServerError
from robovlms.serving.overlap import RunningChunk
from robovlms.testing.samples import ACTION_NAMES, example_statistics
from robovlms.training.arguments import VLAArguments
from robovlms.training.datasets import build_contracts, build_dataset


def write(folder, seed=0):
    """Absolute poses that the arm reaches at the next step, and a gripper that opens and closes."""
    random = np.random.default_rng(seed)
    names = {"action": list(ACTION_NAMES), "state": ["extra", *ACTION_NAMES[:6]]}
    with LeRobotWriter(folder, 10, "arm", names=names) as writer:
        for length in (30, 40):
            poses = random.uniform(-1, 1, 6) + np.cumsum(random.normal(scale=0.05, size=(length + 1, 6)), axis=0)
            gripper = random.integers(0, 2, (length, 1))
            images = {"static": random.integers(0, 255, (length, 64, 64, 3), dtype=np.uint8)}
            state = np.concatenate([random.normal(size=(length, 1)), poses[:-1]], axis=1)
            action = np.concatenate([poses[1:], gripper], axis=1)
            writer.add_episode({"images": images, "state": state, "action": action}, "go")
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write(tmp_path_factory.mktemp("learned") / "arm")


@pytest.mark.parametrize("use_state", [True, False])
@pytest.mark.parametrize(
    "transform",
    [
        AbsoluteToDelta((0, 1, 2), state_dims=(1, 2, 3)),
        AbsoluteToDelta((0, 1, 2), (1, 2, 3), rotation="euler_xyz", frame="tool"),
        Chain(AbsoluteToDelta((0, 1, 2), (1, 2, 3), rotation="euler_xyz"), ConvertRotation("euler_xyz", "rot6d")),
        ConvertRotation("euler_xyz", "axis_angle"),
        WorldToTool(4, per_chunk=True),
    ],
    ids=str,
)
def test_recorded_commands_come_back(folder, backbone, tmp_path, transform, use_state):
    plain = LeRobotDataset(folder, window_size=2, chunk_size=3)
    dataset = LeRobotDataset(folder, window_size=2, chunk_size=3, transform=transform)
    agreed = action_contract(dataset, normalization="min_max", use_state=use_state)
    # The contract tells what the robot gets; the model's side of it may have another width.
    assert agreed.mode == "absolute" and agreed.action == action_contract(plain, normalization="min_max").action
    assert agreed.state_dim == (7 if use_state else 0) and agreed.model_sizes["action_dim"] == dataset.action.shape[1]
    assert agreed.gripper_dims == (6,) and agreed.predicted.names[agreed.model_sizes["gripper_dims"][0]] == "gripper"
    assert agreed.hash != action_contract(plain, normalization="min_max", use_state=use_state).hash
    assert ActionContract.from_dict(json.loads(json.dumps(agreed.to_dict()))) == agreed

    RoboVLMProcessor.from_backbone(backbone("smolvlm"), agreed).save_pretrained(tmp_path)
    processor = RoboVLMProcessor.from_pretrained(tmp_path)
    indices = (0, 5, 11, 20)
    batch = VLACollator(processor)([dataset[index] for index in indices])
    states = np.stack([dataset[index]["state"] for index in indices])
    recorded = np.stack([plain[index]["actions"] for index in indices])
    assert ("state" in batch) == use_state and torch.isin(batch["actions"][..., -1], torch.tensor([-1.0, 1.0])).all()
    decoded = processor.decode_actions(batch["actions"], state=states if transform.uses_state else None)
    np.testing.assert_allclose(decoded, recorded, atol=1e-4)
    assert (decoded[..., 6] == recorded[..., 6]).all()
    np.testing.assert_allclose(processor.encode_actions(recorded, state=states), batch["actions"], atol=1e-4)
    for one, state in ((batch["actions"][2, -1], states[2, -1:]), (batch["actions"][2:3, -1], states[2, -1])):
        np.testing.assert_allclose(processor.decode_actions(one, state=state).reshape(3, 7), decoded[2, -1])
    if transform.uses_state:
        with pytest.raises(ValueError, match="state is missing: 'arm' was trained on"):
            processor.decode_actions(batch["actions"])
        with pytest.raises(ValueError, match=r"state must have shape \(4, 7\), got \(4, 2, 7\)"):
            processor.decode_actions(batch["actions"][:, -1], state=states)  # the window's states, and one chunk each
        with pytest.raises(ValueError, match="transform: actions of 'arm' come as None"):
            VLACollator(processor)([plain[0]])


@pytest.fixture(scope="module")
def deltas(backbone, contract):
    """A policy that does not see the state and learned differences to it."""
    statistics = Statistics([-0.4] * 7, [0.6] * 7, [-0.5] * 7, [0.7] * 7, [0.1] * 7, [0.2] * 7, 10)
    vector = VectorSpec(ACTION_NAMES, normalization="quantile", statistics=statistics)
    learned = LearnedActions(AbsoluteToDelta((0, 1, 2), (2, 0, 1)), vector, sees_state=False)
    agreed = contract(chunk_size=5, n_action_steps=2, mode="absolute", learned=learned)
    torch.manual_seed(0)
    vla = OneStepContinuousVLA.from_backbone(backbone("smolvlm"), agreed)
    return ChunkPredictor(vla, RoboVLMProcessor.from_backbone(backbone("smolvlm"), agreed))


def test_every_way_to_run_it_commands_the_robot_in_its_own_units(deltas, tmp_path):
    seen = [random_observation(deltas.contract, seed) for seed in range(2)]
    moved = [one | {"state": one["state"] + np.float32([0.1, 0.2, 0.3])} for one in seen]
    policy = Policy(deltas.model, deltas.processor)
    actions = policy.select_action(seen, ["push"] * 2)
    later = policy.select_action(moved, ["push"] * 2)  # of the same chunk: its state is that of its observation
    policy.reset()
    np.testing.assert_allclose(
        policy.select_action(moved, ["push"] * 2) - actions, [[0.3, 0.1, 0.2, 0, 0, 0, 0]] * 2, atol=1e-5
    )
    for row in range(2):
        policy.reset()
        np.testing.assert_allclose(policy.select_action(seen[row], "push"), actions[row], atol=1e-5)
    policy.reset()
    with pytest.raises(ValueError, match=r"lacks 'state' in row\(s\) \[0\]; 'AbsoluteToDelta"):
        policy.select_action({"images": seen[0]["images"]}, "push")

    deltas.model.save_pretrained(tmp_path)
    deltas.processor.save_pretrained(tmp_path)
    loaded = Policy.from_pretrained(str(tmp_path))
    np.testing.assert_allclose(loaded.select_action(seen[1], "push"), actions[1], atol=1e-5)
    with in_background(PolicyServer(loaded.predictor)) as server, PolicyClient(port=server.port) as client:
        assert client.contract["learned"]["transform"]["type"] == "absolute_to_delta"
        for expected in (actions, later):
            np.testing.assert_allclose(client.select_action(seen[1], "push"), expected[1], atol=1e-5)
        with pytest.raises(PolicyServerError, match="lacks the state"):
            client.infer({"images": seen[0]["images"], "prompt": "push"})


def test_a_running_chunk_is_continued_in_the_robots_units(deltas):
    first, then = (random_observation(deltas.contract, seed) for seed in range(2))
    then["state"] = first["state"] + np.float32([0.02, -0.03, 0.04])
    (chunk,), _ = deltas.answer([ChunkRequest(first, "push")], [deltas.new_cache()])
    request = ChunkRequest(then, "push", running=RunningChunk(chunk[1:], delay=2))
    (joined,), _ = deltas.answer([request], [deltas.new_cache()])
    np.testing.assert_allclose(joined[:2], chunk[1:3], atol=1e-5)


@register_action_transform
@dataclass(frozen=True)
class Doubled(ActionTransform):
    type: ClassVar[str] = "doubled"
    uses_state = False

    def encode(self, actions, state=None):
        return np.float32(2 * actions)

    def decode(self, actions, state=None):
        return np.float32(actions / 2)


class Unsaved(ActionTransform):
    uses_state = False

    def encode(self, actions, state=None):
        return actions


def test_a_transform_of_ones_own(folder):
    agreed = action_contract(LeRobotDataset(folder, transform=Chain(Doubled())), grippers=())
    again = ActionContract.from_dict(agreed.to_dict())
    assert (
        again == agreed and isinstance(again.transform, Chain) and again.transform.decode(np.ones(7), None)[0] == 0.5
    )
    with pytest.raises(TypeError, match="transform must be an ActionTransform, got function"):
        LeRobotDataset(folder, transform=lambda actions: actions)
    with pytest.raises(ValueError, match=r"Unsaved cannot be saved with a contract.*register_action_transform"):
        action_contract(LeRobotDataset(folder, transform=Unsaved()))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"transform": {"type": "warp"}},
            r"LearnedActions.transform: unknown action transform 'warp', here are .*--import",
        ),
        ({"transform": {"type": "absolute_to_delta", "dim": [0]}}, "LearnedActions.transform has no field 'dim'"),
        ({"transform": AbsoluteToDelta((0, 9), (0, 1))}, r"dimensions \[9\] are outside of an action of 7"),
        (
            {"transform": AbsoluteToDelta((0, 1, 2), (1, 2, 3))},
            "needs a state of 4 dimensions or more, the contract has 3",
        ),
        (
            {"transform": AbsoluteToDelta((0, 1, 6), (0, 1, 2))},
            r"grippers: \['gripper'\] are on or off; leave them out",
        ),
        ({"transform": AbsoluteToDelta(per_chunk=False)}, "each action to the state at its own step.*per_chunk=True"),
        ({"transform": ConvertRotation("euler_xyz", "rot6d")}, "LearnedActions.vector has"),
        ({"transform": ConvertRotation("euler_xyz", "axis_angle"), "sees_state": False}, "does not need the state"),
    ],
)
def test_what_does_not_go_together_is_named(contract, changes, message):
    vector = VectorSpec(ACTION_NAMES, normalization="min_max", statistics=example_statistics(7))
    learned = {"transform": {"type": "absolute_to_delta"}, "vector": vector.to_dict(), "sees_state": True} | changes
    with pytest.raises(ValueError, match=message):
        contract(learned=learned)


def test_a_recipe_names_it_and_a_mixture_shares_it(folder, tmp_path):
    other = write(tmp_path / "other", seed=1)
    transform = AbsoluteToDelta((0, 1, 2), (1, 2, 3))
    described = [json.dumps({"path": str(one), "transform": transform.to_dict()}) for one in (folder, other)]
    arguments = VLAArguments(dataset=described, structure="one_step_continuous", chunk_size=5, use_state=False)
    dataset = build_dataset(arguments)
    agreed = build_contracts(dataset, arguments)["arm"]
    assert agreed.transform == transform and agreed.state_dim == 0
    parts = dataset.datasets
    learned, recorded = (np.concatenate([one.action for one in of]) for of in (parts, dataset.as_recorded().datasets))
    for spec, values in ((agreed.predicted, learned), (agreed.action, recorded)):
        np.testing.assert_allclose(spec.statistics.mean, values.mean(0), atol=1e-6)
