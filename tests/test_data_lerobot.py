"""LeRobotDataset v2.1 and v3.0: what LeRobot itself wrote is read as LeRobot reads it; what we write is read back."""

import json
import pickle
import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from torch.utils.data import DataLoader

from robovlms.data import (
    DatasetError,
    EpisodeBlockSampler,
    LeRobotDataset,
    LeRobotMetadata,
    LeRobotWriter,
    VLACollator,
    compute_statistics,
    statistics,
)

DATASETS = Path(__file__).parents[1].parent / "shared" / "datasets"
needs_datasets = pytest.mark.skipif(
    not DATASETS.exists(), reason=f"the folders written by LeRobot are not at {DATASETS}"
)


def make_episode(length: int, seed: int = 0, cameras=("static", "gripper"), size: int = 64) -> dict:
    """Smooth images that tell their frame number, and tables that tell it, too."""
    random = np.random.default_rng(seed)
    grid = np.linspace(0, 120, size)
    base = (grid[:, None, None] + grid[None, :, None]).astype(np.uint8).repeat(3, axis=2)
    images = {
        camera: np.stack([base // 2 + np.uint8(100 * c + 5 * (t % 20)) for t in range(length)])
        for c, camera in enumerate(cameras)
    }
    rows = np.arange(length, dtype=np.float32)[:, None]
    return {
        "images": images,
        "state": np.hstack([rows, random.normal(size=(length, 3)).astype(np.float32)]),
        "action": np.hstack([100 + rows, random.normal(size=(length, 6)).astype(np.float32)]),
    }


def write(folder: Path, lengths=(12, 5, 20), use_videos=True, **options) -> list[dict]:
    episodes = [make_episode(length, seed) for seed, length in enumerate(lengths)]
    with LeRobotWriter(folder, 10, "test_arm", use_videos=use_videos, **options) as writer:
        for number, episode in enumerate(episodes):
            writer.add_episode(episode, f"task {number % 2}")
    return episodes


def mean_difference(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.abs(a.astype(int) - b.astype(int)).mean())


@needs_datasets
@pytest.mark.parametrize(("folder", "limit"), [("lerobot_v3", 0.5), ("lerobot_v21", 2.0)])
def test_samples_equal_what_lerobot_returns(folder, limit):
    expected = np.load(DATASETS / "expected" / "lerobot_v3_samples.npz")
    dataset = LeRobotDataset(DATASETS / folder, window_size=4, chunk_size=5)
    assert len(dataset) == 2000 and dataset.fps == 10 and dataset.embodiment == "synthetic_arm"
    for index in sorted({int(key.split(".")[0]) for key in expected}):
        sample = dataset[index]

        def stored(key, index=index):
            return expected[f"{index}.{key}"]

        for camera, images in sample["images"].items():
            assert images.dtype == np.uint8
            there = stored(f"observation.images.{camera}").transpose(0, 2, 3, 1)
            assert mean_difference(images, there) < limit  # v2.1: another lossy encode of the same scenes
            assert (sample["frame_mask"] == ~stored(f"observation.images.{camera}_is_pad")).all()
        assert (sample["state"] == stored("observation.state")).all()
        assert (sample["actions"][-1] == stored("action")).all()
        assert (sample["action_mask"][-1] == ~stored("action_is_pad")).all()
        assert sample["instruction"] == str(stored("task"))
        assert (sample["episode"], sample["frame"]) == (stored("episode_index"), stored("frame_index"))


@needs_datasets
def test_metadata_of_lerobots_folders():
    for folder, version in (("lerobot_v3", "v3.0"), ("lerobot_v21", "v2.1")):
        metadata = LeRobotMetadata(DATASETS / folder)
        assert metadata.version == version and metadata.splits == {"train": (0, 20)} and len(metadata.tasks) == 3
        assert metadata.camera_keys == {c: f"observation.images.{c}" for c in ("front", "wrist")}
        assert metadata.names("action")[-1] == "gripper" and metadata.width("observation.state") == 8
        assert metadata.image_shape("observation.images.front") == (224, 224)


@needs_datasets
@pytest.mark.parametrize("folder", ["lerobot_v3", "lerobot_v21"])
def test_stored_statistics_are_there(folder):
    dataset = LeRobotDataset(DATASETS / folder, cameras=[])
    stored = dataset.metadata.episode_statistics()
    assert list(stored) == list(range(20)) and stored[3]["action"]["count"] == [100]
    np.testing.assert_allclose(stored[3]["action"]["mean"], dataset.action[300:400].mean(0), atol=1e-6)
    assert np.shape(stored[3]["observation.images.front"]["min"]) == (3, 1, 1)
    assert ("action" in dataset.metadata.stored_statistics) == (folder == "lerobot_v3")


@needs_datasets
def test_statistics_are_exact_where_lerobots_aggregated_quantiles_are_not():
    dataset = LeRobotDataset(DATASETS / "lerobot_v3", cameras=[])
    ours, stored = statistics(dataset)["action"], json.loads((DATASETS / "lerobot_v3/meta/stats.json").read_text())
    for name in ("min", "max", "mean", "std"):
        np.testing.assert_allclose(ours[name], stored["action"][name], atol=1e-6)
    np.testing.assert_allclose(ours["q01"], np.quantile(dataset.action.astype(np.float64), 0.01, axis=0))
    assert stored["episode_index"]["q99"][0] - stored["episode_index"]["q01"][0] < 1e-6  # of 20 episodes: 0 ... 19
    with pytest.raises(ValueError, match="non-finite"):
        compute_statistics(np.array([[np.nan]]))


@pytest.mark.parametrize("use_videos", [True, False])
def test_written_dataset_is_read_back(tmp_path, use_videos):
    names = {"action": ["x", "y", "z", "roll", "pitch", "yaw", "gripper"]}
    limits = {"video_mb": 0.001, "data_mb": 0.001}  # several files
    episodes = write(tmp_path / "set", use_videos=use_videos, names=names, **limits)
    assert len(list((tmp_path / "set").glob("data/*/*.parquet"))) > 1
    dataset = LeRobotDataset(tmp_path / "set", window_size=3, chunk_size=4, cameras=["gripper", "static"])
    assert dataset.metadata.names("action") == names["action"] and list(dataset.camera_keys) == ["gripper", "static"]
    index = 0
    for number, episode in enumerate(episodes):
        for frame in range(len(episode["action"])):
            sample = dataset[index]
            assert (sample["episode"], sample["frame"]) == (number, frame)
            assert sample["instruction"] == f"task {number % 2}"
            for camera, images in sample["images"].items():
                written = episode["images"][camera][np.maximum([frame - 2, frame - 1, frame], 0)]
                assert mean_difference(images, written) < (2 if use_videos else 1e-9)
            assert sample["state"][-1, 0] == frame and sample["actions"][-1, 0, 0] == 100 + frame
            index += 1
    assert index == len(dataset)


def test_grounding_column_and_tasks_per_frame(tmp_path):
    episode = make_episode(6) | {"grounding": np.full((6, 6), np.nan), "next.done": np.arange(6) == 5}
    with LeRobotWriter(tmp_path / "set", 30) as writer:
        writer.add_episode(episode, ["reach"] * 3 + ["lift"] * 3)
    dataset = LeRobotDataset(tmp_path / "set", window_size=2, chunk_size=2)
    assert dataset[1]["grounding"].shape == (2, 6) and np.isnan(dataset[1]["grounding"]).all()
    assert [dataset[i]["instruction"] for i in (2, 3)] == ["reach", "lift"]
    assert dataset.metadata.features["next.done"]["dtype"] == "bool"


@needs_datasets
def test_written_columns_are_lerobots(tmp_path):
    random = np.random.default_rng(0)
    episode = {
        "images": {c: random.integers(0, 255, (3, 224, 224, 3), dtype=np.uint8) for c in ("front", "wrist")},
        "state": random.normal(size=(3, 8)),
        "action": random.normal(size=(3, 7)),
    }
    with LeRobotWriter(tmp_path / "set", 10, "synthetic_arm", codec="av1") as writer:
        writer.add_episode(episode, "reach")
    for file in ("meta/episodes/chunk-000/file-000.parquet", "data/chunk-000/file-000.parquet", "meta/tasks.parquet"):
        ours, theirs = pq.read_schema(tmp_path / "set" / file), pq.read_schema(DATASETS / "lerobot_v3" / file)
        assert ours.names == theirs.names
        strings = (pa.large_string(), pa.string())
        assert all(a == b or {a, b} <= {*strings} for a, b in zip(ours.types, theirs.types, strict=True))
    ours, theirs = (
        json.loads((p / "meta/info.json").read_text()) for p in (tmp_path / "set", DATASETS / "lerobot_v3")
    )
    assert ours.keys() == theirs.keys() and list(ours["features"]) == list(theirs["features"])
    for key, feature in ours["features"].items():
        assert (feature["dtype"], feature["shape"]) == (
            theirs["features"][key]["dtype"],
            theirs["features"][key]["shape"],
        )


def test_windows_chunks_and_masks(tmp_path):
    write(tmp_path / "set", lengths=(7, 3))
    dataset = LeRobotDataset(tmp_path / "set", window_size=3, chunk_size=4, history_stride=2, cameras=["static"])
    first, last = dataset[1], dataset[6]
    assert first["frame_mask"].tolist() == [False, False, True]
    assert first["state"][:, 0].tolist() == [0, 0, 1]
    assert not first["action_mask"][:2].any() and first["action_mask"][2].all()
    assert last["state"][:, 0].tolist() == [2, 4, 6]
    assert last["actions"][:, :, 0].tolist() == [[102, 103, 104, 105], [104, 105, 106, 106], [106, 106, 106, 106]]
    assert last["action_mask"].tolist() == [[True] * 4, [True] * 3 + [False], [True] + [False] * 3]
    short = dataset[9]  # an episode shorter than the window and the chunk
    assert short["state"][:, 0].tolist() == [0, 0, 2] and short["action_mask"].sum() == 1 + 3
    assert dataset[-1]["frame"] == 2
    with pytest.raises(IndexError):
        dataset[10]


def test_sampler_is_a_deterministic_permutation_in_blocks(tmp_path):
    write(tmp_path / "set", lengths=[12] * 8)
    dataset = LeRobotDataset(tmp_path / "set", cameras=[])
    sampler = EpisodeBlockSampler(dataset, seed=3, block_episodes=2, streams=2, batch_size=4)
    order = list(sampler)
    assert sorted(order) == list(range(96)) and order == list(sampler)
    sampler.set_epoch(1)
    assert list(sampler) != order and sorted(sampler) == list(range(96))
    assert list(EpisodeBlockSampler(dataset, seed=4)) != list(EpisodeBlockSampler(dataset, seed=3))
    episodes = [dataset[i]["episode"] for i in order]
    streams = [[e for batch in range(s, 12, 2) for e in episodes[4 * batch : 4 * batch + 4]] for s in (0, 1)]
    assert [len(set(stream)) for stream in streams] == [2, 2]  # the first block of each: two episodes, whole
    assert not set(streams[0]) & set(streams[1])


def test_frames_are_decoded_once_and_the_cache_keeps_its_bound(tmp_path):
    write(tmp_path / "set", lengths=(40, 40, 40, 40))
    frame_bytes = 64 * 64 * 3
    dataset = LeRobotDataset(tmp_path / "set", cache_bytes=200 * frame_bytes)
    for index in EpisodeBlockSampler(dataset, block_episodes=2):
        dataset[index]
        assert dataset.cache.bytes <= 200 * frame_bytes
    assert dataset.frames_decoded < 1.35 * 2 * len(dataset)  # without reuse: 8 frames a camera and sample
    random_access = LeRobotDataset(tmp_path / "set")
    random_access[77]
    assert random_access.frames_decoded <= 2 * (8 + 1)  # the window, from the key frame before it
    small = LeRobotDataset(tmp_path / "set", cache_bytes=frame_bytes)
    assert (small[77]["images"]["static"] == dataset[77]["images"]["static"]).all()


@pytest.mark.parametrize("use_videos", [True, False])
def test_forked_workers_after_reading_in_the_parent(tmp_path, use_videos):
    write(tmp_path / "set", lengths=(12, 9), use_videos=use_videos)
    dataset = LeRobotDataset(tmp_path / "set", window_size=2, chunk_size=2)
    alone = [dataset[i] for i in range(len(dataset))]
    dataset.cache.clear()
    loader = DataLoader(
        dataset, batch_size=None, num_workers=2, multiprocessing_context="fork", collate_fn=lambda s: s
    )
    for sample, expected in zip(loader, alone, strict=True):
        assert all((sample["images"][c] == expected["images"][c]).all() for c in expected["images"])
    assert (pickle.loads(pickle.dumps(dataset))[3]["images"]["static"] == alone[3]["images"]["static"]).all()


def test_collator_hands_the_samples_to_the_processor(tmp_path):
    write(tmp_path / "set")
    dataset = LeRobotDataset(tmp_path / "set", window_size=3, chunk_size=4)
    batch = VLACollator(dict)([dataset[0], dataset[20]])
    assert batch["images"][1]["static"].shape == (3, 64, 64, 3) and batch["instruction"] == ["task 0", "task 0"]
    assert batch["actions"].shape == (2, 3, 4, 7) and batch["action_mask"].shape == (2, 3, 4)
    assert batch["state"].shape == (2, 3, 4) and batch["frame_mask"].shape == (2, 3)
    assert batch["embodiment"] == ["test_arm", "test_arm"] and "grounding" not in batch


def test_interrupted_writer_is_noticed_and_resumed(tmp_path):
    folder = tmp_path / "set"
    with pytest.raises(KeyboardInterrupt), LeRobotWriter(folder, 10, "test_arm") as writer:
        writer.add_episode(make_episode(5), "a")
        raise KeyboardInterrupt
    with pytest.raises(DatasetError, match="interrupted"):
        LeRobotDataset(folder)
    lost = LeRobotWriter(folder, 10, "test_arm", resume=True)
    lost.add_episode(make_episode(4), "lost")  # neither flushed nor closed: the process died
    del lost
    with LeRobotWriter(folder, 10, "test_arm", resume=True) as writer:
        assert writer.num_episodes == 1
        writer.add_episode(make_episode(6, seed=1), "b")
    dataset = LeRobotDataset(folder, window_size=1, chunk_size=1)
    assert [episode.length for episode in dataset.episodes] == [5, 6] and dataset[10]["instruction"] == "b"
    assert dataset[10]["state"][0, 0] == 5 and dataset.metadata.info["total_frames"] == 11
    with pytest.raises(FileExistsError):
        LeRobotWriter(folder, 10)
    with pytest.raises(ValueError, match="fps"):
        LeRobotWriter(folder, 20, "test_arm", resume=True)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"action": np.zeros((6, 6))}, "action"),
        ({"state": np.full((6, 4), np.nan)}, "non-finite"),
        ({"action": np.zeros((5, 7))}, "same, positive number of frames"),
        ({"images": {"static": np.zeros((6, 64, 64, 3), np.float32)}}, "uint8"),
    ],
)
def test_writer_refuses_bad_episodes(tmp_path, change, message):
    writer = LeRobotWriter(tmp_path / "set", 10)
    writer.add_episode(make_episode(6), "a")
    with pytest.raises(ValueError, match=message):
        writer.add_episode(make_episode(6) | change, "a")
    assert writer.num_episodes == 1


def edit_table(folder: Path, change, file: str = "data/chunk-000/file-000.parquet") -> None:
    file = folder / file
    table = pq.read_table(file)
    pq.write_table(change(table), file)


def replace(table: pa.Table, name: str, values) -> pa.Table:
    return table.set_column(table.column_names.index(name), name, values)


def edit_info(folder: Path, **changes) -> None:
    file = folder / "meta/info.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))


def actions_with_nan(table: pa.Table) -> pa.Table:
    flat = table["action"].combine_chunks().flatten().to_numpy().copy()
    flat[7 * 14] = np.nan  # frame 2 of episode 1
    return replace(table, "action", pa.FixedSizeListArray.from_arrays(pa.array(flat), 7))


def narrow_actions(table: pa.Table) -> pa.Table:
    flat = pa.array(np.zeros(6 * len(table), np.float32))
    return replace(table, "action", pa.FixedSizeListArray.from_arrays(flat, 6))


def late_timestamps(table: pa.Table) -> pa.Table:
    return replace(table, "timestamp", pa.array(table["timestamp"].to_numpy() * np.float32(1.01)))


def no_frames(table: pa.Table) -> pa.Table:
    return replace(table, "length", pa.array([12, 0, 20]))


EPISODES_FILE = "meta/episodes/chunk-000/file-000.parquet"
DATA_FILE, VIDEO_FILE = "data/chunk-000/file-000.parquet", "videos/observation.images.static/chunk-000/file-000.mp4"


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda f: (f / DATA_FILE).unlink(), ["missing file", DATA_FILE]),
        (lambda f: (f / VIDEO_FILE).unlink(), ["missing file", VIDEO_FILE, "episode 0"]),
        (lambda f: (f / VIDEO_FILE).write_bytes(b"nonsense"), ["not a readable video", VIDEO_FILE, "episode 0"]),
        (lambda f: (f / DATA_FILE).write_bytes(b"nonsense"), ["not a readable parquet", DATA_FILE]),
        (lambda f: (f / "meta/info.json").unlink(), ["missing file", "meta/info.json"]),
        (lambda f: (f / "meta/info.json").write_text("{"), ["not readable JSON", "meta/info.json"]),
        (lambda f: (f / EPISODES_FILE).write_bytes(b"nonsense"), ["not a readable parquet", EPISODES_FILE]),
        (lambda f: (f / "meta/tasks.parquet").unlink(), ["missing file", "meta/tasks.parquet"]),
        (lambda f: edit_table(f, no_frames, EPISODES_FILE), ["empty episode", "episode 1"]),
        (lambda f: edit_info(f, codebase_version="v1.6"), ["v1.6", "v2.1, v3.0"]),
        (lambda f: edit_info(f, fps=25), ["not frame / fps at 25 fps", "episode 0"]),
        (lambda f: edit_table(f, late_timestamps), ["not frame / fps", "episode 0", DATA_FILE]),
        (lambda f: edit_table(f, actions_with_nan), ["non-finite", "'action'", "episode 1", "frame 2"]),
        (lambda f: edit_table(f, narrow_actions), ["has 6 values", "says 7", DATA_FILE]),
        (lambda f: edit_table(f, lambda table: table.slice(0, 30)), ["20 frames, the file has 13", "episode 2"]),
        (lambda f: edit_table(f, lambda table: table.drop_columns(["action"])), ["missing columns ['action']"]),
    ],
)
def test_damage_is_named(tmp_path, damage, words):
    folder = tmp_path / "set"
    write(folder)
    damage(folder)
    with pytest.raises(DatasetError) as error:
        LeRobotDataset(folder)[0]
    assert all(word in str(error.value) for word in [*words, str(folder)]), error.value


def test_truncated_and_shifted_videos_are_named(tmp_path):
    write(tmp_path / "set", lengths=(8, 8))
    write(tmp_path / "short", lengths=(8,))
    shutil.copy(tmp_path / "short" / VIDEO_FILE, tmp_path / "set" / VIDEO_FILE)  # lacks the second episode's frames
    dataset = LeRobotDataset(tmp_path / "set")
    dataset[3]
    with pytest.raises(DatasetError, match=r"no frame within .* of 0\.8000 s.*episode 1.*file-000\.mp4"):
        dataset[8]
    episodes = tmp_path / "set/meta/episodes/chunk-000/file-000.parquet"
    key = "videos/observation.images.static/from_timestamp"
    pq.write_table(replace(pq.read_table(episodes), key, pa.array([0.03, 0.8])), episodes)
    with pytest.raises(DatasetError, match="no frame within"):
        LeRobotDataset(tmp_path / "set")[0]


def test_damage_inside_a_video_is_not_shown_as_an_image(tmp_path):
    write(tmp_path / "set", lengths=(40,))
    video = tmp_path / "set" / VIDEO_FILE
    data = bytearray(video.read_bytes())
    data[len(data) // 2 : len(data) // 2 + 100] = bytes(range(100))
    video.write_bytes(data)
    dataset = LeRobotDataset(tmp_path / "set", cameras=["static"])
    with pytest.raises(DatasetError, match=r"camera 'static': .*episode 0.*file-000\.mp4"):
        for index in range(40):
            dataset[index]


def test_choices_that_do_not_exist(tmp_path):
    write(tmp_path / "set")
    with pytest.raises(DatasetError, match=r"unknown cameras \['top'\].*\['static', 'gripper'\]"):
        LeRobotDataset(tmp_path / "set", cameras=["top"])
    with pytest.raises(DatasetError, match="unknown episodes"):
        LeRobotDataset(tmp_path / "set", episodes=[7])
    with pytest.raises(DatasetError, match="unknown split"):
        LeRobotDataset(tmp_path / "set", split="test")
    with pytest.raises(ValueError, match="chunk_size"):
        LeRobotDataset(tmp_path / "set", chunk_size=0)
    assert len(LeRobotDataset(tmp_path / "set", episodes=[2, 0])) == 32
