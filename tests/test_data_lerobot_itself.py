"""Against LeRobot itself: its datasets are read as it reads them, and it reads ours.

Needs an interpreter that has LeRobot (Python 3.12, `pip install 'lerobot[dataset]'`; its versions exclude ours):

    ROBOVLMS_LEROBOT_PYTHON=/path/to/python pytest -m slow tests/test_data_lerobot_itself.py
"""

import os
import subprocess
from pathlib import Path

import numpy as np
import pytest

from robovlms.data import DatasetError, LeRobotDataset, LeRobotWriter, inspect_dataset, repair_dataset

PYTHON = os.environ.get("ROBOVLMS_LEROBOT_PYTHON")
PEER = Path(__file__).with_name("lerobot_peer.py")
THEIRS = (
    *("av1_three_cameras", "h264_long_groups", "hevc", "streamed", "images", "many_files", "many_image_files"),
    *("no_state", "merged", "deleted"),
)
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(PYTHON is None, reason="ROBOVLMS_LEROBOT_PYTHON names no interpreter with LeRobot"),
]


def peer(*arguments: str | Path) -> None:
    environment = os.environ | {"HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    command = [str(PYTHON), str(PEER), *map(str, arguments)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]


def assert_lerobot_returns_the_same(folder: Path, tmp_path: Path, limit: float = 0.51) -> None:
    """Every sample that LeRobot gave, against ours: tables and masks exactly, frames to rounding."""
    peer("read", folder, tmp_path / "theirs.npz")
    theirs = np.load(tmp_path / "theirs.npz")
    dataset = LeRobotDataset(folder, window_size=4, chunk_size=5)
    assert len(dataset) == theirs["length"]
    indices = sorted({int(key.split("|")[0]) for key in theirs if "|" in key})
    assert len(indices) > 5
    for index in indices:
        ours, there = dataset[index], {k.split("|")[1]: theirs[k] for k in theirs if k.startswith(f"{index}|")}
        assert (ours["actions"][-1] == there["action"]).all()
        assert (ours["action_mask"][-1] == ~there["action_is_pad"]).all()
        if "observation.state" in there:
            assert (ours["state"] == there["observation.state"]).all()
        assert ours["instruction"] == str(there["task"])
        assert (ours["episode"], ours["frame"]) == (there["episode_index"], there["frame_index"])
        for camera, key in dataset.camera_keys.items():
            images = 255 * there[key].transpose(0, 2, 3, 1)
            assert np.abs(images - ours["images"][camera]).mean() < limit
            assert (ours["frame_mask"] == ~there[f"{key}_is_pad"]).all()


@pytest.fixture(scope="module")
def their_folders(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("lerobot")
    peer("write", root)
    return root


@pytest.mark.parametrize("name", THEIRS)
def test_we_read_what_lerobot_wrote(their_folders, tmp_path, name):
    assert_lerobot_returns_the_same(their_folders / name, tmp_path)
    problems = inspect_dataset(their_folders / name, episodes=1, frames=2).problems
    if name == "merged":  # with itself: its second half are copies of the first
        assert len(problems) == 1 and problems[0].startswith("3 pairs of episodes are near-duplicates")
        assert problems[0].endswith("0 and 3, 1 and 4, 2 and 5")
    else:
        assert problems == []


def episode(length: int, sizes: dict[str, tuple[int, int]], seed: int) -> dict:
    random = np.random.default_rng(seed)
    images = {}
    for camera, (height, width) in sizes.items():
        rows, columns = np.mgrid[:height, :width]
        still = np.stack([rows * 200 // height, columns * 200 // width, 0 * rows + 30 * seed], -1).astype(np.uint8)
        images[camera] = np.stack([np.roll(still, 5 * t, axis=1) for t in range(length)])
    return {
        "images": images,
        "state": random.normal(size=(length, 4)),
        "action": random.normal(size=(length, 7)),
        "next.done": np.arange(length) == length - 1,
    }


@pytest.mark.parametrize(
    "options",
    [
        {"codec": "h264"},
        {"codec": "hevc"},
        {"codec": "av1", "sizes": {"static": (224, 224)}},
        {"use_videos": False},
        {"codec": "h264", "video_mb": 0.01, "data_mb": 0.001},
        {"use_videos": False, "data_mb": 0.1},
        {"sizes": {}},
    ],
    ids=str,
)
def test_lerobot_reads_what_we_wrote(tmp_path, options):
    sizes = options.pop("sizes", {"static": (96, 128), "gripper": (64, 64)})
    folder = tmp_path / "ours"
    names = {"action": [*"xyzrpw", "gripper"]}
    with LeRobotWriter(folder, 12, "test_arm", names=names, **options) as writer:
        for number, length in enumerate((14, 2, 9)):
            writer.add_episode(episode(length, sizes, number), f"task {number % 2}")
    with LeRobotWriter(folder, 12, "test_arm", names=names, resume=True, **options) as writer:
        writer.add_episode(episode(11, sizes, 3), ["first half"] * 5 + ["second half"] * 6)
    assert_lerobot_returns_the_same(folder, tmp_path)


def test_we_append_to_lerobots_dataset_and_lerobot_reads_both_parts(their_folders, tmp_path):
    folder = their_folders / "h264_long_groups"
    with LeRobotWriter(folder, 15, "peer_arm", resume=True) as writer:
        sizes = {"front": (64, 64), "wrist": (96, 64)}
        added = episode(8, sizes, 9)
        added["state"] = added["state"][:, :3]
        writer.add_episode(added | {"next.reward": np.zeros(8, np.float32)}, "added later")
    assert_lerobot_returns_the_same(folder, tmp_path)


@pytest.mark.parametrize("kind", ["videos", "images"])
def test_lerobot_reads_what_was_repaired(tmp_path, kind):
    folder = tmp_path / kind
    peer("leave", folder)
    before = {file: file.read_bytes() for file in folder.rglob("*") if file.is_file()}
    with pytest.raises(DatasetError, match=r"20 frames of episodes 20-23, which the episode table lacks.*repair"):
        LeRobotDataset(folder)
    with pytest.raises(ValueError, match=r"cannot append.*total_episodes = 24, the episode table has 20.*repair"):
        LeRobotWriter(folder, 10, "peer_arm", use_videos=kind == "videos", resume=True)
    repair = repair_dataset(folder, tmp_path / "new")
    assert before == {file: file.read_bytes() for file in folder.rglob("*") if file.is_file()}
    assert (len(repair.kept), repair.listed) == (24, 20)
    assert_lerobot_returns_the_same(tmp_path / "new", tmp_path)
    assert inspect_dataset(tmp_path / "new", episodes=1, frames=2).problems == []
