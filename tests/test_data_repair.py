"""`robovlms data repair`: folders whose writer ended without finishing them, as LeRobot leaves them without finalize()."""

import shutil
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from robovlms.cli import main
from robovlms.data import DatasetError, LeRobotDataset, LeRobotWriter, inspect_dataset, repair_dataset

TABLE, DATA = "meta/episodes/chunk-000/file-000.parquet", "data/chunk-000/file-000.parquet"
LENGTHS = (5, 4, 6, 5)


def record(folder: Path, use_videos: bool, **options) -> Path:
    """Pictures show 8 x their episode + 2 x their frame."""
    with LeRobotWriter(folder, 10, "arm", use_videos=use_videos, **options) as writer:
        for number, length in enumerate(LENGTHS):
            level = np.uint8(8 * number) + 2 * np.arange(length, dtype=np.uint8)
            images = {camera: np.broadcast_to(level[:, None, None, None], (length, 64, 64, 3)) for camera in "ab"}
            action = np.random.default_rng(number).normal(size=(length, 3))
            writer.add_episode({"images": images, "action": action, "state": action}, f"task {number % 2}")
    return folder


def edit(folder: Path, file: str, change) -> Path:
    pq.write_table(change(pq.read_table(folder / file)), folder / file)
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def assert_shows(folder: Path, numbers: list[int]) -> None:
    """The episodes of `folder` are those that were recorded as `numbers`: pictures, actions and instructions."""
    dataset = LeRobotDataset(folder, 1, 1)
    assert [episode.length for episode in dataset.episodes] == [LENGTHS[number] for number in numbers]
    rows = [(number, frame) for number in numbers for frame in range(LENGTHS[number])]
    for sample, (number, frame) in zip((dataset[i] for i in range(len(dataset))), rows, strict=True):
        for camera in "ab":
            assert abs(float(sample["images"][camera].mean()) - (8 * number + 2 * frame)) < 1.5
        action = np.random.default_rng(number).normal(size=(LENGTHS[number], 3))[frame]
        np.testing.assert_allclose(sample["actions"][0, 0], action, atol=1e-6)
        assert sample["instruction"] == f"task {number % 2}"


@pytest.mark.parametrize("use_videos", [True, False])
@pytest.mark.parametrize("kept", [0, 2])
def test_episodes_that_the_table_lacks_are_rebuilt(tmp_path, capsys, use_videos, kept):
    whole = record(tmp_path / "whole", use_videos)
    folder = tmp_path / "set"
    shutil.copytree(whole, folder)
    edit(folder, TABLE, lambda table: table.slice(0, kept))
    if not kept:
        (folder / TABLE).unlink()  # LeRobot has not written it before the tenth episode
    before = contents(folder)
    with pytest.raises(DatasetError, match=r"finalize.*robovlms data repair .*set --output OTHER"):
        LeRobotDataset(folder)
    with pytest.raises(ValueError, match=r"robovlms data repair"):
        LeRobotWriter(folder, 10, "arm", use_videos=use_videos, resume=True)
    assert main(["data", "repair", str(folder), "--output", str(tmp_path / "new")]) == 0
    said = capsys.readouterr().out
    assert f"found: 4 episodes of 20 frames; the episode table had {kept}, info.json counts 4 of 20 frames" in said
    assert f"rebuilt: 4 episodes of 20 frames, {4 - kept} of which the old table lacked: {kept}-3" in said
    assert main(["data", "repair", str(folder), "--output", str(tmp_path / "new")]) == 1
    assert contents(folder) == before and "exists" in capsys.readouterr().err
    assert_shows(tmp_path / "new", [0, 1, 2, 3])
    assert [p for p in inspect_dataset(tmp_path / "new").problems if "flat colour" not in p] == []
    statistics = [pq.read_table(root / TABLE).to_pylist() for root in (tmp_path / "new", whole)]
    for new, old in zip(*statistics, strict=True):
        assert new.keys() == old.keys()
        for name in (name for name in old if name.startswith(("stats/action", "stats/observation.images"))):
            np.testing.assert_allclose(np.ravel(new[name]), np.ravel(old[name]), atol=0.01)


def test_a_data_file_without_footer_is_said_and_its_pictures_are_nobody_elses(tmp_path):
    folder = record(tmp_path / "set", True, data_mb=0.00001)  # a file per episode
    (folder / DATA.replace("000.parquet", "001.parquet")).write_bytes((folder / DATA).read_bytes()[:-20])
    repair = repair_dataset(folder, tmp_path / "listed")
    assert [one.number for one in repair.kept] == [0, 2, 3]
    for text in (r"file-001.parquet", "no footer", "lost: 1 episodes", "numbered anew: 2 episodes, 2 -> 1"):
        assert text in str(repair)
    assert_shows(tmp_path / "listed", [0, 2, 3])
    (folder / TABLE).unlink()
    repair = repair_dataset(folder, tmp_path / "unlisted")  # which pictures are those of 2 and 3 is not certain
    assert [one.number for one in repair.kept] == [0] and "2 episodes of 11 frames" in str(repair)
    assert_shows(tmp_path / "unlisted", [0])
    for file in folder.glob("data/*/*.parquet"):
        file.write_bytes(b"PAR1")
    with pytest.raises(DatasetError, match="nothing can be rebuilt"):
        repair_dataset(folder, tmp_path / "nothing")
    assert not (tmp_path / "nothing").exists()


def test_pictures_that_do_not_fit_the_rows_leave_episodes_out(tmp_path):
    folder = record(tmp_path / "set", True)
    edit(folder, TABLE, lambda table: table.slice(0, 1))
    edit(folder, DATA, lambda table: table.slice(0, 14))  # as if the last rows had not been written
    repair = repair_dataset(folder, tmp_path / "new")
    assert [one.number for one in repair.kept] == [0] and "3 episodes of 9 frames" not in str(repair)
    assert "any could be its own" in str(repair)
    assert_shows(tmp_path / "new", [0])


def test_an_episode_that_stands_twice_is_numbered_anew(tmp_path):
    import pyarrow as pa

    folder = record(tmp_path / "set", False)
    table = pq.read_table(folder / DATA)
    column = table.column_names.index("episode_index")
    numbers = np.repeat([0, 1, 1, 2], LENGTHS)  # two recorders that both wrote a second episode
    pq.write_table(table.set_column(column, "episode_index", pa.array(numbers)), folder / DATA)
    repair = repair_dataset(folder, tmp_path / "new")
    assert [(one.number, one.index) for one in repair.kept] == [(0, 0), (1, 1), (1, 2), (2, 3)]
    assert_shows(tmp_path / "new", [0, 1, 2, 3])


def test_a_copy_inside_the_folder_is_refused(tmp_path):
    folder = record(tmp_path / "set", use_videos=False)
    before = contents(folder)
    with pytest.raises(ValueError, match="lies inside"):
        repair_dataset(folder, folder / "repaired")
    assert contents(folder) == before
