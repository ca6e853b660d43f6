"""RLDS folders as releases lay them out (Fractal, DROID, and none that is known), in Python and in recipes."""

import json

import numpy as np
import pytest
from rlds_writer import write_rlds

from robovlms.data import (
    DatasetError,
    LeRobotDataset,
    LeRobotWriter,
    RLDSDataset,
    action_contract,
    infer_conventions,
    repair_dataset,
)
from robovlms.data.formats import find_format
from robovlms.data.tfrecord import records
from robovlms.training import DatasetSpec, VLAArguments
from robovlms.training.datasets import build_contracts, build_dataset

STEPS = 12


@pytest.fixture(autouse=True)
def cache(monkeypatch, tmp_path):
    monkeypatch.setenv("ROBOVLMS_CACHE", str(tmp_path / "cache"))


def numbers(seed, width, steps=STEPS):
    return np.random.default_rng(seed).normal(size=(steps, width)).astype(np.float32)


def pictures(seed, steps=STEPS):
    return np.random.default_rng(seed).integers(0, 255, (steps, 16, 16, 3), dtype=np.uint8)


def fractal(seed):
    """Steps of RT-1's release: actions in parts, the instruction and its embedding among the observations."""
    return {
        "action/base_displacement_vector": numbers(seed, 2),
        "action/gripper_closedness_action": np.sign(numbers(seed, 1)),
        "action/rotation_delta": 0.1 * numbers(seed + 1, 3),
        "action/terminate_episode": np.eye(3, dtype=np.int32)[np.arange(STEPS) % 3],
        "action/world_vector": 0.1 * numbers(seed + 2, 3),
        "observation/base_pose_tool_reached": numbers(seed + 3, 7),
        "observation/gripper_closed": np.abs(numbers(seed + 4, 1)),
        "observation/image": pictures(seed),
        "observation/natural_language_embedding": numbers(seed, 5),
        "observation/natural_language_instruction": ["pick coke can"] * STEPS,
        "reward": numbers(seed, 1)[:, 0],
    }


def droid(seed, steps=STEPS):
    """Steps of DROID's release: 64-bit numbers, several kinds of action, three instructions, depth by its side."""
    joints = np.cumsum(0.1 * numbers(seed, 7, steps + 1), axis=0)
    return {
        "action": numbers(seed, 7, steps),
        "action_dict/cartesian_position": numbers(seed, 6, steps),
        "action_dict/gripper_position": np.abs(numbers(seed, 1, steps)),
        "action_dict/joint_position": joints[1:],
        "is_last": np.arange(steps) == steps - 1,
        "language_instruction": ["put the marker in the pot"] * steps,
        "language_instruction_2": [""] * steps,
        "observation/depth": np.full((steps, 16, 16), 700, np.uint16),
        "observation/exterior_image_1_left": pictures(seed, steps),
        "observation/exterior_image_2_left": pictures(seed + 1, steps),
        "observation/gripper_position": np.abs(numbers(seed, 1, steps)),
        "observation/joint_position": joints[:-1],
        "observation/wrist_image_left": pictures(seed + 2, steps),
    }


def test_fractal(tmp_path):
    episodes = [fractal(0), fractal(10), fractal(20)]
    dataset = RLDSDataset(write_rlds(tmp_path, "fractal20220817_data", episodes, files=2), 2, 4, history_stride=2)
    sample, two = dataset[STEPS + 5], episodes[1]
    parts = [two[f"action/{key}"] for key in ("world_vector", "rotation_delta", "gripper_closedness_action")]
    assert (sample["actions"][-1] == np.concatenate(parts, axis=1)[5:9]).all()
    parts = [two[f"observation/{key}"] for key in ("base_pose_tool_reached", "gripper_closed")]
    assert (sample["state"] == np.concatenate(parts, axis=1)[[3, 5]]).all()
    assert sample["instruction"] == "pick coke can" and (sample["episode"], sample["frame"]) == (1, 5)
    assert sample["images"]["image"].shape == (2, 16, 16, 3) and dataset.fps == 3
    contract = action_contract(dataset, n_action_steps=2)
    assert (contract.mode, contract.rotation, contract.grippers) == ("delta", "euler_xyz", ())
    assert contract.action.names[-1] == "gripper_closing" and contract.state is not None
    assert contract.state.names[3:7] == ("qx", "qy", "qz", "qw")


def test_droid(tmp_path):
    folder = write_rlds(tmp_path, "droid_100", [droid(0), droid(5, 40)], double=True)
    dataset = RLDSDataset(folder.parent, 1, 4, episodes=[1])  # the one version below it
    assert dataset.cameras == ["exterior_1_left", "exterior_2_left", "wrist_left"] and len(dataset) == 40
    assert dataset[3]["episode"] == 1 and dataset.instructions == ["put the marker in the pot"]
    contract = action_contract(dataset)
    assert (contract.embodiment, contract.mode, contract.frame, contract.control_frequency) == (
        "droid",
        "absolute",
        "joint",
        15,
    )
    cartesian = RLDSDataset(folder, action="action_dict/cartesian_position", cameras=["wrist_image_left"], state=())
    assert cartesian.known_embodiment is None and cartesian.action_names == [f"action_{n}" for n in range(6)]
    with pytest.raises(DatasetError, match=r"cameras \['depth'\] hold no colour.*wrist_left"):
        RLDSDataset(folder, cameras=["depth"])
    with pytest.raises(DatasetError, match=r"unknown episodes \[2\] in `episodes`, there are 2: 0-1"):
        RLDSDataset(folder, episodes=[2])


def other(seed):
    return {
        "action/joints": numbers(seed, 3),
        "action/hand": np.sign(numbers(seed, 1))[:, 0],
        "observation/top": pictures(seed),
        "observation/robot/q": numbers(seed, 4),
        "task_instruction": ["wave"] * STEPS,
    }


def test_what_is_not_known_is_asked_for(tmp_path):
    folder = write_rlds(tmp_path, "waves", [other(0)])
    with pytest.raises(DatasetError, match="give fps"):
        RLDSDataset(folder)
    with pytest.raises(
        DatasetError, match=r"no numeric feature 'action' of a step; name action= of .*'action/joints'"
    ):
        RLDSDataset(folder, fps=10)
    dataset = RLDSDataset(folder, 1, 2, fps=10, action=["action/joints", "action/hand"])
    assert dataset.action_names == ["joints_0", "joints_1", "joints_2", "hand"]
    with pytest.raises(ValueError, match=r"no column was taken for the state.*RLDS: state = .*observation/robot/q"):
        action_contract(dataset, mode="absolute")
    with pytest.raises(ValueError, match=r"action has \['action/hand'\] more than once"):
        RLDSDataset(folder, fps=10, action=["action/hand", "action/hand"])
    with pytest.raises(ValueError, match="fps must be a positive number, got '10'"):
        RLDSDataset(folder, action="action/hand", **{"fps": "10"})
    for opened in (folder, folder.parent):
        with pytest.raises(DatasetError, match=r"no LeRobotDataset but an RLDS folder, which RLDSDataset reads"):
            LeRobotDataset(opened)
        with pytest.raises(DatasetError, match=r"no LeRobotDataset but an RLDS folder"):
            repair_dataset(opened, tmp_path / "repaired")


def test_an_episode_without_steps_says_nothing_of_conventions(tmp_path):
    episodes = [other(0), {key: values[:0] for key, values in other(1).items()}, other(2)]
    folder = write_rlds(tmp_path, "waves", episodes)
    dataset = RLDSDataset(folder, 1, 2, fps=10, action=["action/joints", "action/hand"])
    found = infer_conventions(dataset)
    assert found["evidence"]["episodes"] == 2 and [one["dim"] for one in found["grippers"]] == [3]


def test_recipe_of_rlds_and_lerobot_together(tmp_path):
    """Two embodiments by one `dataset` list: formats found, keys passed on, each contract with its own statistics."""
    rlds = write_rlds(tmp_path, "waves", [other(0), other(1)])
    with LeRobotWriter(tmp_path / "arm", 10, "arm", use_videos=False) as writer:
        columns = {"images": {"top": pictures(3)}, "state": numbers(4, 4), "action": numbers(5, 4)}
        writer.add_episode(columns, "nod")
    told = {"path": str(rlds), "fps": 10, "action": ["action/joints", "action/hand"], "state": "observation/robot/q"}
    told |= {"mode": "absolute", "frame": "joint", "rotation": "none", "weight": 3.0, "episodes": [1]}
    told |= {"grippers": [{"dim": 3, "open_value": -1, "closed_value": 1}], "embodiment": "waver"}
    arm = {"path": str(tmp_path / "arm"), "mode": "delta", "weight": 1.0}
    arm |= {"grippers": [{"dim": 3, "open_value": 1, "closed_value": -1}]}
    arguments = VLAArguments(
        dataset=[json.dumps(told), json.dumps(arm)],
        structure="policy_head",
        window_size=2,
        chunk_size=4,
        n_action_steps=2,
    )
    mixture = build_dataset(arguments)
    assert [find_format(rlds), find_format(rlds.parent), find_format(tmp_path / "arm")] == ["rlds", "rlds", "lerobot"]
    assert mixture.lengths == [STEPS, STEPS] and mixture.weights == [0.75, 0.25]
    contracts = build_contracts(mixture, arguments)
    waver = contracts["waver"]
    assert (waver.mode, waver.frame, waver.rotation, waver.control_frequency) == ("absolute", "joint", "none", 10)
    assert waver.grippers[0].open_value == -1 and contracts["arm"].mode == "delta"
    wanted = np.concatenate([other(1)["action/joints"], other(1)["action/hand"][:, None]], axis=1)
    assert waver.action.statistics is not None
    np.testing.assert_allclose(waver.action.statistics.mean, wanted.mean(0), atol=1e-6)
    with pytest.raises(ValueError, match=r"is of format 'rlds', which has no columns; it has .*'fps'"):
        DatasetSpec(str(rlds), columns={"action": "action/joints"})
    with pytest.raises(ValueError, match=r"is of format 'lerobot', which has no action, fps"):
        DatasetSpec(str(tmp_path / "arm"), fps=10.0, action=("action",))


def test_files_that_are_missing_and_records_that_are_fewer_are_said(tmp_path):
    folder = write_rlds(tmp_path, "fractal20220817_data", [fractal(seed) for seed in range(4)], files=2)
    second = max(folder.glob("*.tfrecord*"))
    (_, _), (offset, _) = records(second, "fractal")
    second.write_bytes(second.read_bytes()[:offset])  # cut between two records
    with pytest.warns(UserWarning, match="00001-of-00002: dataset_info.json says 2 episodes, it has 1"):
        assert RLDSDataset(folder).num_episodes == 3
    second.unlink()
    with pytest.warns(UserWarning, match=r"1 of 2 files of split 'train' are missing \(numbers 1\)"):
        assert RLDSDataset(folder).num_episodes == 2
