"""Rebuilds the episode table of a LeRobotDataset v3.0 from its rows, for folders whose writer never finished them."""

import json
import shutil
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from .errors import DatasetError
from .lerobot_episodes_file import episodes_table
from .lerobot_metadata import WRITING_MARKER, read_info, read_tasks
from .lerobot_repaired_statistics import write_statistics
from .lerobot_tables import ranges
from .source import DatasetSource
from .video import VideoError, frame_times

EPISODES = "meta/episodes/chunk-000/file-000.parquet"
INDEX = ("episode_index", "frame_index", "task_index")

SPAN = ("chunk_index", "file_index", "from_timestamp", "to_timestamp")  # of an episode in a video
Span = tuple[int, int, float, float]


@dataclass
class Recording:
    """Rows `start:stop` of one data file that belong together: an episode, if nothing speaks against it.

    Attributes: number (the rows' episode_index), place (chunk and file number of the data), listed (its row of the old
    episode table), videos {key: (chunk, file, from_timestamp, to_timestamp)}, fault (why it is left out), index (its
    number in the repaired dataset).
    """

    number: int
    place: tuple[int, int]
    start: int
    stop: int
    tasks: list[int]
    listed: dict | None = None
    videos: dict[str, Span] = field(default_factory=dict)
    fault: str | None = None
    index: int = -1

    @property
    def length(self) -> int:
        return self.stop - self.start


@dataclass
class Repair:
    """What `repair_dataset` found and did; `str()` tells it in numbers.

    Attributes: recordings (all that were found), listed (episodes of the old table), info (the old info.json),
    unreadable (files, and what is wrong with them).
    """

    recordings: list[Recording]
    listed: int
    info: dict
    unreadable: list[str]

    @property
    def kept(self) -> list[Recording]:
        return [one for one in self.recordings if one.fault is None]

    def __str__(self) -> str:
        info, kept = self.info, self.kept
        counted = f"{info.get('total_episodes')} of {info.get('total_frames')} frames"
        lines = [
            f"found: {_sum(self.recordings)}; the episode table had {self.listed}, info.json counts {counted}",
            f"rebuilt: {_sum(kept)}",
        ]
        if new := [one.index for one in kept if one.listed is None]:
            lines[-1] += f", {len(new)} of which the old table lacked: {ranges(new)}"
        lines += [f"unreadable: {problem}" for problem in self.unreadable]
        for fault in dict.fromkeys(one.fault for one in self.recordings if one.fault):
            several = [one for one in self.recordings if one.fault == fault]
            numbers = ranges(one.number for one in several)
            lines.append(f"left out: {_sum(several)}: {fault} (episode_index {numbers})")
        if moved := [one for one in kept if one.index != one.number]:
            lines.append(f"numbered anew: {len(moved)} episodes, {moved[0].number} -> {moved[0].index} the first")
        if (missing := (info.get("total_episodes") or 0) - len(self.recordings)) > 0:
            lines.append(f"lost: {missing} episodes that info.json counts have no readable rows")
        return "\n".join(lines)


def _sum(recordings: list[Recording]) -> str:
    return f"{len(recordings)} episodes of {sum(one.length for one in recordings)} frames"


def repair_dataset(folder: str | Path, output: str | Path) -> Repair:
    """Writes `output`, a copy of the LeRobotDataset v3.0 `folder` with episode table, info.json and stats.json made anew
    from the rows; `folder` is only read.

    LeRobot writes the episode table in tens: a script that ends without `finalize()` leaves the last episodes out of it.
    Their pictures are those that follow in the videos; where that isn't certain an episode is left out.

    Raises:
        FileExistsError: `output` exists.
        DatasetError: `folder` is no such dataset, or no row of it can be read.
    """
    source, output = DatasetSource(folder), Path(output)
    if not source.is_local:
        raise DatasetError("repair reads local folders", source)
    if output.exists():
        raise FileExistsError(f"{output} exists: give a folder that is not there yet")
    if source.root.resolve() in output.resolve().parents:
        raise ValueError(f"{output} lies inside {source.root}: give a folder beside it")
    if (source.root / WRITING_MARKER).exists():
        raise DatasetError(
            "its writer goes on with LeRobotWriter(folder, ..., resume=True)", source, file=WRITING_MARKER
        )
    info = read_info(source)
    if info.get("codebase_version") != "v3.0":
        problem = f"repair is for v3.0, this is {info.get('codebase_version')!r}"
        raise DatasetError(problem, source, file="meta/info.json")
    tasks = read_tasks(source)
    unreadable: list[str] = []
    listed = [row for table in _readable(source.root, "meta/episodes", unreadable) for row in table[1].to_pylist()]
    recordings = _find_recordings(source.root, listed, tasks, unreadable)
    for key, feature in info["features"].items():
        if feature["dtype"] == "video":
            _place_videos(source.root, key, float(info["fps"]), recordings, unreadable)
    repair = Repair(recordings, len(listed), info, unreadable)
    if not repair.kept:
        raise DatasetError(f"nothing can be rebuilt: {repair}", source, file="data")
    for index, one in enumerate(repair.kept):
        one.index = index
    output.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=output.parent, prefix=f".{output.name}.") as temporary:
        made = Path(temporary) / output.name
        _write(repair, source.root, made, tasks)
        write_statistics(made)
        made.rename(output)
    return repair


def _readable(
    root: Path, part: str, unreadable: list[str], columns: Iterable[str] | None = None
) -> list[tuple[Path, pa.Table]]:
    """The tables of the files below `part` that can be read; what is wrong with the others goes to `unreadable`."""
    tables = []
    for path in sorted((root / part).glob("chunk-*/file-*.parquet")):
        try:
            parquet = pq.ParquetFile(path)
            names = [name for name in parquet.schema_arrow.names if not name.startswith("stats/")]
            tables.append((path, parquet.read(columns=list(columns or names))))
        except (pa.ArrowInvalid, OSError) as error:
            why = (
                "it has no footer: its writer was killed, and its rows cannot be read"
                if "footer" in str(error)
                else error
            )
            unreadable.append(f"{path.relative_to(root).as_posix()}, {path.stat().st_size} bytes: {why}")
    return tables


def _place(path: Path) -> tuple[int, int]:
    """Chunk and file number of a chunk-000/file-000 file."""
    return int(path.parent.name.removeprefix("chunk-")), int(path.stem.removeprefix("file-"))


def _find_recordings(root: Path, listed: list[dict], tasks: dict[int, str], unreadable: list[str]) -> list[Recording]:
    """Runs of rows of one episode_index whose frame_index counts on, in the order of the files."""
    rows_of = {(row["episode_index"], row["data/chunk_index"], row["data/file_index"]): row for row in listed}
    found = []
    for path, table in _readable(root, "data", unreadable, INDEX):
        episode, frame, task = (np.array(table.column(name).to_pylist(), np.float64).reshape(-1) for name in INDEX)
        begins = np.flatnonzero((np.diff(episode) != 0) | (np.diff(frame) != 1)) + 1
        for start, stop in zip([0, *begins], [*begins, len(episode)], strict=True):
            if stop == start:
                continue
            used = list(dict.fromkeys(task[start:stop].astype(int).tolist()))
            one = Recording(int(episode[start]), _place(path), int(start), int(stop), used)
            row = rows_of.pop((one.number, *one.place), None)
            one.listed = row if row is not None and row["length"] == one.length else None
            if frame[start] != 0:
                one.fault = f"its frames begin at {frame[start]:g}"
            elif unknown := [index for index in used if index not in tasks]:
                one.fault = f"meta/tasks.parquet lacks its task_index {unknown}"
            found.append(one)
    return found


def _place_videos(root: Path, key: str, fps: float, recordings: list[Recording], unreadable: list[str]) -> None:
    """Where each recording's pictures of one camera are: as the old table says, else behind those of the episode before.

    An episode that the table lacks is placed only where it continues an unbroken count of episodes, and where the
    pictures of its file are used up in the end: else it could be shown another episode's.
    """
    times: dict[tuple[int, int], np.ndarray] = {}
    for path in sorted((root / "videos" / key).glob("chunk-*/file-*.mp4")):
        try:
            times[_place(path)] = frame_times(path)
        except VideoError as error:
            unreadable.append(f"{path.relative_to(root).as_posix()}: {error}")
    told = [_told_span(one, key) for one in recordings]
    of_table = {(span[0], span[1]) for span in told if span}
    taken: dict[tuple[int, int], int] = {}  # pictures of each file that have an episode
    unsure: dict[tuple[int, int], list[Recording]] = {}  # episodes placed since the last that the table knows
    at, before = (0, 0), -1
    for one, span in zip(recordings, told, strict=True):
        if span and (span[0], span[1]) in times:
            place, one.videos[key] = (span[0], span[1]), span
            first = int(np.searchsorted(times[place], span[2] - 0.5 / fps))
            if first != taken.get(place, 0):
                _leave_out(unsure.get(place, ()), key)
            unsure[place] = []
        elif span or one.number != before + 1:
            one.fault = one.fault or f"its video of {key!r} " + ("cannot be read" if span else "could be any")
            continue
        else:
            free = [file for file in sorted(times) if file == at or (file > at and file not in of_table)]
            place = next((file for file in free if taken.get(file, 0) < len(times[file])), at)
            first = taken.get(place, 0)
            shown = times.get(place, np.zeros(0))[first : first + one.length]
            if len(shown):
                one.videos[key] = (*place, float(shown[0]), float(shown[-1]) + 1 / fps)
            unsure.setdefault(place, []).append(one)
        left = max(0, len(times.get(place, ())) - first)
        if left < one.length:
            one.fault = one.fault or f"{left} of its {one.length} pictures of {key!r} are there"
        taken[place], at, before = first + one.length, place, one.number
    for place, several in unsure.items():
        if taken[place] < len(times.get(place, ())):
            _leave_out(several, key)


def _told_span(one: Recording, key: str) -> Span | None:
    """Where the old episode table says that the pictures are."""
    row = one.listed or {}
    chunk, file, begin, end = (row.get(f"videos/{key}/{name}") for name in SPAN)
    return None if chunk is None or file is None or begin is None or end is None else (chunk, file, begin, end)


def _leave_out(recordings: Iterable[Recording], key: str) -> None:
    for one in recordings:
        one.fault = (
            one.fault or f"the video of {key!r} holds pictures of episodes without rows, and any could be its own"
        )


def _write(repair: Repair, root: Path, made: Path, tasks: dict[int, str]) -> None:
    """Everything of the new folder but its statistics."""
    shutil.copytree(root, made, ignore=lambda folder, names: _made_anew(Path(folder).relative_to(root), names))
    rows, begin = [], 0
    by_place: dict[tuple[int, int], list[tuple[Recording, int]]] = {}
    for one in repair.kept:
        by_place.setdefault(one.place, []).append((one, begin))
        row = {"episode_index": one.index, "tasks": [tasks[index] for index in one.tasks], "length": one.length}
        row |= dict(zip(("data/chunk_index", "data/file_index"), one.place, strict=True))
        row |= {"dataset_from_index": begin, "dataset_to_index": begin + one.length}
        for key, where in one.videos.items():
            row |= {f"videos/{key}/{name}": value for name, value in zip(SPAN, where, strict=True)}
        rows.append(row)
        begin += one.length
    for place, recordings in by_place.items():
        relative = "data/chunk-{:03d}/file-{:03d}.parquet".format(*place)
        (made / relative).parent.mkdir(parents=True, exist_ok=True)
        _copy_rows(root / relative, made / relative, recordings)
    (made / "meta/episodes/chunk-000").mkdir(parents=True)
    pq.write_table(episodes_table(rows, repair.info["features"]), made / EPISODES)
    info = repair.info | {"total_episodes": len(rows), "total_frames": begin, "total_tasks": len(tasks)}
    info |= {"splits": {"train": f"0:{len(rows)}"}}
    (made / "meta/info.json").write_text(json.dumps(info, indent=4, ensure_ascii=False), encoding="utf-8")


def _made_anew(folder: Path, names: list[str]) -> list[str]:
    """What isn't copied because it is written anew."""
    anew = {".": ["data"], "meta": ["episodes", "info.json", "stats.json"]}
    return [name for name in names if name in anew.get(folder.as_posix(), ())]


def _copy_rows(source: Path, target: Path, recordings: list[tuple[Recording, int]]) -> None:
    """The rows of the recordings (each with the index of its first row), numbered anew, in their row groups."""
    parquet = pq.ParquetFile(source)
    with pq.ParquetWriter(target, parquet.schema_arrow, compression="snappy") as writer:
        row = 0
        for group in range(parquet.num_row_groups):
            table = parquet.read_row_group(group)
            for one, begin in recordings:
                start, stop = max(one.start, row), min(one.stop, row + len(table))
                if start < stop:
                    index = np.arange(start, stop) - one.start + begin
                    numbers = {"episode_index": np.full(stop - start, one.index), "index": index}
                    writer.write_table(_with_numbers(table.slice(start - row, stop - start), numbers))
            row += len(table)


def _with_numbers(table: pa.Table, numbers: dict[str, np.ndarray]) -> pa.Table:
    for name, values in numbers.items():
        if name in table.column_names:
            place = table.column_names.index(name)
            table = table.set_column(
                place, table.field(place), pa.array(values.tolist()).cast(table.field(place).type)
            )
    return table
