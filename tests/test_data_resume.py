"""Resuming a recording removes nothing, and what it cannot append to it leaves as it was."""

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from robovlms.data import LeRobotDataset, LeRobotWriter, action_contract
from robovlms.processing.normalization import ActionNormalizer

EPISODES = "meta/episodes/chunk-000/file-000.parquet"


def record(folder: Path, lengths=(4, 4, 4), **options) -> Path:
    with LeRobotWriter(folder, 10, "arm", use_videos=False, data_mb=0.0001, **options) as writer:
        for length in lengths:
            writer.add_episode(episode(length), "pick")
    return folder


def episode(length: int, width: int = 3) -> dict:
    images = np.zeros((length, 16, 16, 3), np.uint8)
    return {"images": {"top": images}, "action": np.random.default_rng(length).normal(size=(length, width))}


def contents(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def test_a_folder_whose_table_lacks_episodes_is_refused_and_left_as_it_is(tmp_path):
    folder = record(tmp_path / "set")
    pq.write_table(pq.read_table(folder / EPISODES).slice(0, 2), folder / EPISODES)  # as LeRobot without finalize()
    before = contents(folder)
    with pytest.raises(ValueError, match=r"total_episodes = 3, the episode table has 2.*finalize"):
        LeRobotWriter(folder, 10, "arm", use_videos=False, resume=True)
    with pytest.raises(ValueError, match="fps"):
        LeRobotWriter(record(tmp_path / "other"), 20, "arm", use_videos=False, resume=True)
    assert contents(folder) == before


def test_a_refused_first_episode_leaves_the_folder_as_it_was(tmp_path):
    folder = record(tmp_path / "set")
    before = contents(folder)
    options = {"names": {"action": None}, "use_videos": False, "resume": True}
    with pytest.raises(ValueError, match="columns differ"), LeRobotWriter(folder, 10, "arm", **options) as writer:
        writer.add_episode(episode(4, width=5), "pick")
    assert contents(folder) == before and len(LeRobotDataset(folder)) == 12


def test_other_names_are_refused(tmp_path):
    folder = record(tmp_path / "set")
    before = contents(folder)
    for options in ({"names": {"action": ["x", "y", "z"]}}, {"units": {"action": ["m"] * 3}}, {"names": {"q": ["x"]}}):
        with pytest.raises(ValueError, match=r"its (names|units) of '(action|q)' are None, not \['"):
            LeRobotWriter(folder, 10, "arm", use_videos=False, resume=True, **options)
    assert contents(folder) == before


def test_resuming_keeps_every_file(tmp_path):
    folder = record(tmp_path / "set")
    stray = folder / "data/chunk-000/file-007.parquet"
    stray.write_bytes(b"somebody's")
    before = contents(folder)
    for _ in range(2):
        with LeRobotWriter(folder, 10, "arm", names={"action": None}, use_videos=False, resume=True) as writer:
            assert writer.add_episode(episode(5), "place") == writer.num_episodes - 1
    after = contents(folder)
    assert before.keys() <= after.keys() and after["data/chunk-000/file-007.parquet"] == b"somebody's"
    dataset = LeRobotDataset(folder, window_size=1, chunk_size=1)
    assert [e.length for e in dataset.episodes] == [4, 4, 4, 5, 5] and dataset[21]["instruction"] == "place"


def test_what_a_crash_left_is_set_aside_not_removed(tmp_path):
    folder = record(tmp_path / "set")
    crashed = LeRobotWriter(folder, 10, "arm", use_videos=False, resume=True)
    crashed.add_episode(episode(6), "pick")  # neither flushed nor closed
    (left,) = [name for name in contents(folder) if name.endswith("file-003.parquet")]
    record_again = LeRobotWriter(folder, 10, "arm", use_videos=False, resume=True)
    assert left in contents(folder)  # nothing has happened yet
    record_again.add_episode(episode(7), "pick")
    record_again.close()
    assert left + ".interrupted" in contents(folder)
    assert [e.length for e in LeRobotDataset(folder).episodes] == [4, 4, 4, 7]


def test_a_joint_that_rarely_moves_comes_back(tmp_path):
    action = np.random.default_rng(0).normal(size=(400, 3)) * 20
    action[:, 1] = 0.0
    action[200:203, 1] = [15.0, 30.0, 15.0]
    with LeRobotWriter(tmp_path / "set", 10, "arm", {"action": ["pan", "flip", "grip"]}, use_videos=False) as writer:
        writer.add_episode({"images": {"top": np.zeros((400, 16, 16, 3), np.uint8)}, "action": action}, "flip")
    contract = action_contract(LeRobotDataset(tmp_path / "set", window_size=1, chunk_size=1))
    normalizer = ActionNormalizer(contract)
    back = normalizer.decode(normalizer.encode(action))
    np.testing.assert_allclose(back[:, 1], action[:, 1], atol=1e-5)
    found = contract.action.statistics
    assert found is not None and "flip: min, max (rare motion)" in found.origin
    assert found.q99[0] == pytest.approx(np.quantile(action[:, 0].astype(np.float32), 0.99))
