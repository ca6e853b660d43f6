"""The numeric columns of a LeRobotDataset, without ever touching its image columns."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from tqdm import tqdm

from .errors import DatasetError
from .lerobot_metadata import Episode, LeRobotMetadata, repair_hint

WHOLE = ("frame_index", "episode_index", "task_index", "index")


@dataclass
class LeRobotTables:
    """Rows of the chosen episodes, one after the other: `columns[key]` (rows, width), episode e has rows
    `starts[e]:starts[e + 1]`; `file_rows[e]` is the first row of episode e in its parquet file."""

    columns: dict[str, np.ndarray]
    starts: np.ndarray
    file_rows: list[int]


def read_tables(
    metadata: LeRobotMetadata, episodes: Sequence[Episode], keys: Sequence[str], whole: bool = False
) -> LeRobotTables:
    """Reads `keys` (columns of numbers) and the index columns of `episodes`.

    Raises DatasetError where a file, a column or rows are missing; with `whole`, the dataset being read as a whole, also
    where files hold episodes that the table lacks.
    """
    source = metadata.source
    source.fetch(episode.data_file for episode in episodes)
    wanted = [*dict.fromkeys([*keys, "timestamp", "frame_index", "task_index", "episode_index"])]
    parts: list[dict[str, np.ndarray]] = [{} for _ in episodes]
    file_rows = [0] * len(episodes)
    by_file: dict[str, list[int]] = {}
    for position, episode in enumerate(episodes):
        if episode.length < 1:
            raise DatasetError("empty episode", source, episode.index, episode.data_file)
        by_file.setdefault(episode.data_file, []).append(position)
    _check_files(metadata, episodes)
    for file, positions in tqdm(by_file.items(), desc="reading tables", unit="file", delay=2):
        first = episodes[positions[0]].index
        path = source.file(file, first)
        try:
            parquet = pq.ParquetFile(path)
            missing = [key for key in wanted if key not in parquet.schema_arrow.names]
            if missing:
                raise DatasetError(f"missing columns {missing}", source, first, file)
            table = parquet.read(columns=wanted)
        except (pa.ArrowInvalid, OSError) as error:
            raise DatasetError(f"not a readable parquet file: {error}", source, first, file) from error
        columns = {key: _to_numpy(table.column(key), metadata, key, first, file) for key in wanted}
        runs = _runs(columns["episode_index"][:, 0])
        if whole and (unknown := sorted(runs.keys() - metadata.episodes.keys())):
            frames = sum(stop - start for index in unknown for start, stop in runs[index])
            problem = f"the file has {frames} frames of episodes {ranges(unknown)}, which the episode table lacks"
            problem = f"{problem}: {repair_hint(source)}; `episodes` chooses those of the table"
            raise DatasetError(problem, source, file=file)
        for position in positions:
            episode = episodes[position]
            found = runs.get(episode.index, [])
            if [stop - start for start, stop in found] != [episode.length]:
                rows = " + ".join(str(stop - start) for start, stop in found) or "none"
                problem = f"the episode table says {episode.length} frames, the file has {rows}"
                raise DatasetError(problem, source, episode.index, file)
            start, stop = found[0]
            file_rows[position] = start
            parts[position] = {key: values[start:stop] for key, values in columns.items()}
    starts = np.concatenate([[0], np.cumsum([episode.length for episode in episodes])])
    columns = {key: np.concatenate([part[key] for part in parts]) for key in wanted}
    return LeRobotTables(columns, starts, file_rows)


def _check_files(metadata: LeRobotMetadata, episodes: Sequence[Episode]) -> None:
    """Raises DatasetError where episodes have no data file, all of them in one line."""
    root = metadata.source.root
    files = {episode.data_file for episode in episodes}
    absent = {file for file in files if not (root / file).exists()}
    if missing := [episode for episode in episodes if episode.data_file in absent]:
        there = [episode.index for episode in metadata.episodes.values() if (root / episode.data_file).exists()]
        choice = f"; the others are read with `episodes` {ranges(there)}" if there else ""
        problem = f"missing file: {len(missing)} of {len(episodes)} episodes have no data file"
        problem = f"{problem} ({ranges(episode.index for episode in missing)}){choice}"
        raise DatasetError(problem, metadata.source, missing[0].index, missing[0].data_file)


def check_totals(metadata: LeRobotMetadata) -> str | None:
    """Where info.json counts other episodes or frames than the episode table: what it says, and the remedy."""
    episodes = metadata.episodes.values()
    counted = {"total_episodes": len(episodes), "total_frames": sum(episode.length for episode in episodes)}
    wrong = [
        f"{name} = {metadata.info[name]}, the episode table has {number}"
        for name, number in counted.items()
        if metadata.info.get(name, number) != number
    ]
    if not wrong:
        return None
    return f"info.json says {'; '.join(wrong)}: {repair_hint(metadata.source)}; `episodes` chooses those of the table as it is"


def ranges(numbers: Iterable[int]) -> str:
    """Whole numbers as "0-28, 31, 33-99"."""
    runs: list[list[int]] = []
    for number in sorted(numbers):
        if runs and number == runs[-1][1] + 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    return ", ".join(str(first) if first == last else f"{first}-{last}" for first, last in runs)


def check_tables(
    metadata: LeRobotMetadata,
    episodes: Sequence[Episode],
    tables: LeRobotTables,
    finite: Sequence[str],
    tolerance: float,
) -> list[DatasetError]:
    """Return what is wrong with the rows: non-finite values in the `finite` columns, timestamps that are not frame /
    fps within `tolerance` (s), frame numbers that do not count from 0."""
    problems = []

    def report(bad: np.ndarray, text: str) -> None:
        rows = np.flatnonzero(bad)
        for position in np.unique(np.searchsorted(tables.starts, rows, side="right") - 1):
            first = rows[np.searchsorted(rows, tables.starts[position])] - tables.starts[position]
            episode = episodes[position]
            problem = f"{text} (first at frame {first})"
            problems.append(DatasetError(problem, metadata.source, episode.index, episode.data_file))

    for key in finite:
        report(np.asarray(~np.isfinite(tables.columns[key]).all(axis=1)), f"non-finite values in {key!r}")
    frames = np.concatenate([np.arange(episode.length) for episode in episodes])
    report(np.not_equal(tables.columns["frame_index"][:, 0], frames), "frame_index does not count from 0")
    late: np.ndarray = np.abs(tables.columns["timestamp"][:, 0].astype(np.float64) - frames / metadata.fps)
    slack = tolerance + 1e-6 * frames / metadata.fps  # timestamps are float32
    report(
        np.asarray(np.logical_not(late <= slack)),
        f"timestamps are not frame / fps at {metadata.fps:g} fps within tolerance_s = {tolerance} s",
    )
    return problems


def _runs(values: np.ndarray) -> dict[int, list[tuple[int, int]]]:
    """Where each value stands: {value: [(first row, last row + 1), ...]}."""
    edges = [0, *(np.flatnonzero(np.diff(values)) + 1).tolist(), len(values)]
    runs: dict[int, list[tuple[int, int]]] = {}
    for start, stop in pairwise(edges):
        if stop > start:
            runs.setdefault(int(values[start]), []).append((start, stop))
    return runs


def _to_numpy(column: pa.ChunkedArray, metadata: LeRobotMetadata, key: str, episode: int, file: str) -> np.ndarray:
    """A column as (rows, width): float32 for real numbers, integers and booleans as they are."""
    array = column.combine_chunks()
    if isinstance(array, pa.ChunkedArray):  # no rows
        array = pa.concat_arrays(array.chunks) if array.num_chunks else pa.array([], array.type)
    rows = len(array)
    if isinstance(array, pa.ExtensionArray):  # Array2D, once the `datasets` library is imported
        array = array.storage
    while pa.types.is_nested(array.type):
        if array.null_count:
            raise DatasetError(f"column {key!r} has {array.null_count} empty cells", metadata.source, episode, file)
        array = array.flatten()
    if pa.types.is_boolean(array.type):
        array = array.cast(pa.uint8())
    if array.null_count and pa.types.is_floating(array.type):
        array = array.fill_null(float("nan"))
    if array.null_count:
        raise DatasetError(f"column {key!r} has {array.null_count} empty values", metadata.source, episode, file)
    if not (pa.types.is_integer(array.type) or pa.types.is_floating(array.type)):
        raise DatasetError(f"column {key!r} holds {array.type}, not numbers", metadata.source, episode, file)
    values = np.from_dlpack(array)  # to_numpy would import pandas
    if key in WHOLE and values.dtype.kind == "f":  # an editor has made them real numbers
        if not np.array_equal(values, np.round(values)):
            raise DatasetError(f"column {key!r} must hold whole numbers", metadata.source, episode, file)
        values = values.astype(np.int64)
    width = metadata.width(key) if key in metadata.features else 1
    if len(values) != rows * width:
        found = len(values) / rows if rows else 0
        raise DatasetError(
            f"column {key!r} has {found:g} values a row, info.json says {width}", metadata.source, episode, file
        )
    if np.issubdtype(values.dtype, np.floating):
        values = values.astype(np.float32, copy=False)
    return values.reshape(rows, width)
