"""What is in a dataset and what is wrong with it: everything is looked at, nothing raises."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from tqdm import tqdm

from .calvin import ANNOTATIONS
from .errors import DatasetError
from .inspection_calvin import inspect_calvin
from .inspection_findings import Inspection, dimension_problems
from .lerobot import ACTION, STATE, LeRobotDataset
from .lerobot_metadata import Episode, LeRobotMetadata
from .lerobot_tables import LeRobotTables, check_tables, read_tables
from .statistics import compute_statistics
from .video import VideoError, frame_times

TOLERANCE = 1e-4  # seconds


def inspect_dataset(
    folder_or_id: str | Path,
    revision: str | None = None,
    episodes: int = 8,
    frames: int = 8,
    decode_all: bool = False,
) -> Inspection:
    """Of a LeRobotDataset or a CALVIN folder. Reads all tables and all video timestamps, and decodes `frames` images of
    each of `episodes` episodes; with `decode_all` every image of a LeRobotDataset."""
    if any((Path(folder_or_id) / part / ANNOTATIONS).exists() for part in ("", "training", "validation")):
        return inspect_calvin(folder_or_id, episodes, frames)
    found = Inspection(str(folder_or_id))
    try:
        metadata = LeRobotMetadata(folder_or_id, revision)
    except (DatasetError, OSError, ValueError, KeyError) as error:
        found.problems.append(f"{type(error).__name__}: {error}")
        return found
    _summarise(found, metadata)
    readable, tables = _readable(found, metadata)
    if tables is not None:
        _check_rows(found, metadata, readable, tables)
        found.problems += _video_problems(metadata, readable, tables)
        chosen = [readable[i] for i in np.linspace(0, len(readable) - 1, min(episodes, len(readable))).astype(int)]
        _take_filmstrips(found, metadata, chosen, frames)
        if decode_all:
            _decode_all(found, metadata, readable)
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
        "state": "yes" if STATE in metadata.features else "none",
        "splits": metadata.splits,
        "features": {key: (feature["dtype"], *feature["shape"]) for key, feature in metadata.features.items()},
    }
    totals = {"total_episodes": len(found.lengths), "total_frames": sum(found.lengths)}
    for name, counted in totals.items():
        if metadata.info.get(name, counted) != counted:
            found.problems.append(f"info.json says {name} = {metadata.info[name]}, the episode table has {counted}")
    if any(not task.strip() for task in found.tasks):
        found.problems.append(
            f"{sum(n for t, n in found.tasks.items() if not t.strip())} episodes with no instruction"
        )
    for name, (first, last) in metadata.splits.items():
        if not 0 <= first < last <= len(found.lengths):
            found.problems.append(f"split {name!r} is {first}:{last} of {len(found.lengths)} episodes")
    if ACTION not in metadata.features:
        found.problems.append(f"no feature {ACTION!r}")


def _readable(found: Inspection, metadata: LeRobotMetadata) -> tuple[list[Episode], LeRobotTables | None]:
    """The episodes whose tables can be read, and their tables; the others become problems."""
    keys = [key for key in (ACTION, STATE) if key in metadata.features]
    groups: dict[str, list[Episode]] = {}
    for episode in metadata.episodes.values():
        groups.setdefault(episode.data_file, []).append(episode)
    good: list[Episode] = []
    for group in groups.values():
        try:
            read_tables(metadata, group, keys)
            good += group
        except DatasetError:  # which of the file's episodes?
            for episode in group:
                try:
                    read_tables(metadata, [episode], keys)
                    good.append(episode)
                except DatasetError as error:
                    found.problems.append(str(error))
    return good, read_tables(metadata, good, keys) if good else None


def _check_rows(found: Inspection, metadata: LeRobotMetadata, episodes: list[Episode], tables: LeRobotTables) -> None:
    keys = [key for key in (ACTION, STATE) if key in tables.columns]
    found.problems += [str(problem) for problem in check_tables(metadata, episodes, tables, keys, TOLERANCE)]
    for key in keys:
        values = tables.columns[key]
        found.columns[key] = values[np.isfinite(values).all(axis=1)]
        width = metadata.width(key)
        names = metadata.names(key) or [str(number) for number in range(width)]
        found.names[key] = names
        if not len(found.columns[key]):
            continue
        found.statistics[key] = compute_statistics(found.columns[key])
        found.problems += dimension_problems(found, key, values, lambda row: _place(row, episodes, tables))
    found.problems += _stored_problems(found, metadata.stored_statistics)
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
    for position, episode in enumerate(episodes):
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


def _take_filmstrips(found: Inspection, metadata: LeRobotMetadata, episodes: list[Episode], frames: int) -> None:
    for episode in episodes:
        try:
            dataset = LeRobotDataset(metadata.source, 1, 1, list(metadata.camera_keys), episodes=[episode.index])
        except DatasetError:
            continue  # its rows are among the problems
        for camera in dataset.camera_keys:
            rows = np.linspace(0, episode.length - 1, min(frames, episode.length)).astype(int)
            try:
                images = np.concatenate([dataset.images(camera, 0, np.array([row])) for row in rows])
            except DatasetError as error:
                if str(error) not in found.problems:
                    found.problems.append(str(error))
                continue
            found.add_filmstrip(episode.index, camera, "; ".join(episode.tasks), images)


def _decode_all(found: Inspection, metadata: LeRobotMetadata, episodes: list[Episode]) -> None:
    for episode in tqdm(episodes, desc="decoding", unit="episode"):
        try:
            dataset = LeRobotDataset(metadata.source, 1, 1, list(metadata.camera_keys), episodes=[episode.index])
        except DatasetError:
            continue  # its rows are among the problems
        for camera in dataset.camera_keys:
            try:
                for start in range(0, episode.length, 64):
                    dataset.images(camera, 0, np.arange(start, min(start + 64, episode.length)))
            except DatasetError as error:
                if str(error) not in found.problems:
                    found.problems.append(str(error))
