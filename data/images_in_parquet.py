"""Pictures that a LeRobotDataset keeps in its parquet files: struct<bytes, path>, usually PNG, or arrays of numbers."""

import io
import os
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image, UnidentifiedImageError

from .lfs_pointer import lfs_problem
from .pictures import DEPTH_MODES, Picture, colour, is_declared_depth, metres


class ImageColumn:
    """One image column of one parquet file, read by row group; the last row group's encoded images are kept."""

    def __init__(self, path: Path, key: str):
        self._file = pq.ParquetFile(path, memory_map=True)
        if key not in self._file.schema_arrow.names:
            raise KeyError(f"no column {key!r}")
        self._key = key
        rows = [self._file.metadata.row_group(group).num_rows for group in range(self._file.num_row_groups)]
        self._starts = np.concatenate([[0], np.cumsum(rows)])
        self._group, self._encoded = -1, pa.nulls(0)

    def value(self, row: int) -> dict | np.ndarray:
        """{"bytes": bytes or None, "path": str or None}, or the numbers of a picture, of a row of the file."""
        group = int(np.searchsorted(self._starts, row, side="right") - 1)
        if group != self._group:
            self._encoded = _plain(self._file.read_row_group(group, columns=[self._key]).column(0).combine_chunks())
            self._group = group
        return _value(self._encoded, row - int(self._starts[group]))

    def first(self) -> dict | np.ndarray:
        """Return the value of the file's first row, without reading the row group."""
        batch = next(self._file.iter_batches(1, columns=[self._key]))
        return _value(_plain(batch.column(0)), 0)


def first_picture(path: Path, key: str, feature: dict, folders: Sequence[Path]) -> Picture:
    """Size and kind of the first picture of a column. Raises ValueError or KeyError where it cannot be read."""
    value = ImageColumn(path, key).first()
    if isinstance(value, np.ndarray):
        pixels = value.reshape(feature["shape"])
        is_depth = is_declared_depth(feature)
        height, width = (metres if is_depth else colour)(pixels).shape[:2]
        return Picture(height, width, is_depth)
    with _open(value, key, 0, folders) as image:
        is_depth = image.mode in DEPTH_MODES or is_declared_depth(feature)
        return Picture(image.height, image.width, is_depth)


class ImagePool:
    """Open image columns, at most `max_open`, reopened after a fork."""

    def __init__(self, max_open: int = 8):
        self.max_open = max_open
        self.frames_decoded = 0
        self._open: OrderedDict[tuple[Path, str], ImageColumn] = OrderedDict()
        self._process = os.getpid()

    def __getstate__(self) -> dict:
        return {"max_open": self.max_open}

    def __setstate__(self, state: dict) -> None:
        self.__init__(**state)

    def read(
        self,
        path: Path,
        key: str,
        rows: Sequence[int],
        folders: Sequence[Path],
        shape: Sequence[int] = (),
        depth: bool = False,
    ) -> list[np.ndarray]:
        """RGB images uint8 (height, width, 3), or `depth` float32 (height, width) in metres, of rows of `path`.

        Images kept beside the parquet file are looked for in `folders`; `shape` is that of pictures kept as arrays of
        numbers. Raises ValueError where a picture is missing, unreadable or of the other kind.
        """
        if self._process != os.getpid():
            self.__init__(self.max_open)
        column = self._open.pop((path, key), None) or ImageColumn(path, key)
        self._open[path, key] = column
        if len(self._open) > self.max_open:
            self._open.popitem(last=False)
        self.frames_decoded += len(rows)
        return [self._decode(column.value(row), key, row, folders, shape, depth) for row in rows]

    def _decode(self, value, key: str, row: int, folders: Sequence[Path], shape: Sequence[int], depth: bool):
        if isinstance(value, np.ndarray):
            if value.size != np.prod(shape):
                raise ValueError(f"row {row} of {key!r} has {value.size} numbers, info.json says {list(shape)}")
            return (metres if depth else colour)(value.reshape(shape))
        try:
            with _open(value, key, row, folders) as image:
                if depth:
                    return metres(np.asarray(image))
                if image.mode in DEPTH_MODES:
                    raise ValueError(f"row {row} of {key!r} is a depth picture ({image.mode}), not a colour image")
                return np.asarray(image.convert("RGB"))
        except OSError as error:
            raise ValueError(f"row {row} of {key!r} is not a readable image: {error}") from error


def _open(value: dict, key: str, row: int, folders: Sequence[Path]) -> Image.Image:
    """The picture of a row, not yet decoded. Raises ValueError where it is missing or no picture."""
    if value["bytes"]:
        file = io.BytesIO(value["bytes"])
    else:
        candidates = [folder / value["path"] for folder in folders] if value["path"] else []
        file = next((path for path in candidates if path.is_file()), None)
        if file is None:
            raise ValueError(f"row {row} of {key!r} has neither bytes nor an existing path ({value['path']!r})")
        if problem := lfs_problem(file):
            raise ValueError(f"row {row} of {key!r}: {file.name} {problem}")
    try:
        return Image.open(file)
    except (UnidentifiedImageError, OSError) as error:
        raise ValueError(f"row {row} of {key!r} is not a readable image: {error}") from error


def _plain(array: pa.Array) -> pa.Array:
    """Without the extension type that the `datasets` library registers once it is imported."""
    return array.storage if isinstance(array, pa.ExtensionArray) else array


def _value(array: pa.Array, row: int) -> dict | np.ndarray:
    kind = array.type
    if pa.types.is_nested(kind) and not pa.types.is_struct(kind):  # a picture as numbers
        numbers = array.slice(row, 1)
        while pa.types.is_nested(numbers.type):
            numbers = numbers.flatten()
        return np.from_dlpack(numbers)
    value = array[row].as_py()
    if isinstance(value, dict):
        return {"bytes": value.get("bytes"), "path": value.get("path")}
    return {"bytes": None, "path": value} if isinstance(value, str) else {"bytes": value, "path": None}
