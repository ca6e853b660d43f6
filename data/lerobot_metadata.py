"""The `meta/` folder of a LeRobotDataset as one object (v3.0 and v2.1; v2.0 differs in statistics only)."""

import json
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from .errors import DatasetError
from .source import DatasetSource

SUPPORTED_VERSIONS = ("v2.0", "v2.1", "v3.0")
WRITING_MARKER = "meta/writing.json"


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
    episodes {episode_index: Episode}, info (the whole info.json).
    """

    def __init__(self, folder_or_id: str | Path | DatasetSource, revision: str | None = None):
        is_source = isinstance(folder_or_id, DatasetSource)
        source = folder_or_id if is_source else DatasetSource(folder_or_id, revision)
        self.source = source
        if (source.root / WRITING_MARKER).exists():
            raise DatasetError(
                "the writer of this dataset was interrupted; continue with LeRobotWriter(folder, ..., resume=True) "
                "and close it: complete episodes are kept",
                source,
                file=WRITING_MARKER,
            )
        self.info = self._read_info()
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
        self.splits = {name: _split_range(text) for name, text in self.info.get("splits", {}).items()}
        read = self._read_v3 if self.version == "v3.0" else self._read_v21
        self.tasks: dict[int, str]
        self.episodes: dict[int, Episode]
        self.tasks, self.episodes = read()

    @property
    def camera_keys(self) -> dict[str, str]:
        """{camera name: feature key} of the colour images, e.g. {"front": "observation.images.front"}."""
        keys = [
            key
            for key, feature in self.features.items()
            if feature["dtype"] in ("video", "image") and not _is_depth(feature)
        ]
        short = [key.rsplit(".", 1)[-1] for key in keys]
        return {name if short.count(name) == 1 else key: key for name, key in zip(short, keys, strict=True)}

    def names(self, key: str) -> list[str] | None:
        """The names of a vector feature's dimensions, or None where the dataset has none."""
        names = self.features[key].get("names")
        if isinstance(names, dict):  # {"motors": [...]} or {"x": 0, "y": 1}
            first = next(iter(names.values()), None)
            names = first if isinstance(first, list) else list(names)
        if names is None or len(names) != self.width(key):  # some datasets name the vector instead
            return None
        return [str(name) for name in names]

    def units(self, key: str) -> list[str] | None:
        """The units of a vector feature's dimensions where the dataset declares them (`"units"` in info.json)."""
        return self.features[key].get("units")

    def width(self, key: str) -> int:
        """Number of values of one row of a numeric feature."""
        size = 1
        for length in self.features[key]["shape"]:
            size *= length
        return size

    def image_shape(self, key: str) -> tuple[int, int]:
        """(height, width) that info.json declares for an image feature."""
        shape = tuple(self.features[key]["shape"])  # some datasets put the channels first
        return shape[:2] if shape[-1] in (1, 3) else shape[1:3]

    @property
    def stored_statistics(self) -> dict[str, dict[str, list]]:
        """{feature: {"min": [...], ...}} of meta/stats.json as its writer left it; empty where there is no such file.

        Its quantiles are averages of those of the episodes (see `statistics` for exact ones).
        """
        file = self.source.root / "meta/stats.json"
        return json.loads(file.read_text()) if file.exists() else {}

    def episode_statistics(self) -> dict[int, dict[str, dict[str, list]]]:
        """{episode_index: {feature: {"min": [...], "max", "mean", "std", "count", often "q01" ... "q99"}}} as stored;
        empty where the dataset has none (v2.0)."""
        if self.version != "v3.0":
            if not (self.source.root / "meta/episodes_stats.jsonl").exists():
                return {}
            return {row["episode_index"]: row["stats"] for row in self._json_lines("meta/episodes_stats.jsonl")}
        result: dict[int, dict[str, dict[str, list]]] = {}
        for file in self._episode_files():
            table = self._parquet(file).read()
            columns = {name: table.column(name) for name in table.column_names if name.startswith("stats/")}
            for row, index in enumerate(table.column("episode_index").to_pylist()):
                stats = result.setdefault(index, {})
                for name, column in columns.items():
                    _, key, statistic = name.split("/")
                    stats.setdefault(key, {})[statistic] = column[row].as_py()
        return result

    def _read_info(self) -> dict:
        file = "meta/info.json"
        try:
            info = json.loads(self.source.file(file).read_text())
        except json.JSONDecodeError as error:
            raise DatasetError(f"not readable JSON: {error}", self.source, file=file) from error
        missing = [key for key in ("fps", "features") if key not in info]
        if missing:
            raise DatasetError(f"lacks {missing}", self.source, file=file)
        return info

    def _episode_files(self) -> list[Path]:
        files = sorted((self.source.root / "meta" / "episodes").glob("*/*.parquet"))
        if not files:
            raise DatasetError("missing file", self.source, file="meta/episodes/chunk-000/file-000.parquet")
        return files

    def _parquet(self, path: Path) -> pq.ParquetFile:
        try:
            return pq.ParquetFile(path)
        except (pa.ArrowInvalid, OSError) as error:
            file = path.relative_to(self.source.root)
            raise DatasetError(f"not a readable parquet file: {error}", self.source, file=file) from error

    def _file(self, template: str, **where: object) -> str:
        return self.info[template].format(**where)

    def _read_v3(self) -> tuple[dict[int, str], dict[int, Episode]]:
        tasks_table = self._parquet(self.source.file("meta/tasks.parquet")).read().to_pydict()
        texts = tasks_table.get("task") or tasks_table["__index_level_0__"]
        tasks = dict(zip(tasks_table["task_index"], texts, strict=True))
        video_keys = [key for key, feature in self.features.items() if feature["dtype"] == "video"]
        episodes: dict[int, Episode] = {}
        for file in self._episode_files():
            parquet = self._parquet(file)
            columns = [name for name in parquet.schema_arrow.names if not name.startswith("stats/")]
            for row in parquet.read(columns=columns).to_pylist():
                videos = {
                    key: VideoSpan(
                        self._file(
                            "video_path",
                            video_key=key,
                            chunk_index=row[f"videos/{key}/chunk_index"],
                            file_index=row[f"videos/{key}/file_index"],
                        ),
                        row[f"videos/{key}/from_timestamp"],
                    )
                    for key in video_keys
                }
                data_file = self._file(
                    "data_path", chunk_index=row["data/chunk_index"], file_index=row["data/file_index"]
                )
                index = row["episode_index"]
                episodes[index] = Episode(index, row["length"], data_file, tuple(row.get("tasks") or ()), videos)
        return tasks, dict(sorted(episodes.items()))

    def _read_v21(self) -> tuple[dict[int, str], dict[int, Episode]]:
        tasks = {row["task_index"]: row["task"] for row in self._json_lines("meta/tasks.jsonl")}
        video_keys = [key for key, feature in self.features.items() if feature["dtype"] == "video"]
        episodes = {}
        for row in self._json_lines("meta/episodes.jsonl"):
            index = row["episode_index"]
            where = {"episode_chunk": index // self.info["chunks_size"], "episode_index": index}
            videos = {key: VideoSpan(self._file("video_path", video_key=key, **where), 0.0) for key in video_keys}
            data_file = self._file("data_path", **where)
            episodes[index] = Episode(index, row["length"], data_file, tuple(row.get("tasks") or ()), videos)
        return tasks, dict(sorted(episodes.items()))

    def _json_lines(self, file: str) -> list[dict]:
        rows = []
        for number, line in enumerate(self.source.file(file).read_text().splitlines(), 1):
            try:
                rows += [json.loads(line)] if line.strip() else []
            except json.JSONDecodeError as error:
                raise DatasetError(f"line {number} is not readable JSON: {error}", self.source, file=file) from error
        return rows


def _is_depth(feature: dict) -> bool:
    info = feature.get("info") or feature.get("video_info") or {}
    return bool(info.get("is_depth_map") or info.get("video.is_depth_map"))


def _split_range(text: str) -> tuple[int, int]:
    first, _, last = text.partition(":")
    return int(first or 0), int(last)
