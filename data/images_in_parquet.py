"""Images that a LeRobotDataset keeps in its parquet files: struct<bytes, path>, usually PNG."""

import io
import os
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image, UnidentifiedImageError


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

    def encoded(self, row: int) -> dict:
        """{"bytes": bytes or None, "path": str or None} of a row of the file."""
        group = int(np.searchsorted(self._starts, row, side="right") - 1)
        if group != self._group:
            self._encoded = self._file.read_row_group(group, columns=[self._key]).column(0).combine_chunks()
            self._group = group
        value = self._encoded[row - int(self._starts[group])].as_py()
        return value if isinstance(value, dict) else {"bytes": value, "path": None}


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

    def read(self, path: Path, key: str, rows: Sequence[int], folders: Sequence[Path]) -> list[np.ndarray]:
        """RGB images uint8 (height, width, 3) of rows of `path`; images kept beside the parquet file are looked for
        in `folders`. Raises ValueError where an image is missing or unreadable."""
        if self._process != os.getpid():
            self.__init__(self.max_open)
        column = self._open.pop((path, key), None) or ImageColumn(path, key)
        self._open[path, key] = column
        if len(self._open) > self.max_open:
            self._open.popitem(last=False)
        return [self._decode(column.encoded(row), key, row, folders) for row in rows]

    def _decode(self, value: dict, key: str, row: int, folders: Sequence[Path]) -> np.ndarray:
        if value["bytes"]:
            file = io.BytesIO(value["bytes"])
        else:
            candidates = [folder / value["path"] for folder in folders] if value["path"] else []
            file = next((path for path in candidates if path.is_file()), None)
            if file is None:
                raise ValueError(f"row {row} of {key!r} has neither bytes nor an existing path ({value['path']!r})")
        try:
            with Image.open(file) as image:
                self.frames_decoded += 1
                return np.asarray(image.convert("RGB"))
        except (UnidentifiedImageError, OSError) as error:
            raise ValueError(f"row {row} of {key!r} is not a readable image: {error}") from error
