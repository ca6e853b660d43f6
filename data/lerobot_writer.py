"""Writes ordinary LeRobotDataset v3.0 folders, readable by LeRobot itself."""

import json
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from .dataset_card import dataset_card
from .lerobot_episodes_file import episodes_table, tasks_table
from .lerobot_features import arrow_schema, image_column, image_feature, numeric_feature
from .lerobot_metadata import WRITING_MARKER, LeRobotMetadata
from .lerobot_stats import image_stats, merge_stats, vector_stats
from .lerobot_tables import check_totals, ranges, read_tables
from .video_writer import VideoWriter

INDEX_COLUMNS = ("timestamp", "frame_index", "episode_index", "index", "task_index")
RENAMED = {"state": "observation.state"}
FILES_PER_CHUNK = 1000
DATA_PATH = "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet"
VIDEO_PATH = "videos/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}.mp4"


class LeRobotWriter:
    """Appends episodes to a LeRobotDataset v3.0; use it as a context manager, or call `close()`.

    The features are those of the first episode. From then until `close()` the folder holds `meta/writing.json`, with
    which readers refuse it; after a crash, `LeRobotWriter(folder, ..., resume=True)` goes on after the last `flush()`ed
    episode (every full file is flushed). `resume=True` also appends to a finished dataset of this or LeRobot's writer.
    It removes nothing: what a crash left unfinished is renamed to `*.interrupted`. A folder whose rows, episode table
    and info.json disagree is refused and left as it is.

    Args:
        folder: new or empty, unless `resume`.
        fps: frames per second of the episodes.
        robot_type: what LeRobot calls the embodiment.
        names: dimension names of vector features, e.g. {"state": [...], "action": [...]}.
        units: units of their dimensions, stored beside the names (an addition that LeRobot ignores).
        codec: "h264", "hevc" or "av1" (LeRobot's default); see `video_writer`.
        use_videos: False stores PNG images in the parquet files, losslessly.
        description: a sentence for the dataset card (README.md) that `close()` writes.
        data_mb, video_mb: file size in MiB after which a new file of each kind is begun.
    """

    def __init__(
        self,
        folder: str | Path,
        fps: float,
        robot_type: str | None = None,
        names: Mapping[str, Sequence[str]] | None = None,
        units: Mapping[str, Sequence[str]] | None = None,
        codec: str = "h264",
        use_videos: bool = True,
        data_mb: float = 100,
        video_mb: float = 200,
        resume: bool = False,
        description: str = "Recorded with robovlms.",
    ):
        self.folder = Path(folder)
        self.fps, self.robot_type, self.codec, self.use_videos = fps, robot_type, codec, use_videos
        self.data_mb, self.video_mb, self.description = data_mb, video_mb, description
        self._names = {key: list(value) for key, value in (names or {}).items() if value is not None}
        self._units = {key: list(value) for key, value in (units or {}).items() if value is not None}
        self.features: dict[str, dict] = {}
        self.tasks: dict[str, int] = {}
        self._rows: list[dict] = []  # the episode table
        self._columns: dict[str, list[np.ndarray]] = {}  # numeric columns, for the statistics of the whole
        self._part = 0  # number of the current data and video files
        self._part_start = 0  # its first episode
        self._episodes_file, self._kept = 0, 0  # number of the episode table's file, and its first episode
        self._interrupted: list[Path] = []  # files that a crash left unfinished
        self._has_begun = False
        self._data: pq.ParquetWriter | None = None
        self._data_bytes = 0
        self._videos: dict[str, VideoWriter] = {}
        if resume:
            self._resume()
        elif self.folder.exists() and any(self.folder.iterdir()):
            raise FileExistsError(f"{self.folder} is not empty: give another folder, or resume=True to append to it")

    @property
    def num_episodes(self) -> int:
        return len(self._rows)

    @property
    def num_frames(self) -> int:
        return sum(row["length"] for row in self._rows)

    def __enter__(self) -> "LeRobotWriter":
        return self

    def __exit__(self, error_type, error, traceback) -> None:
        if error_type is None:
            self.close()
        else:
            self.flush()  # keeps the complete episodes; the marker stays

    def add_episode(self, episode: Mapping, task: str | Sequence[str]) -> int:
        """Appends one episode and returns its index.

        `episode` holds "images" {camera: uint8 (frames, height, width, 3)}, "action" (frames, action_dim), usually
        "state" (frames, state_dim), and further numeric columns under their feature names (e.g. "grounding").
        `task` is the instruction, or one for each frame. Raises ValueError (and writes nothing) where lengths,
        shapes or types differ from the other columns or episodes, or where state or action is not finite.
        """
        images, columns = self._checked(episode)
        index, length = len(self._rows), len(columns["action"])
        tasks = [task] * length if isinstance(task, str) else [str(text) for text in task]
        if len(tasks) != length:
            raise ValueError(f"episode {index}: {len(tasks)} tasks for {length} frames")
        self._begin()
        for text in tasks:
            self.tasks.setdefault(text, len(self.tasks))
        start = self.num_frames
        columns |= {
            "timestamp": (np.arange(length) / self.fps).astype(np.float32),
            "frame_index": np.arange(length),
            "episode_index": np.full(length, index),
            "index": np.arange(start, start + length),
            "task_index": np.array([self.tasks[text] for text in tasks]),
        }
        chunk, file = divmod(self._part, FILES_PER_CHUNK)
        row = {
            "episode_index": index,
            "tasks": list(dict.fromkeys(tasks)),
            "length": length,
            "data/chunk_index": chunk,
            "data/file_index": file,
            "dataset_from_index": start,
            "dataset_to_index": start + length,
        }
        stats = {}
        for key, frames in images.items():
            if self.use_videos:
                row |= self._write_video(key, frames, chunk, file)
            stats[key] = image_stats(frames)
        self._write_rows(columns, {} if self.use_videos else images)
        for key, values in columns.items():
            self._columns.setdefault(key, []).append(values)
            stats[key] = vector_stats(values)
        row |= {f"stats/{key}/{name}": value for key, values in stats.items() for name, value in values.items()}
        self._rows.append(row)
        full = max((video.bytes for video in self._videos.values()), default=0) >= self.video_mb * 2**20
        if full or self._data_bytes >= self.data_mb * 2**20:
            self.flush()
        return index

    def flush(self) -> None:
        """Finishes the current files and the metadata, so that what was added so far survives a crash."""
        if len(self._rows) == self._part_start:
            return
        if self._data is not None:
            self._data.close()
        for video in self._videos.values():
            video.close()
        self._data, self._videos, self._data_bytes = None, {}, 0
        self._part, self._part_start = self._part + 1, len(self._rows)
        self._write_metadata()

    def close(self) -> None:
        """Finishes the dataset; ValueError where no episode was added."""
        if not self._rows:
            raise ValueError(f"no episode was added to {self.folder}: a LeRobotDataset cannot be empty")
        self.flush()
        (self.folder / WRITING_MARKER).unlink(missing_ok=True)
        readme = self.folder / "README.md"
        if not readme.exists() or "robovlms" in readme.read_text(encoding="utf-8"):  # not somebody else's card
            _write_text(readme, dataset_card(self.folder, self.description))

    def _begin(self) -> None:
        """Before the first change of the folder: marks it as being written, sets aside what a crash left."""
        if self._has_begun:
            return
        self._has_begun = True
        (self.folder / "meta").mkdir(parents=True, exist_ok=True)
        _write_text(self.folder / WRITING_MARKER, json.dumps({"fps": self.fps, "robot_type": self.robot_type}))
        for file in self._interrupted:
            file.rename(_free_name(file.with_name(file.name + ".interrupted")))

    def _checked(self, episode: Mapping) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
        """Images and numeric columns by feature key, checked against the features (set by the first episode)."""
        index = len(self._rows)
        images = {f"observation.images.{camera}": np.asarray(a) for camera, a in episode.get("images", {}).items()}
        columns = {_feature_key(key): np.asarray(a) for key, a in episode.items() if key != "images"}
        columns = {key: a.astype(np.float32) if a.dtype.kind == "f" else a for key, a in columns.items()}
        if "action" not in columns:
            raise ValueError(f"episode {index}: no 'action' column, only {sorted(columns)}")
        reserved = set(columns) & set(INDEX_COLUMNS)
        if reserved:
            raise ValueError(f"episode {index}: columns {sorted(reserved)} are the writer's own")
        lengths = {key: len(values) for key, values in (images | columns).items()}
        if len(set(lengths.values())) != 1 or not lengths["action"]:
            raise ValueError(f"episode {index}: every column needs the same, positive number of frames, got {lengths}")
        for key in ("action", "observation.state"):
            if key in columns and not np.isfinite(columns[key]).all():
                raise ValueError(f"episode {index}: non-finite values in {key!r}")
        features = {key: image_feature(a, self.fps, self.codec, self.use_videos) for key, a in images.items()}
        names = {_feature_key(key): list(value) for key, value in self._names.items()}
        units = {_feature_key(key): list(value) for key, value in self._units.items()}
        features |= {key: numeric_feature(key, a, names.get(key), units.get(key)) for key, a in columns.items()}
        if not self.features:
            index_types = {key: np.float32 if key == "timestamp" else np.int64 for key in INDEX_COLUMNS}
            index_features = {k: numeric_feature(k, np.zeros(1, t), None, None) for k, t in index_types.items()}
            self.features = features | index_features
        expected = {key: (f["dtype"], *f["shape"]) for key, f in self.features.items() if key not in INDEX_COLUMNS}
        got = {key: (feature["dtype"], *feature["shape"]) for key, feature in features.items()}
        if got != expected:
            changed = sorted(key for key in {*got, *expected} if got.get(key) != expected.get(key))
            detail = {key: {"got": got.get(key), "expected": expected.get(key)} for key in changed}
            raise ValueError(f"episode {index}: columns differ from the dataset's features: {detail}")
        return images, columns

    def _write_video(self, key: str, frames: np.ndarray, chunk: int, file: int) -> dict:
        """Appends the frames to the camera's current file; the episode row's entries about it."""
        video = self._videos.get(key)
        if video is None:
            path = self.folder / VIDEO_PATH.format(video_key=key, chunk_index=chunk, file_index=file)
            height, width = frames.shape[1:3]
            video = self._videos[key] = VideoWriter(path, self.fps, height, width, self.codec)
        begin = video.frames / self.fps
        video.write(frames)
        prefix = f"videos/{key}/"
        return {
            prefix + "chunk_index": chunk,
            prefix + "file_index": file,
            prefix + "from_timestamp": begin,
            prefix + "to_timestamp": video.frames / self.fps,
        }

    def _write_rows(self, columns: dict[str, np.ndarray], images: dict[str, np.ndarray]) -> None:
        """Appends one row group to the current data file."""
        schema = arrow_schema(self.features)
        if self._data is None:
            chunk, file = divmod(self._part, FILES_PER_CHUNK)
            path = self.folder / DATA_PATH.format(chunk_index=chunk, file_index=file)
            path.parent.mkdir(parents=True, exist_ok=True)
            self._data = pq.ParquetWriter(path, schema, compression="snappy")
        arrays = []
        for field in schema:
            if field.name in images:
                arrays.append(image_column(images[field.name]))
                continue
            values = columns[field.name]
            flat = pa.array(values.reshape(-1))
            is_list = pa.types.is_fixed_size_list(field.type)
            arrays.append(pa.FixedSizeListArray.from_arrays(flat, field.type.list_size) if is_list else flat)
        table = pa.Table.from_arrays(arrays, schema=schema)
        self._data.write_table(table)
        self._data_bytes += table.nbytes

    def _write_metadata(self) -> None:
        stats = {}
        for key in self.features:
            if key in self._columns:
                stats[key] = vector_stats(np.concatenate(self._columns[key]))
            else:
                names = [name for name in self._rows[0] if name.startswith(f"stats/{key}/")]
                stats[key] = merge_stats([{n.rsplit("/", 1)[1]: row[n] for n in names} for row in self._rows])
        info = {
            "codebase_version": "v3.0",
            "fps": int(self.fps) if float(self.fps).is_integer() else self.fps,
            "features": self.features,
            "total_episodes": len(self._rows),
            "total_frames": self.num_frames,
            "total_tasks": len(self.tasks),
            "chunks_size": FILES_PER_CHUNK,
            "data_files_size_in_mb": self.data_mb,
            "video_files_size_in_mb": self.video_mb,
            "data_path": DATA_PATH,
            "video_path": VIDEO_PATH if self.use_videos else None,
            "robot_type": self.robot_type,
            "splits": {"train": f"0:{len(self._rows)}"},
        }
        meta = self.folder / "meta"
        file = self._episodes_file
        table = episodes_table(self._rows[self._kept :], self.features, file)
        _write_table(meta / "episodes" / "chunk-000" / f"file-{file:03d}.parquet", table)
        _write_table(meta / "tasks.parquet", tasks_table(self.tasks))
        _write_text(meta / "stats.json", json.dumps(stats, indent=4))
        _write_text(meta / "info.json", json.dumps(info, indent=4))

    def _resume(self) -> None:
        """Takes over the finished files of an existing dataset; changes nothing in the folder."""
        files = [*self.folder.glob("data/*/*.parquet"), *self.folder.glob("videos/*/*/*.mp4")]
        was_interrupted = (self.folder / WRITING_MARKER).exists()
        if not (self.folder / "meta" / "info.json").exists():  # interrupted before anything was finished
            if files and not was_interrupted:
                raise ValueError(f"cannot append to {self.folder}: it has files of data, but no meta/info.json")
            self._interrupted = files
            return
        metadata = LeRobotMetadata(self.folder, unfinished=True)
        if problem := check_totals(metadata):
            raise ValueError(f"cannot append to {self.folder}: {problem}")
        if list(metadata.episodes) != list(range(len(metadata.episodes))):
            there = ranges(metadata.episodes)
            raise ValueError(f"cannot append to {self.folder}: its episodes are {there}, not 0 and so on without gaps")
        has_videos = any(feature["dtype"] == "video" for feature in metadata.features.values())
        has_images = any(feature["dtype"] == "image" for feature in metadata.features.values())
        checks = {
            "codebase_version": (metadata.version, "v3.0"),
            "fps": (metadata.fps, float(self.fps)),
            "robot_type": (metadata.robot_type, self.robot_type),
            "use_videos": (has_videos or not has_images, self.use_videos or not (has_videos or has_images)),
        }
        for name, (there, here) in checks.items():
            if there != here:
                raise ValueError(f"cannot append to {self.folder}: its {name} is {there!r}, not {here!r}")
        for what, given, found in (("names", self._names, metadata.names), ("units", self._units, metadata.units)):
            for key, here in given.items():
                there = found(RENAMED.get(key, key)) if RENAMED.get(key, key) in metadata.features else None
                if here != there:
                    raise ValueError(f"cannot append to {self.folder}: its {what} of {key!r} are {there}, not {here}")
        self.features = metadata.features
        self.tasks = {text: index for index, text in metadata.tasks.items()}
        tables_there = sorted((self.folder / "meta" / "episodes").glob("*/*.parquet"))
        self._rows = [row for file in tables_there for row in pq.ParquetFile(file).read().to_pylist()]
        self._rows.sort(key=lambda row: row["episode_index"])
        self._kept, self._episodes_file = len(self._rows), 1 + max(map(_number, tables_there))
        episodes = [metadata.episodes[row["episode_index"]] for row in self._rows]
        keys = [key for key, feature in self.features.items() if feature["dtype"] not in ("video", "image")]
        tables = read_tables(metadata, episodes, keys, whole=True)
        self._columns = {key: [tables.columns[key].reshape(len(tables.columns[key]), -1)] for key in keys}
        for key in keys:
            if self.features[key]["shape"] in ([1], (1,)):
                self._columns[key] = [self._columns[key][0][:, 0]]
        used = {episode.data_file for episode in episodes}
        used |= {span.file for episode in episodes for span in episode.videos.values()}
        if was_interrupted:
            self._interrupted = [f for f in files if f.relative_to(self.folder).as_posix() not in used]
        self._part, self._part_start = 1 + max(map(_number, files), default=-1), len(self._rows)


def _number(file: Path) -> int:
    """The number of a chunk-000/file-000 file among all of its kind; 0 for files called otherwise."""
    found = re.fullmatch(r"chunk-(\d+)/file-(\d+)\.\w+", f"{file.parent.name}/{file.name}")
    return int(found[1]) * FILES_PER_CHUNK + int(found[2]) if found else 0


def _free_name(path: Path) -> Path:
    """The path, with a number where something of that name exists."""
    names = (path, *(path.with_name(f"{path.name}{number}") for number in range(2, 1000)))
    return next(name for name in names if not name.exists())


def _feature_key(name: str) -> str:
    return RENAMED.get(name, name)


def _write_text(path: Path, text: str) -> None:
    temporary = path.with_name(path.name + ".tmp")
    temporary.write_text(text, encoding="utf-8")
    os.replace(temporary, path)


def _write_table(path: Path, table: pa.Table) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(path.name + ".tmp")
    pq.write_table(table, temporary, compression="snappy")
    os.replace(temporary, path)
