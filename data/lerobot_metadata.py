"""The `meta/` folder of a LeRobotDataset as one object (v3.0 and v2.1; v2.0 differs in statistics only)."""

import json
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from .dimension_names import flat_names
from .errors import DatasetError
from .formats import find_format
from .images_in_parquet import first_picture
from .lerobot_columns import find_cameras
from .lfs_pointer import lfs_problem
from .pictures import Picture, is_declared_depth, is_picture, picture_size
from .source import DatasetSource
from .video import VideoError, first_frame

SUPPORTED_VERSIONS = ("v2.0", "v2.1", "v3.0")
WRITING_MARKER = "meta/writing.json"
NUMERIC_TYPES = {
    *(
        "float16",
        "float32",
        "float64",
        "int8",
        "int16",
        "int32",
        "int64",
        "uint8",
        "uint16",
        "uint32",
        "uint64",
        "bool",
    )
}


@dataclass(frozen=True)
class VideoSpan:
    """Where one episode lies in one camera's video file: seconds from `start`."""

    file: str
    start: float


@dataclass(frozen=True)
class Episode:
    """One row of the episode table. `videos` maps a video feature's key to its span."""

    index: int
    length: int
    data_file: str
    tasks: tuple[str, ...] = ()
    videos: dict[str, VideoSpan] = field(default_factory=dict)


class LeRobotMetadata:
    """fps, features, tasks, splits, robot type and episodes of a LeRobotDataset.

    Attributes: version ("v2.0", "v2.1" or "v3.0"), fps (float, Hz), features {key: {"dtype", "shape", "names"}},
    robot_type (str or None), splits {name: (first episode, last episode + 1)}, tasks {task_index: text},
    episodes {episode_index: Episode}, info (the whole info.json). `unfinished` opens a dataset that is being written, too.
    """

    def __init__(
        self, name_or_path: str | Path | DatasetSource, revision: str | None = None, unfinished: bool = False
    ):
        is_source = isinstance(name_or_path, DatasetSource)
        source = name_or_path if is_source else DatasetSource(name_or_path, revision)
        self.source = source
        if (source.root / WRITING_MARKER).exists() and not unfinished:
            raise DatasetError(
                "the writer of this dataset was interrupted; continue with LeRobotWriter(folder, ..., resume=True) "
                "and close it: complete episodes are kept",
                source,
                file=WRITING_MARKER,
            )
        self.info = read_info(source)
        storage = self.info.get("storage_format", "parquet")
        if storage != "parquet":
            raise DatasetError(
                f"storage_format {storage!r} is not supported, only parquet; LeRobot converts it",
                source,
                file="meta/info.json",
            )
        self.version = self.info.get("codebase_version")
        if self.version not in SUPPORTED_VERSIONS:
            raise DatasetError(
                f"codebase_version {self.version!r} is not supported, only {', '.join(SUPPORTED_VERSIONS)}; "
                "LeRobot's own scripts convert older datasets",
                source,
                file="meta/info.json",
            )
        self.fps = float(self.info["fps"])
        if not self.fps > 0:
            raise DatasetError(f"fps must be positive, got {self.info['fps']!r}", source, file="meta/info.json")
        self.features: dict[str, dict] = self.info["features"]
        self.robot_type: str | None = self.info.get("robot_type")
        read = self._read_v3 if self.version == "v3.0" else self._read_v21
        self.tasks: dict[int, str]
        self.episodes: dict[int, Episode]
        self.tasks, self.episodes = read()
        size = max(self.episodes, default=-1) + 1
        splits = {name: _split_range(text, size) for name, text in (self.info.get("splits") or {}).items()}
        self.splits = {name: span for name, span in splits.items() if span is not None}
        self._pictures: dict[str, Picture] = {}

    @property
    def camera_features(self) -> list[str]:
        """The keys of all features that hold pictures, depth among them."""
        return [key for key, feature in self.features.items() if is_picture(feature)]

    @property
    def camera_keys(self) -> dict[str, str]:
        """{camera name: feature key} of the colour images, e.g. {"front": "observation.images.front"}."""
        return find_cameras(self, depth=False)

    def is_depth(self, key: str) -> bool:
        """Return whether a feature of pictures holds depth: flagged so in info.json, or of more than 8 bits in its
        files."""
        return self.picture(key).is_depth

    def is_numeric(self, key: str) -> bool:
        """Return whether a feature is a vector of numbers."""
        return self.features[key]["dtype"] in NUMERIC_TYPES

    def names(self, key: str) -> list[str] | None:
        """Return the names of a vector feature's dimensions, or None where the dataset has none."""
        return flat_names(self.features[key].get("names"), self.width(key))

    def units(self, key: str) -> list[str] | None:
        """Return the units of a vector feature's dimensions where the dataset declares them (`"units"` in
        info.json)."""
        return self.features[key].get("units")

    def width(self, key: str) -> int:
        """Number of values of one row of a numeric feature."""
        return math.prod(self.features[key]["shape"])

    def image_shape(self, key: str) -> tuple[int, int]:
        """(height, width) of an image feature."""
        picture = self.picture(key)
        return picture.height, picture.width

    def picture(self, key: str) -> Picture:
        """Size and kind of a feature's pictures, as the first of its files that is here has them, else as info.json
        declares them. Raises DatasetError where neither says it."""
        if key not in self._pictures:
            self._pictures[key] = self._first_picture(key) or self._declared_picture(key)
        return self._pictures[key]

    def _first_picture(self, key: str) -> Picture | None:
        feature, root = self.features[key], self.source.root
        is_video = feature["dtype"] == "video"
        for episode in self.episodes.values():
            span = episode.videos.get(key)
            file = root / (span.file if span else episode.data_file)
            if (is_video and span is None) or not file.exists():
                continue
            try:
                if is_video:
                    picture = first_frame(file)
                    return Picture(picture.height, picture.width, picture.is_depth or is_declared_depth(feature))
                return first_picture(
                    file, key, feature, [root, root / "images" / key / f"episode_{episode.index:06d}"]
                )
            except (
                VideoError,
                ValueError,
                KeyError,
                OSError,
                StopIteration,
            ):  # whoever reads the file says what it is
                return None
        return None

    def _declared_picture(self, key: str) -> Picture:
        feature = self.features[key]
        try:
            height, width = picture_size(feature.get("shape") or ())
        except ValueError as error:
            raise DatasetError(f"feature {key!r}: {error}", self.source, file="meta/info.json") from error
        return Picture(height, width, is_declared_depth(feature))

    @property
    def stored_statistics(self) -> dict[str, dict[str, list]]:
        """{feature: {"min": [...], ...}} of meta/stats.json as its writer left it; empty where there is no such file.

        Its quantiles are averages of those of the episodes (see `statistics` for exact ones).
        """
        file = self.source.root / "meta/stats.json"
        return json.loads(self.source.text("meta/stats.json")) if file.exists() else {}

    def episode_statistics(self) -> dict[int, dict[str, dict[str, list]]]:
        """{episode_index: {feature: {"min": [...], "max", "mean", "std", "count", often "q01" ... "q99"}}} as stored;
        empty where the dataset has none (v2.0)."""
        if self.version != "v3.0":
            if not (self.source.root / "meta/episodes_stats.jsonl").exists():
                return {}
            return {row["episode_index"]: row["stats"] for row in self._json_lines("meta/episodes_stats.jsonl")}
        result: dict[int, dict[str, dict[str, list]]] = {}
        for file in self._episode_files():
            table = _open_parquet(self.source, file).read()
            columns = {name: table.column(name) for name in table.column_names if name.startswith("stats/")}
            for row, index in enumerate(table.column("episode_index").to_pylist()):
                stats = result.setdefault(index, {})
                for name, column in columns.items():
                    _, key, statistic = name.split("/")
                    stats.setdefault(key, {})[statistic] = column[row].as_py()
        return result

    def _episode_files(self) -> list[Path]:
        files = sorted((self.source.root / "meta" / "episodes").glob("*/*.parquet"))
        if not files:
            problem = f"missing file; {repair_hint(self.source)}"
            raise DatasetError(problem, self.source, file="meta/episodes/chunk-000/file-000.parquet")
        return files

    def _file(self, template: str, **where: object) -> str:
        return self.info[template].format(**where)

    def _read_v3(self) -> tuple[dict[int, str], dict[int, Episode]]:
        tasks = read_tasks(self.source)
        episodes: dict[int, Episode] = {}
        for path in self._episode_files():
            file, parquet = path.relative_to(self.source.root).as_posix(), _open_parquet(self.source, path)
            columns = [name for name in parquet.schema_arrow.names if not name.startswith("stats/")]
            for row in parquet.read(columns=columns).to_pylist():
                index = self._whole(row, "episode_index", file)
                chunk, number = (self._whole(row, f"data/{name}_index", file) for name in ("chunk", "file"))
                data_file = self._file("data_path", chunk_index=chunk, file_index=number)
                self._add(episodes, row, index, data_file, self._videos_v3(row, file), file)
        return tasks, dict(sorted(episodes.items()))

    def _videos_v3(self, row: dict, file: str) -> dict[str, VideoSpan]:
        """The spans of an episode's videos; cameras that it lacks (empty cells, no columns) are left out."""
        videos = {}
        for key in (key for key, feature in self.features.items() if feature["dtype"] == "video"):
            cells = [row.get(f"videos/{key}/{name}") for name in ("from_timestamp", "chunk_index", "file_index")]
            filled = [float(cell) for cell in cells if cell is not None and not math.isnan(cell)]
            if len(filled) < len(cells):
                continue
            chunk, number = (self._whole(row, f"videos/{key}/{name}_index", file) for name in ("chunk", "file"))
            path = self._file("video_path", video_key=key, chunk_index=chunk, file_index=number)
            videos[key] = VideoSpan(path, filled[0])
        return videos

    def _read_v21(self) -> tuple[dict[int, str], dict[int, Episode]]:
        tasks = {
            self._whole(row, "task_index", "meta/tasks.jsonl"): row["task"]
            for row in self._json_lines("meta/tasks.jsonl")
        }
        video_keys = [key for key, feature in self.features.items() if feature["dtype"] == "video"]
        chunks_size, file = int(self.info.get("chunks_size") or 1000), "meta/episodes.jsonl"
        episodes: dict[int, Episode] = {}
        for row in self._json_lines(file):
            index = self._whole(row, "episode_index", file)
            where = {"episode_chunk": index // chunks_size, "episode_index": index}
            videos = {key: VideoSpan(self._file("video_path", video_key=key, **where), 0.0) for key in video_keys}
            self._add(episodes, row, index, self._file("data_path", **where), videos, file)
        return tasks, dict(sorted(episodes.items()))

    def _add(
        self, episodes: dict[int, Episode], row: dict, index: int, data_file: str, videos: dict, file: str
    ) -> None:
        length, tasks = self._whole(row, "length", file), row.get("tasks") or ()
        if index in episodes:
            raise DatasetError(f"the episode table has episode {index} twice", self.source, index, file)
        episodes[index] = Episode(
            index, length, data_file, (tasks,) if isinstance(tasks, str) else tuple(tasks), videos
        )

    def _whole(self, row: dict, name: str, file: str) -> int:
        """A whole number of a table, also where an editor has made it a real one."""
        value = row.get(name)
        if not isinstance(value, (int, float)) or value != value or int(value) != value:
            raise DatasetError(
                f"{name!r} must be a whole number, got {value!r}", self.source, row.get("episode_index"), file
            )
        return int(value)

    def _json_lines(self, file: str) -> list[dict]:
        rows = []
        for number, line in enumerate(self.source.text(file).split("\n"), 1):
            try:
                rows += [json.loads(line)] if line.strip() else []
            except json.JSONDecodeError as error:
                raise DatasetError(f"line {number} is not readable JSON: {error}", self.source, file=file) from error
        return rows


def read_info(source: DatasetSource) -> dict[str, Any]:
    """Return meta/info.json, which has fps and features; DatasetError where it is not such a file, or not there: then with
    the format that the folder has."""
    file = "meta/info.json"
    if source.is_local and (kind := find_format(source.root)) != "lerobot" and not (source.root / file).exists():
        reader = {
            "rlds": "an RLDS folder, which RLDSDataset reads",
            "calvin": "a CALVIN folder, which CalvinDataset reads",
        }
        raise DatasetError(f"missing file: this is no LeRobotDataset but {reader[kind]}", source, file=file)
    try:
        info = json.loads(source.text(file))
    except json.JSONDecodeError as error:
        raise DatasetError(f"not readable JSON: {error}", source, file=file) from error
    missing = [key for key in ("fps", "features") if key not in info]
    if missing:
        raise DatasetError(f"lacks {missing}", source, file=file)
    if not isinstance(info["fps"], (int, float)):
        raise DatasetError(f"fps must be a number, got {info['fps']!r}", source, file=file)
    for key, feature in info["features"].items():
        shape = (feature.get("shape") or []) if isinstance(feature, dict) and "dtype" in feature else None
        if not isinstance(shape, (list, tuple)) or not all(isinstance(size, int) for size in shape):
            problem = f"feature {key!r} needs a dtype and a shape, a list of whole numbers, got {feature!r}"
            raise DatasetError(problem, source, file=file)
    return info


def read_tasks(source: DatasetSource) -> dict[int, str]:
    """Return {task_index: text} of meta/tasks.parquet (v3.0)."""
    table = _open_parquet(source, source.file("meta/tasks.parquet")).read().to_pydict()
    return dict(zip(map(int, table["task_index"]), table.get("task") or table["__index_level_0__"], strict=True))


def _open_parquet(source: DatasetSource, path: Path) -> pq.ParquetFile:
    file = path.relative_to(source.root)
    if problem := lfs_problem(path):
        raise DatasetError(f"the file {problem}", source, file=file)
    try:
        return pq.ParquetFile(path)
    except (pa.ArrowInvalid, OSError) as error:
        hint = f": {repair_hint(source)}" if file.parts[:2] == ("meta", "episodes") else ""
        raise DatasetError(f"not a readable parquet file: {error}{hint}", source, file=file) from error


def repair_hint(source: DatasetSource) -> str:
    """Return how an episode table that lacks episodes, or is none, is made anew."""
    return (
        f"did its writer end without finalize()? `robovlms data repair {source} --output OTHER` rebuilds the episode "
        "table from the rows"
    )


def _split_range(text: object, episodes: int) -> tuple[int, int] | None:
    """(first, last + 1) of a split such as "0:40", "40:" or ":"; None for anything else."""
    first, colon, last = text.partition(":") if isinstance(text, str) else ("", "", "")
    try:
        return (int(first or 0), int(last or episodes)) if colon else None
    except ValueError:
        return None
