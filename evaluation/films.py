"""Films of single episodes: H.264 in MP4, which browsers play."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import av
import numpy as np


def write_film(frames: Sequence[np.ndarray], path: str | Path, fps: int = 10) -> None:
    """Write pictures uint8 `(height, width, 3)`; an odd row or column at the edge is left out."""
    height, width = (size - size % 2 for size in frames[0].shape[:2])
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("h264", rate=fps)
        stream.height, stream.width, stream.pix_fmt = height, width, "yuv420p"
        stream.options = {"crf": "18"}
        for frame in frames:
            picture = np.ascontiguousarray(frame[:height, :width])
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())


def read_film(path: str | Path) -> list[np.ndarray]:
    """Return the pictures of a film, as far as compression leaves them."""
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
