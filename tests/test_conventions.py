"""What actions mean, measured: on a real humanoid's recordings, and on recordings made to mean something."""

from pathlib import Path

import numpy as np
import pytest

from robovlms.data import LeRobotDataset, LeRobotWriter, action_contract, infer_conventions

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


def test_what_follows_nothing_is_unknown(tmp_path):
    dataset = record(
        tmp_path / "random", lambda state: np.random.default_rng(9).normal(size=(60, 4)).astype(np.float32)
    )
    found = infer_conventions(dataset)
    assert (found["mode"], found["delay"], found["grippers"]) == ("unknown", None, [])
    assert action_contract(dataset).mode == "unknown" and action_contract(dataset, mode="delta").mode == "delta"


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
