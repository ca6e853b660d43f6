"""CRC-32C (Castagnoli), the checksum of TFRecords: by google-crc32c where it is installed, else by numpy."""

from functools import cache

import numpy as np

try:
    from google_crc32c import implementation, value
except ImportError:
    implementation = value = None

SEGMENTS = 256
compiled = value if implementation == "c" else None
"""The checksum in C (`pip install "robovlms[rlds]"`), hundreds of times as fast as by numpy; None where it isn't there."""


def crc32c(content: bytes) -> int:
    """The checksum of a content."""
    return crc32c_by_numpy(content) if compiled is None else compiled(content)


def crc32c_by_numpy(content: bytes) -> int:
    """The same by numpy. Long contents are cut into segments that it goes through side by side; their checksums are joined
    two by two, since a checksum is linear in the bits."""
    table = _table()
    length = len(content) // SEGMENTS
    values = np.frombuffer(content, np.uint8)
    crc = 0
    if length > 1:
        columns = values[: length * SEGMENTS].reshape(SEGMENTS, length)
        parts = np.zeros(SEGMENTS, np.uint32)
        parts[0] = 0xFFFFFFFF
        for column in np.ascontiguousarray(columns.T):
            parts = table[(parts ^ column) & 0xFF] ^ (parts >> np.uint32(8))
        shift = _zeros(length)
        while len(parts) > 1:
            parts = _apply(shift, parts[0::2]) ^ parts[1::2]
            shift = _apply(shift, shift)
        crc, values = int(parts[0]), values[length * SEGMENTS :]
    else:
        crc = 0xFFFFFFFF
    rest = table.tolist() if len(values) < 8 else _list()
    for value in values.tolist():
        crc = rest[(crc ^ value) & 0xFF] ^ (crc >> 8)
    return crc ^ 0xFFFFFFFF


@cache
def _table() -> np.ndarray:
    table = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        table = np.where(table & 1, (table >> np.uint32(1)) ^ np.uint32(0x82F63B78), table >> np.uint32(1))
    return table


@cache
def _list() -> list[int]:
    return _table().tolist()


@cache
def _zeros(length: int) -> np.ndarray:
    """What `length` zero bytes make of each bit of a checksum (32,)."""
    bits = np.uint32(1) << np.arange(32, dtype=np.uint32)
    result, power = bits, bits
    power = _table()[power & 0xFF] ^ (power >> np.uint32(8))
    while length:
        if length & 1:
            result = _apply(power, result)
        power, length = _apply(power, power), length >> 1
    return result


def _apply(matrix: np.ndarray, values: np.ndarray) -> np.ndarray:
    """A linear map of bits (32,) applied to checksums."""
    result = np.zeros_like(values)
    for bit in range(32):
        result ^= np.where((values >> np.uint32(bit)) & np.uint32(1), matrix[bit], np.uint32(0))
    return result
