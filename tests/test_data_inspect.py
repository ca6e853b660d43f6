"""`robovlms data inspect`: findings on sound and damaged datasets, the page, the dataset card."""

import argparse
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from huggingface_hub import DatasetCard

from robovlms.cli import main
from robovlms.data import LeRobotWriter, inspect_dataset
from robovlms.data.inspect import add_arguments, run

DATASETS = Path(__file__).parents[1].parent / "shared" / "datasets"
VIDEO, DATA = "videos/observation.images.static/chunk-000/file-000.mp4", "data/chunk-000/file-000.parquet"


@pytest.fixture
def folder(tmp_path) -> Path:
    random = np.random.default_rng(0)
    with LeRobotWriter(tmp_path / "set", 10, "arm", names={"action": ["x", "y", "grip<per>"]}) as writer:
        for task in ("reach", "lift", "reach"):
            images = random.integers(0, 255, (60, 64, 64, 3), dtype=np.uint8)
            action = random.normal(size=(60, 3)).astype(np.float32)
            state = random.normal(size=(60, 2)).astype(np.float32)
            writer.add_episode({"images": {"static": images}, "state": state, "action": action}, task)
    return tmp_path / "set"


def edit(folder: Path, key: str, change) -> None:
    table = pq.read_table(folder / DATA)
    values = table[key].combine_chunks()
    rows = values.flatten().to_numpy().reshape(len(table), -1).copy()
    change(rows)
    column = pa.FixedSizeListArray.from_arrays(pa.array(rows.ravel()), rows.shape[1])
    pq.write_table(table.set_column(table.column_names.index(key), key, column), folder / DATA)


def test_sound_dataset(folder, tmp_path, capsys):
    found = inspect_dataset(folder, episodes=2, frames=4)
    assert found.problems == [] and found.tasks == {"reach": 2, "lift": 1} and found.summary["frames"] == 180
    assert [(e, c, i.shape) for e, c, _, i in found.filmstrips] == [(e, "static", (4, 64, 64, 3)) for e in (0, 2)]
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    page = tmp_path / "pages" / "set.html"
    assert run(parser.parse_args([str(folder), "--output", str(page)])) == 0
    text = page.read_text()
    assert text.count("data:image/jpeg") == 3 and "grip&lt;per&gt;" in text and "<svg" in text
    assert "No problems found." in capsys.readouterr().out


def small_calvin(root: Path) -> Path:
    """A CALVIN folder of two annotations in twenty frames."""
    training = root / "calvin" / "training"
    (training / "lang_annotations").mkdir(parents=True)
    annotations = {"info": {"indx": [(0, 8), (10, 18)]}, "language": {"ann": ["one", "two"]}}
    np.save(training / "lang_annotations" / "auto_lang_ann.npy", annotations, allow_pickle=True)
    np.save(training / "ep_start_end_ids.npy", np.array([[0, 19]]))
    random = np.random.default_rng(0)
    for number in range(20):
        images = {"rgb_static": (8, 8, 3), "rgb_gripper": (6, 6, 3)}
        frame = {key: random.integers(0, 255, shape, dtype=np.uint8) for key, shape in images.items()}
        frame |= {"rel_actions": random.normal(size=7), "robot_obs": random.normal(size=15)}
        np.savez(training / f"episode_{number:07d}.npz", **frame)
    return root / "calvin"


def make_bad_values(rows):
    rows[:, 0] = 0.5  # never moves
    rows[65, 1] = 1e4
    rows[3, 2] = np.nan


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (
            lambda f: edit(f, "action", make_bad_values),
            [
                "'x' never changes",
                "the worst 10000 at episode 1, frame 5",
                "non-finite",
                "episode 0",
                "stats.json",
                "in 3 episodes",
            ],
        ),
        (lambda f: (f / VIDEO).write_bytes((f / VIDEO).read_bytes()[:3000]), ["not a readable video", VIDEO]),
        (lambda f: (f / VIDEO).unlink(), ["missing file", VIDEO]),
        (lambda f: (f / DATA).unlink(), ["missing file", DATA]),
        (lambda f: (f / "meta/info.json").unlink(), ["missing file", "meta/info.json"]),
        (
            lambda f: (f / "meta/info.json").write_text(
                (f / "meta/info.json").read_text().replace('"total_episodes": 3', '"total_episodes": 4')
            ),
            ["total_episodes = 4, the episode table has 3"],
        ),
    ],
)
def test_problems_are_found(folder, damage, words):
    damage(folder)
    problems = "\n".join(inspect_dataset(folder).problems)
    assert all(word in problems for word in words), problems


def test_missing_video_frames_are_found(folder):
    file = folder / "meta/episodes/chunk-000/file-000.parquet"
    table, key = pq.read_table(file), "videos/observation.images.static/from_timestamp"
    pq.write_table(table.set_column(table.column_names.index(key), key, pa.array([0.0, 6.05, 12.3])), file)
    problems = "\n".join(inspect_dataset(folder).problems)
    assert "60 frames have no video frame" in problems and "3 frames have no video frame" in problems
    assert "episode 2" in problems and VIDEO in problems


def test_damage_between_the_shown_frames_is_found_by_decoding_all(folder):
    data = bytearray((folder / VIDEO).read_bytes())
    data[len(data) // 2 : len(data) // 2 + 100] = bytes(100)
    (folder / VIDEO).write_bytes(data)
    problems = inspect_dataset(folder, episodes=1, frames=1, decode_all=True).problems
    assert inspect_dataset(folder, episodes=1, frames=1).problems == []
    assert (
        len(problems) == 1 and "camera 'static'" in problems[0] and "episode 1" in problems[0] and VIDEO in problems[0]
    )


def test_calvin_folders(tmp_path, capsys):
    folder = small_calvin(tmp_path)
    found = inspect_dataset(folder, episodes=1, frames=3)
    assert found.summary["annotations"] == 2 and found.tasks == {"one": 1, "two": 1} and found.problems == []
    assert [(camera, images.shape) for _, camera, _, images in found.filmstrips] == [
        ("static", (3, 8, 8, 3)),
        ("gripper", (3, 6, 6, 3)),
    ]
    with pytest.raises(ValueError, match="is a CALVIN folder: it has no list of episodes"):
        inspect_dataset(folder, episodes=[1])
    assert main(["data", "inspect", str(folder), "--output", str(tmp_path / "calvin.html")]) == 0
    assert "robot_obs" in capsys.readouterr().out
    assert (tmp_path / "calvin.html").read_text().count("data:image/jpeg") == 4
    (folder / "training" / "episode_0000012.npz").write_bytes(b"nonsense")
    assert main(["data", "inspect", str(folder), "--output", str(tmp_path / "calvin.html")]) == 1
    assert "not a readable CALVIN frame" in capsys.readouterr().out


def test_dataset_card(folder):
    card = DatasetCard.load(folder / "README.md")
    assert card.data.task_categories == ["robotics"] and "LeRobot" in card.data.tags
    assert "3 episodes, 180 frames at 10 Hz" in card.text and "- lift" in card.text
    json.dumps(card.data.to_dict())


@pytest.mark.skipif(not DATASETS.exists(), reason=f"the folders written by LeRobot are not at {DATASETS}")
def test_lerobots_own_folders_have_no_problems():
    for name in ("lerobot_v3", "lerobot_v21"):
        assert inspect_dataset(DATASETS / name, episodes=2, frames=2).problems == []
