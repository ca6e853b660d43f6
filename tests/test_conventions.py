"""What actions mean, measured: on a real humanoid's recordings, and on recordings made to mean something."""

import json
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from robovlms.configuration.action_contract import GripperSpec
from robovlms.data import LeRobotDataset, LeRobotWriter, action_contract, infer_conventions
from robovlms.data.recorded import Recorded

G1 = Path(__file__).parents[1].parent / "shared" / "real_data" / "unitree_g1_bottle"


def walk(rows, width, seed):
    return np.cumsum(np.random.default_rng(seed).normal(size=(rows, width)), axis=0).astype(np.float32)


def record(folder, action_of, names=("a", "b", "c", "grip"), fps=10):
    """Three episodes of a wandering state of three dimensions and a gripper's opening; `action_of` makes actions of it."""
    with LeRobotWriter(folder, fps, "arm", use_videos=False, names={"action": list(names)}) as writer:
        for seed in range(3):
            state = np.concatenate([walk(60, 3, seed), (np.arange(60)[:, None] % 20 < 10) * 0.08], axis=1)
            pictures = np.zeros((60, 8, 8, 3), np.uint8)
            columns = {"images": {"top": pictures}, "state": state.astype(np.float32), "action": action_of(state)}
            writer.add_episode(columns, "wander")
    return LeRobotDataset(folder, window_size=1, chunk_size=2)


def later(state, delay):
    return np.concatenate([state[delay:], np.repeat(state[-1:], delay, axis=0)]).astype(np.float32)


def test_of_a_large_dataset_episodes_are_chosen_evenly():
    state = np.concatenate([walk(1000, 3, seed) for seed in range(120)])
    action = np.concatenate([later(part, 3) for part in np.split(state, 120)])
    starts, names = np.arange(121) * 1000, ["a", "b", "c"]
    found = infer_conventions(Recorded(range(100, 220), starts, action, state, names, names, 10.0))
    assert (found["mode"], found["delay"]) == ("absolute", 3)
    assert (found["evidence"]["frames"], found["evidence"]["episodes"]) == (50_000, 50)
    idle = {one["episode"] for one in found["evidence"]["idle_stretches"]}  # the last action, repeated
    assert idle and idle <= {*range(100, 220)}


def test_absolute_targets_are_reached_later(tmp_path):
    dataset = record(tmp_path / "absolute", lambda state: later(state, 3))
    found = infer_conventions(dataset)
    assert (found["mode"], found["delay"], found["rotation"]) == ("absolute", 3, "unknown")
    assert [one["state"] for one in found["evidence"]["dimensions"]] == dataset.state_names[:3]
    (gripper,) = found["grippers"]
    assert gripper["dim"] == gripper["state_dim"] == 3 and gripper["correlation"] > 0.99 and gripper["starts_at"] == 1
    contract = action_contract(dataset)
    assert contract.mode == "absolute" and "3 of 3 moving dimensions follow states" in contract.notes
    assert contract.frame == contract.rotation == "unknown"
    assert action_contract(dataset, mode="absolute").hash == contract.hash
    with pytest.raises(
        ValueError, match=r"mode is 'delta' according to the caller, but mode 'absolute' measured: 3 of 3"
    ):
        action_contract(dataset, mode="delta")


@pytest.mark.parametrize(("scale", "mode"), [(50.0, "delta"), (1.0, "delta"), (10.0, "velocity")])
def test_differences_of_states(tmp_path, scale, mode):
    def differences(state):
        action = scale * (later(state, 2) - later(state, 1))
        action[:, 3] = later(state, 1)[:, 3]
        return action.astype(np.float32)

    found = infer_conventions(record(tmp_path / "data", differences))
    assert (found["mode"], found["delay"]) == (mode, 2)
    assert found["evidence"]["dimensions"][0]["scale"] == pytest.approx(scale, rel=0.05)


@pytest.mark.parametrize("named", [True, False])
def test_velocities_and_last_actions_in_the_state_are_no_poses(tmp_path, named):
    """An action that goes with them names no pose to go to, whatever the noise of the poses."""
    names = {"state": [*"abc", *(f"{name}_vel" if named else f"{name}_last" for name in "abc")]}
    with LeRobotWriter(tmp_path / "set", 10, "arm", use_videos=False, names=names) as writer:
        for seed in range(3):
            pose = np.cumsum(walk(100, 3, seed) * 0.2, axis=0)
            action = later(pose, 1) - pose
            last = np.concatenate([np.zeros((1, 3)), action[:-1]])
            seen = pose + 0.15 * np.random.default_rng(seed).normal(size=pose.shape)
            columns = {"images": {"top": np.zeros((100, 8, 8, 3), np.uint8)}, "action": action.astype(np.float32)}
            writer.add_episode(columns | {"state": np.concatenate([seen, last], axis=1).astype(np.float32)}, "wander")
    dataset = LeRobotDataset(tmp_path / "set", 1, 1)
    assert infer_conventions(dataset)["mode"] == "delta"
    with pytest.raises(ValueError, match="mode is 'absolute' according to the caller"):
        action_contract(dataset, mode="absolute")
    with pytest.raises(ValueError, match=r"mode must be one of .*got 'relative'"):
        action_contract(dataset, mode="relative")


def test_grippers_by_what_follows_them_and_with_the_recorded_values(tmp_path):
    dataset = record(
        tmp_path / "set",
        lambda state: np.c_[state[:, :3], np.sign(state[:, 3:] - 0.04)].astype(np.float32),
        (*"abc", "grasp"),
    )
    with pytest.raises(
        ValueError, match="open at 1, closed at 0 according to the caller, but its recorded values are -1 and 1"
    ):
        action_contract(dataset, grippers=[GripperSpec(3, 1, 0)])
    assert action_contract(dataset).grippers == ()  # nothing says what state_3 is
    names = json.loads((tmp_path / "set/meta/info.json").read_text())
    names["features"]["observation.state"]["names"] = [*"abc", "opening"]
    (tmp_path / "set/meta/info.json").write_text(json.dumps(names))
    dataset = LeRobotDataset(tmp_path / "set", 1, 1)
    assert action_contract(dataset).grippers == (GripperSpec(3, 1, -1),)


def test_what_follows_nothing_is_unknown(tmp_path):
    dataset = record(
        tmp_path / "random", lambda state: np.random.default_rng(9).normal(size=(60, 4)).astype(np.float32)
    )
    found = infer_conventions(dataset)
    assert (found["mode"], found["delay"], found["grippers"]) == ("unknown", None, [])
    assert action_contract(dataset).mode == "unknown" and action_contract(dataset, mode="delta").mode == "delta"


def with_rotation(seed):
    """(action, state) of 60 frames: a pose with a quaternion (wxyz) that is reached a frame later, and a gripper that 1 closes."""
    random = np.random.default_rng(seed)
    turns = np.cumsum(random.normal(size=(60, 3)) * 0.05 + [0.2, 0.1, 0], axis=0)
    pose = np.concatenate([walk(60, 3, seed), Rotation.from_rotvec(turns).as_quat(True, scalar_first=True)], axis=1)
    shut = (np.arange(60)[:, None] % 20 < 10).astype(np.float32)
    state = np.concatenate([pose, 0.08 * (1 - shut)], axis=1).astype(np.float32)
    return np.concatenate([later(pose, 1), shut], axis=1).astype(np.float32), state


@pytest.mark.parametrize("named", [True, False])
def test_rotation_and_gripper_by_the_numbers(tmp_path, named):
    parts = ["x", "y", "z", "q_a", "q_b", "q_c", "q_d"]
    names = {"action": [*parts, "gripper"], "state": [*parts, "finger_width" if named else "last"]}
    with LeRobotWriter(tmp_path / "set", 10, "arm", use_videos=False, names=names) as writer:
        for seed in range(3):
            action, state = with_rotation(seed)
            columns = {"images": {"top": np.zeros((60, 8, 8, 3), np.uint8)}, "state": state, "action": action}
            writer.add_episode(columns, "turn")
    dataset = LeRobotDataset(tmp_path / "set", 1, 1)
    found = infer_conventions(dataset)
    assert (found["mode"], found["rotation"]) == ("absolute", "quaternion_wxyz")
    (gripper,) = found["grippers"]
    assert gripper["correlation"] < -0.99 and gripper["open_value"] == (0 if named else None)
    contract = action_contract(dataset)
    assert contract.rotation == "quaternion_wxyz" and "rotation 'quaternion_wxyz' measured" in contract.notes
    assert contract.grippers == (GripperSpec(7, *((0.0, 1.0) if named else (1.0, 0.0))),)
    with pytest.raises(ValueError, match=r"rotation is 'euler_xyz' according to the caller, but dimensions \(3, 6\)"):
        action_contract(dataset, rotation="euler_xyz")
    wrong = [GripperSpec(7, open_value=1, closed_value=0)]
    if named:
        with pytest.raises(
            ValueError, match=r"'open at 1, closed at 0' according to the caller, but 0 opens as measured"
        ):
            action_contract(dataset, grippers=wrong)
    else:
        assert action_contract(dataset, grippers=wrong).grippers == tuple(wrong)


def test_idle_stretches(tmp_path):
    def pausing(state):
        action = later(state, 1)
        action[20:30], action[45:] = action[20], action[45]
        return action

    found = infer_conventions(record(tmp_path / "set", pausing))
    assert found["evidence"]["idle_stretches"][0] == {"episode": 0, "frame": 45, "frames": 15}
    assert found["idle"] == pytest.approx((9 + 14 + 0) / 59, abs=0.02)


@pytest.mark.skipif(not G1.exists(), reason="needs the recordings of a Unitree G1")
def test_a_real_humanoid_has_absolute_targets():
    dataset = LeRobotDataset(G1, window_size=1, chunk_size=4, episodes=[29, 30])
    found = infer_conventions(dataset)
    assert found["mode"] == "absolute" and found["rotation"] == "none" and found["delay"] == 8
    arm = {one["name"]: one for one in found["evidence"]["dimensions"]}["kRightElbow"]
    assert (arm["state"], arm["delay"]) == ("kRightElbow", 4) and arm["absolute"] > 0.99
    contract = action_contract(dataset)
    assert (contract.mode, contract.frame, contract.rotation) == ("absolute", "joint", "none")
    assert contract.unknown == ("units",) and "18 of 26" in contract.notes
    with pytest.raises(ValueError, match="mode is 'delta' according to the caller, but mode 'absolute' measured"):
        action_contract(dataset, mode="delta")
