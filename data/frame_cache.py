"""A bounded store of decoded frames: the least recently used ones go first."""

from collections import OrderedDict
from collections.abc import Hashable

import numpy as np


class FrameCache:
    """Keeps copies of frames in one block of at most `max_bytes`, so that memory neither grows nor fragments.

    Each process (data loader worker) fills its own.
    """

    def __init__(self, max_bytes: int):
        self.max_bytes = max_bytes
        self._block: np.ndarray | None = None  # pages are taken from the system as they are first written
        self._used = 0  # bytes of the block given to slots so far
        self._frames: OrderedDict[Hashable, np.ndarray] = OrderedDict()

    def __getstate__(self) -> dict:
        return {"max_bytes": self.max_bytes}

    def __setstate__(self, state: dict) -> None:
        self.__init__(**state)

    def __contains__(self, key: Hashable) -> bool:
        return key in self._frames

    def __len__(self) -> int:
        return len(self._frames)

    @property
    def bytes(self) -> int:
        """Bytes of the frames held now."""
        return sum(frame.nbytes for frame in self._frames.values())

    def get(self, key: Hashable) -> np.ndarray | None:
        """Return a frame to read at once: the next `put` may overwrite it."""
        frame = self._frames.get(key)
        if frame is not None:
            self._frames.move_to_end(key)
        return frame

    def put(self, key: Hashable, frame: np.ndarray) -> None:
        """Keeps a copy of the frame; one larger than the whole cache is not kept."""
        if key not in self._frames and frame.nbytes <= self.max_bytes:
            kept = self._slot(frame.nbytes).view(frame.dtype).reshape(frame.shape)
            np.copyto(kept, frame)
            self._frames[key] = kept

    def clear(self) -> None:
        self._frames.clear()
        self._used = 0

    def _slot(self, size: int) -> np.ndarray:
        """Free bytes: new ones while there are any, else those of the oldest frame of this size."""
        if self._block is None:
            self._block = np.empty(self.max_bytes, np.uint8)
        if self._used + size > self.max_bytes:
            for key, frame in self._frames.items():
                if frame.nbytes == size:
                    del self._frames[key]
                    return frame.reshape(-1).view(np.uint8)
            self.clear()  # all slots are of other sizes (other cameras)
        self._used += size
        return self._block[self._used - size : self._used]
