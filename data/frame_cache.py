"""A bounded store of decoded frames: least recently used ones go first."""

from collections import OrderedDict
from collections.abc import Hashable

import numpy as np


class FrameCache:
    """Keeps arrays of at most `max_bytes` together. Each process (data loader worker) fills its own copy."""

    def __init__(self, max_bytes: int):
        self.max_bytes = max_bytes
        self.bytes = 0
        self._arrays: OrderedDict[Hashable, np.ndarray] = OrderedDict()

    def __contains__(self, key: Hashable) -> bool:
        return key in self._arrays

    def __len__(self) -> int:
        return len(self._arrays)

    def get(self, key: Hashable) -> np.ndarray | None:
        array = self._arrays.get(key)
        if array is not None:
            self._arrays.move_to_end(key)
        return array

    def put(self, key: Hashable, array: np.ndarray) -> None:
        if key in self._arrays or array.nbytes > self.max_bytes:
            return
        while self.bytes + array.nbytes > self.max_bytes:
            _, oldest = self._arrays.popitem(last=False)
            self.bytes -= oldest.nbytes
        self._arrays[key] = array
        self.bytes += array.nbytes

    def clear(self) -> None:
        self._arrays.clear()
        self.bytes = 0
