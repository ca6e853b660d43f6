"""What is in a dataset and what is wrong with it: everything is looked at, nothing raises."""

import warnings
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from .errors import DatasetError
from .formats import find_format
from .inspection_calvin import inspect_calvin
from .inspection_conventions import measure_conventions
from .inspection_findings import Inspection, add_vector, instruction_problems
from .inspection_motion import motion_problems
from .inspection_rlds import inspect_rlds
from .lerobot import LeRobotDataset
from .lerobot_columns import ACTION, STATE, Columns, find_columns, join_slices, slice_names
from .lerobot_metadata import Episode, LeRobotMetadata
from .lerobot_tables import LeRobotTables, check_tables, ranges, read_tables
from .recorded import Recorded
from .video import VideoError, frame_times

TOLERANCE = 1e-4  # seconds


def inspect_dataset(
    name_or_path: str | Path,
    revision: str | None = None,
    episodes: int | Sequence[int] = 8,
    frames: int = 8,
    decode_all: bool = False,
    filmstrips: int | None = None,
    options: Mapping[str, Any] | None = None,
) -> Inspection:
    """Inspect a LeRobotDataset, an RLDS or a CALVIN folder.

    Reads all tables and all video timestamps (of a LeRobotDataset or RLDS folder those of `episodes`, where these are
    listed), and decodes `frames` images of each of `filmstrips` episodes; with `decode_all` every image of a
    LeRobotDataset or RLDS folder. `options` are those of `RLDSDataset` (fps, split, action, state, cameras, ...), for RLDS
    folders alone. (`episodes` as one number is the older name of `filmstrips`.)

    Raises:
        ValueError: where there are `options` for another format, or listed `episodes` or `decode_all` for CALVIN.
    """
    chosen = None if isinstance(episodes, int) else list(episodes)
    shown = filmstrips if filmstrips is not None else (episodes if isinstance(episodes, int) else 8)
    kind = find_format(name_or_path)
    if kind == "rlds":
        return inspect_rlds(name_or_path, chosen, shown, frames, decode_all, options or {})
    if options:
        raise ValueError(f"options are for RLDS folders, {str(name_or_path)!r} is {kind}; got {dict(options)}")
    if kind == "calvin":
        if chosen is not None or decode_all:
            raise ValueError(
                f"{str(name_or_path)!r} is a CALVIN folder: it has no list of episodes, and no decode_all"
            )
        return inspect_calvin(name_or_path, shown, frames)
    found = Inspection(str(name_or_path))
    try:
        metadata = LeRobotMetadata(name_or_path, revision)
        _summarise(found, metadata)
        if unknown := [index for index in chosen or [] if index not in metadata.episodes]:
            raise DatasetError(f"unknown episodes {unknown[:5]} in `episodes`", metadata.source)
        columns = find_columns(metadata)
    except (DatasetError, OSError, ValueError, KeyError) as error:
        found.problems.append(f"{type(error).__name__}: {error}")
        return found
    if columns.depth:
        found.remarks.append(f"depth cameras {list(columns.depth)} are no colour cameras: read them with depth=[...]")
    found.remarks += columns.misfits
    readable, tables = _readable(found, metadata, columns, chosen)
    if tables is not None:
        _check_rows(found, metadata, columns, readable, tables)
        found.problems += _video_problems(metadata, readable, tables)
        places = np.linspace(0, len(readable) - 1, min(shown, len(readable))).astype(int)
        _take_filmstrips(found, metadata, columns, [readable[i] for i in places], frames)
        if decode_all:
            _decode_all(found, metadata, columns, readable)
    return found


def _summarise(found: Inspection, metadata: LeRobotMetadata) -> None:
    all_episodes = metadata.episodes.values()
    found.lengths = [episode.length for episode in all_episodes]
    found.tasks = Counter(task for episode in all_episodes for task in dict.fromkeys(episode.tasks))
    cameras = {name: "x".join(map(str, metadata.image_shape(key))) for name, key in metadata.camera_keys.items()}
    found.summary = {
        "format": metadata.version,
        "robot": metadata.robot_type,
        "fps": metadata.fps,
        "episodes": len(found.lengths),
        "frames": sum(found.lengths),
        "episode length": f"{min(found.lengths, default=0)} ... {max(found.lengths, default=0)}",
        "instructions": len(found.tasks),
        "cameras (height x width)": ", ".join(f"{name} {size}" for name, size in cameras.items()) or "none",
        "splits": metadata.splits,
        "features": {key: (feature["dtype"], *feature["shape"]) for key, feature in metadata.features.items()},
    }
    totals = {"total_episodes": len(found.lengths), "total_frames": sum(found.lengths)}
    for name, counted in totals.items():
        if metadata.info.get(name, counted) != counted:
            found.problems.append(f"info.json says {name} = {metadata.info[name]}, the episode table has {counted}")
    found.problems += instruction_problems(found.tasks)
    for name, text in (metadata.info.get("splits") or {}).items():
        first, last = metadata.splits.get(name, (0, 0))
        if not 0 <= first < last <= max(metadata.episodes, default=-1) + 1:
            found.problems.append(f"split {name!r} is {text} of {len(found.lengths)} episodes")


def _readable(
    found: Inspection, metadata: LeRobotMetadata, columns: Columns, chosen: list[int] | None
) -> tuple[list[Episode], LeRobotTables | None]:
    """The episodes whose tables can be read, and their tables; the others become problems."""
    keys, source = columns.vector_keys, metadata.source
    wanted = [metadata.episodes[index] for index in chosen if index in metadata.episodes] if chosen else []
    groups: dict[str, list[Episode]] = {}
    for episode in wanted or metadata.episodes.values():
        groups.setdefault(episode.data_file, []).append(episode)
    source.fetch(groups)
    absent = [group for file, group in groups.items() if not (source.root / file).exists()]
    if absent:
        missing = [episode for group in absent for episode in group]
        there = [
            e.index for group in groups.values() for e in group if e.data_file not in {m.data_file for m in missing}
        ]
        of = f"{len(missing)} of {len(missing) + len(there)} episodes have no data file"
        choice = f"; choose the others with `episodes`: {ranges(there)}" if there else ""
        problem = f"missing file: {of} ({ranges(episode.index for episode in missing)}){choice}"
        found.problems.append(str(DatasetError(problem, source, missing[0].index, missing[0].data_file)))
    good: list[Episode] = []
    readable = [group for group in groups.values() if group not in absent]
    for group in tqdm(readable, desc="reading tables", unit="file", delay=2):
        try:
            read_tables(metadata, group, keys, whole=True)
            good += group
        except DatasetError as whole:  # which of the file's episodes?
            several = []
            for episode in group:
                try:
                    read_tables(metadata, [episode], keys)
                    good.append(episode)
                except DatasetError as error:
                    several.append(str(error))
            found.problems += several or [str(whole)]
    return good, read_tables(metadata, good, keys) if good else None


def _check_rows(
    found: Inspection, metadata: LeRobotMetadata, columns: Columns, episodes: list[Episode], tables: LeRobotTables
) -> None:
    problems = check_tables(metadata, episodes, tables, columns.vector_keys, TOLERANCE)
    found.problems += [str(problem) for problem in problems]
    vectors = {ACTION: columns.action, STATE: columns.state}
    tables.columns |= {key: join_slices(tables.columns, slices) for key, slices in vectors.items() if slices}
    for key, name in ((ACTION, "action"), (STATE, "state")):
        if slices := vectors[key]:
            names = slice_names(metadata, slices, name)
            add_vector(found, key, tables.columns[key], names, lambda row: _place(row, episodes, tables))
    found.summary["state"] = ", ".join(part.key for part in columns.state) or "none"
    recorded = Recorded(
        [episode.index for episode in episodes],
        tables.starts,
        tables.columns[ACTION],
        tables.columns[STATE] if vectors[STATE] else None,
        found.names[ACTION],
        found.names[STATE] if vectors[STATE] else [],
        metadata.fps,
    )
    found.problems += motion_problems(recorded)
    measure_conventions(found, recorded)
    slices = [part for parts in vectors.values() for part in parts]
    are_whole = all(len(parts) <= 1 for parts in vectors.values())
    if are_whole and all(part.stop - part.start == metadata.width(part.key) for part in slices):
        try:
            if len(episodes) == len(metadata.episodes):  # they are of all
                found.problems += _stored_problems(found, metadata.stored_statistics)
        except ValueError as error:  # a DatasetError, or no JSON
            found.problems.append(f"meta/stats.json: {error}")
        found.problems += _stored_episode_problems(metadata, episodes, tables)


def _place(row: int, episodes: list[Episode], tables: LeRobotTables) -> str:
    position = int(np.searchsorted(tables.starts, row, side="right") - 1)
    return f"episode {episodes[position].index}, frame {row - tables.starts[position]}"


def _stored_problems(found: Inspection, stored: dict) -> Iterator[str]:
    """Where meta/stats.json disagrees with the rows."""
    for key, stats in found.statistics.items():
        for name in ("min", "max", "mean", "std"):
            there = np.asarray(stored.get(key, {}).get(name, stats[name]), np.float64).ravel()
            here = np.asarray(stats[name])
            scale = np.maximum(np.asarray(stats["max"]) - np.asarray(stats["min"]), 1e-9)
            if there.shape != here.shape or (np.abs(there - here) > 0.01 * scale).any():
                yield f"meta/stats.json: {name} of {key!r} is not that of the rows (they are used, the file is not)"


def _stored_episode_problems(metadata: LeRobotMetadata, episodes: list[Episode], tables: LeRobotTables):
    """Where the episodes' stored statistics disagree with their rows."""
    stored = metadata.episode_statistics()
    for key in (key for key in (ACTION, STATE) if key in tables.columns):
        wrong = []
        for position, episode in enumerate(episodes):
            rows = tables.columns[key][tables.starts[position] : tables.starts[position + 1]].astype(np.float64)
            there = stored.get(episode.index, {}).get(key, {})
            figures = {"min": rows.min(0), "max": rows.max(0), "mean": rows.mean(0)}
            reach = 0.01 * (figures["max"] - figures["min"]) + 1e-5 * np.abs(figures["max"]) + 1e-6
            for name, here in figures.items():
                stored_value = np.asarray(there.get(name, here), np.float64).ravel()
                if stored_value.shape != here.shape or (np.abs(stored_value - here) > reach).any():
                    wrong.append(episode.index)
                    break
        if wrong:
            yield (
                f"the stored statistics of {key!r} in {len(wrong)} episodes are not those of their rows (first: episode "
                f"{wrong[0]}; the rows are used)"
            )


def _video_problems(metadata: LeRobotMetadata, episodes: list[Episode], tables: LeRobotTables) -> Iterator[str]:
    """Frames that a video lacks, by its timestamps (nothing is decoded)."""
    times: dict[str, np.ndarray | str] = {}
    bar = tqdm(episodes, desc="checking videos", unit="episode", delay=2)
    for position, episode in enumerate(bar):
        for span in episode.videos.values():
            if span.file not in times:
                try:
                    times[span.file] = frame_times(metadata.source.file(span.file, episode.index))
                except DatasetError as error:
                    times[span.file] = str(error)
                    yield str(error)
                except VideoError as error:
                    times[span.file] = str(error)
                    yield str(DatasetError(str(error), metadata.source, episode.index, span.file))
            there = times[span.file]
            if isinstance(there, str):
                continue
            rows = slice(int(tables.starts[position]), int(tables.starts[position + 1]))
            wanted = span.start + tables.columns["timestamp"][rows, 0].astype(np.float64)
            after = np.clip(np.searchsorted(there, wanted), 1, len(there) - 1) if len(there) > 1 else 0
            nearest = np.minimum(np.abs(there[after] - wanted), np.abs(there[after - 1] - wanted))
            lacking = np.flatnonzero(nearest > TOLERANCE)
            if len(lacking):
                problem = f"{len(lacking)} frames have no video frame within {TOLERANCE} s (first: {lacking[0]})"
                yield str(DatasetError(problem, metadata.source, episode.index, span.file))


def _open(metadata: LeRobotMetadata, columns: Columns, episode: Episode) -> Iterator[tuple[str, LeRobotDataset]]:
    """(camera, dataset of this camera and episode) of each camera whose files can be opened."""
    told = {"action": columns.vector_keys[:1]}
    for camera in columns.images:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # depth is among the remarks
            try:
                yield camera, LeRobotDataset(metadata.source, 1, 1, [camera], episodes=[episode.index], columns=told)
            except DatasetError:
                continue  # among the problems of rows and videos


def _take_filmstrips(
    found: Inspection, metadata: LeRobotMetadata, columns: Columns, episodes: list[Episode], frames: int
) -> None:
    for episode in episodes:
        for camera, dataset in _open(metadata, columns, episode):
            rows = np.linspace(0, episode.length - 1, min(frames, episode.length)).astype(int)
            try:
                images = np.concatenate([dataset.images(camera, 0, np.array([row])) for row in rows])
            except DatasetError as error:
                found.add_problem(str(error))
                continue
            found.add_filmstrip(episode.index, camera, "; ".join(episode.tasks), images)


def _decode_all(found: Inspection, metadata: LeRobotMetadata, columns: Columns, episodes: list[Episode]) -> None:
    for episode in tqdm(episodes, desc="decoding", unit="episode"):
        for camera, dataset in _open(metadata, columns, episode):
            try:
                for start in range(0, episode.length, 64):
                    dataset.images(camera, 0, np.arange(start, min(start + 64, episode.length)))
            except DatasetError as error:
                found.add_problem(str(error))
