"""TFRecord files and the `tf.train.Example`s in them, without TensorFlow."""

import struct
from collections.abc import Collection, Iterator
from pathlib import Path

import numpy as np

from .crc32c import crc32c
from .errors import DatasetError

MASK_DELTA = 0xA282EAD8


def records(file: Path, dataset: str) -> Iterator[tuple[int, bytes]]:
    """(offset, content) of each record, checksums verified.

    Raises:
        DatasetError: naming file and offset of a record that is damaged or cut off.
    """
    offset, size = 0, file.stat().st_size
    while offset < size:
        content = read_record(file, offset, dataset)
        yield offset, content
        offset += len(content) + 16


def read_record(file: Path, offset: int, dataset: str, verified: bool = False) -> bytes:
    """Return the record at an offset; raises like `records`. The checksum of contents `verified` before is not
    computed again."""
    with file.open("rb") as opened:
        opened.seek(offset)
        head = opened.read(12)
        if len(head) < 12:
            raise DatasetError(f"the record at offset {offset} is cut off", dataset, file=file.name)
        length, checksum = struct.unpack("<QI", head)
        if masked_crc32c(head[:8]) != checksum:
            raise DatasetError(f"the length of the record at offset {offset} is damaged", dataset, file=file.name)
        content = opened.read(length + 4)
    if len(content) < length + 4:
        raise DatasetError(f"the record at offset {offset} is cut off", dataset, file=file.name)
    if not verified and masked_crc32c(content[:-4]) != struct.unpack("<I", content[-4:])[0]:
        raise DatasetError(f"the record at offset {offset} is damaged: wrong checksum", dataset, file=file.name)
    return content[:-4]


def masked_crc32c(content: bytes) -> int:
    """TFRecord's checksum: CRC-32C, rotated, plus a constant."""
    crc = crc32c(content)
    return (((crc >> 15) | (crc << 17)) + MASK_DELTA) & 0xFFFFFFFF


def parse_example(content: bytes, wanted: Collection[str] | None = None) -> dict[str, list[bytes] | np.ndarray]:
    """Return a `tf.train.Example`: name -> bytes strings, float32 or int64 numbers; of the features `wanted` alone,
    where these are given. Raises ValueError for what is none."""
    view = memoryview(content)
    found: dict[str, list[bytes] | np.ndarray] = {}
    try:
        for _, features in _fields(view):
            for _, entry in _fields(features):
                parts = dict(_fields(entry))
                name = bytes(parts[1]).decode()
                if wanted is None or name in wanted:
                    found[name] = _values(parts.get(2, view[:0]))
    except (IndexError, KeyError, UnicodeDecodeError, TypeError, struct.error) as error:
        raise ValueError(f"not a tf.train.Example: {error!r}") from error
    return found


def _values(feature: memoryview) -> list[bytes] | np.ndarray:
    for kind, values in _fields(feature):
        if kind == 1:
            return [bytes(value) for _, value in _fields(values)]
        if kind == 2:
            numbers = [np.frombuffer(value, "<f4") for _, value in _fields(values)]
            return np.concatenate(numbers or [np.zeros(0, np.float32)])
        return np.array(list(_integers(values)), np.uint64).astype(np.int64)
    return []


def _integers(view: memoryview) -> Iterator[int]:
    """The numbers of an Int64List, packed or one by one."""
    position = 0
    while position < len(view):
        key, position = _varint(view, position)
        end = None
        if key & 7 == 2:
            length, position = _varint(view, position)
            end = position + length
        while end is None or position < end:
            number, position = _varint(view, position)
            yield number
            if end is None:
                break


def _fields(view: memoryview) -> Iterator[tuple[int, memoryview]]:
    """(number, content) of a message's fields."""
    position = 0
    while position < len(view):
        key, position = _varint(view, position)
        if key & 7 == 2:
            length, position = _varint(view, position)
        elif key & 7 in (1, 5):
            length = 8 if key & 7 == 1 else 4
        else:
            raise ValueError(f"not a tf.train.Example: wire type {key & 7}")
        if position + length > len(view):
            raise ValueError("not a tf.train.Example: a field goes beyond the end")
        yield key >> 3, view[position : position + length]
        position += length


def _varint(view: memoryview, position: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = view[position]
        value, shift, position = value | (byte & 0x7F) << shift, shift + 7, position + 1
        if byte < 0x80:
            return value, position
