"""Run by an interpreter that has LeRobot: writes datasets with LeRobot, or says what LeRobot returns of one.

python lerobot_peer.py write FOLDER            a dataset per variant below FOLDER
python lerobot_peer.py leave FOLDER            a dataset of 24 episodes, without finalize()
python lerobot_peer.py read FOLDER FILE.npz    a few window samples (history 4, chunk 5) of the dataset FOLDER
"""

import sys
from pathlib import Path

import numpy as np
from lerobot.configs.video import RGBEncoderConfig
from lerobot.datasets.dataset_tools import delete_episodes, merge_datasets
from lerobot.datasets.lerobot_dataset import LeRobotDataset, LeRobotDatasetMetadata

HISTORY, CHUNK, SAMPLES = 4, 5, 12
VARIANTS = {
    "av1_three_cameras": {"fps": 30, "sizes": {"front": (96, 128), "wrist": (64, 64), "side.left": (120, 160)}},
    "h264_long_groups": {"fps": 15, "encoder": {"vcodec": "h264", "g": 40, "crf": 18}, "lengths": (50, 3, 31)},
    "hevc": {"fps": 5, "encoder": {"vcodec": "hevc", "g": 10, "crf": 18}},
    "streamed": {"fps": 10, "streaming_encoding": True},
    "images": {"fps": 25, "use_videos": False, "lengths": (2, 17, 9)},
    "many_files": {
        "fps": 10,
        "sizes": {"front": (128, 128)},
        "lengths": (40,) * 6,
        "noise": True,
        "encoder": {"vcodec": "h264", "g": 2, "crf": 6},
        "files": {"chunks_size": 2, "data_files_size_in_mb": 1, "video_files_size_in_mb": 1},
    },
    "many_image_files": {
        "fps": 10,
        "use_videos": False,
        "sizes": {"front": (96, 96)},
        "lengths": (40,) * 4,
        "noise": True,
        "files": {"chunks_size": 2, "data_files_size_in_mb": 1},
    },
    "no_state": {"fps": 50, "state": False},
}


def scene(length: int, size: tuple[int, int], seed: int, noise: bool) -> np.ndarray:
    """A gradient with a square that moves, so that every frame is another one."""
    height, width = size
    rows, columns = np.mgrid[:height, :width]
    frames = np.empty((length, height, width, 3), np.uint8)
    random = np.random.default_rng(seed)
    for t in range(length):
        frames[t] = np.stack([rows * 200 // height, columns * 200 // width, np.full_like(rows, 20 * seed % 255)], -1)
        left = (4 * t + 11 * seed) % (width - 16)
        frames[t, 8:24, left : left + 16] = (255, 255 - 10 * (t % 20), 30)
        if noise:
            frames[t] = frames[t] // 2 + random.integers(0, 128, frames[t].shape, dtype=np.uint8)
    return frames


def write(
    root: Path,
    fps,
    sizes=None,
    encoder=None,
    lengths=(23, 12, 17),
    state=True,
    noise=False,
    files=None,
    finalize=True,
    **rest,
):
    sizes = sizes or {"front": (64, 64), "wrist": (96, 64)}
    kind = "image" if rest.get("use_videos") is False else "video"
    features = {
        f"observation.images.{name}": {"dtype": kind, "shape": (*size, 3), "names": ["height", "width", "channels"]}
        for name, size in sizes.items()
    }
    features["action"] = {"dtype": "float32", "shape": (7,), "names": [*"xyzrpw", "gripper"]}
    if state:
        features["observation.state"] = {"dtype": "float32", "shape": (3,), "names": {"motors": ["a", "b", "c"]}}
    features["next.reward"] = {"dtype": "float32", "shape": (1,), "names": None}
    features["next.done"] = {"dtype": "bool", "shape": (1,), "names": None}
    if encoder is not None:
        rest["rgb_encoder"] = RGBEncoderConfig(**encoder)
    dataset = LeRobotDataset.create(f"peer/{root.name}", fps, features, root=root, robot_type="peer_arm", **rest)
    if files:
        dataset.meta.update_chunk_settings(**files)
    random = np.random.default_rng(0)
    for number, length in enumerate(lengths):
        images = {name: scene(length, size, 3 * number + k, noise) for k, (name, size) in enumerate(sizes.items())}
        for t in range(length):
            frame = {f"observation.images.{name}": frames[t] for name, frames in images.items()}
            frame["action"] = random.normal(size=7).astype(np.float32)
            if state:
                frame["observation.state"] = random.normal(size=3).astype(np.float32)
            frame["next.reward"] = np.array([t / length], np.float32)
            frame["next.done"] = np.array([t + 1 == length])
            dataset.add_frame(frame | {"task": ["reach", "lift it", "réach"][number % 3]})
        dataset.save_episode()
    if finalize:
        dataset.finalize()
    return dataset


def write_all(root: Path) -> None:
    for name, options in VARIANTS.items():
        write(root / name, **options)
    parts = [LeRobotDataset(f"peer/{name}", root=root / name) for name in ("streamed", "streamed")]
    merge_datasets(parts, "peer/merged", output_dir=root / "merged")
    whole = LeRobotDataset("peer/h264_long_groups", root=root / "h264_long_groups")
    delete_episodes(whole, [0], output_dir=root / "deleted", repo_id="peer/deleted")


def read(folder: Path, file: Path) -> None:
    metadata = LeRobotDatasetMetadata(f"peer/{folder.name}", root=folder)
    history = [-step / metadata.fps for step in range(HISTORY - 1, -1, -1)]
    keys = [*metadata.camera_keys, *(key for key in ("observation.state",) if key in metadata.features)]
    deltas = {key: history for key in keys} | {"action": [step / metadata.fps for step in range(CHUNK)]}
    dataset = LeRobotDataset(f"peer/{folder.name}", root=folder, delta_timestamps=deltas, video_backend="pyav")
    values: dict[str, np.ndarray] = {"length": np.array(len(dataset))}
    for index in np.unique(np.linspace(0, len(dataset) - 1, SAMPLES).astype(int)).tolist():
        for key, value in dataset[index].items():
            values[f"{index}|{key}"] = np.asarray(value)
    np.savez_compressed(file, **values)


if __name__ == "__main__":
    if sys.argv[1] == "write":
        write_all(Path(sys.argv[2]))
    elif sys.argv[1] == "leave":  # an object that lives until the interpreter ends is not finalized by its __del__
        kept = write(Path(sys.argv[2]), 10, lengths=(5,) * 24, finalize=False, use_videos="videos" in sys.argv[2])
    else:
        read(Path(sys.argv[2]), Path(sys.argv[3]))
