"""Frames -> one mp4 file."""

import os
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

# Encoder and its options by codec name. Every second frame is a key frame, as LeRobot writes it, so that random access
# decodes at most one frame too many.
ENCODERS = {
    "h264": ("libx264", {"preset": "ultrafast", "crf": "18", "g": "2", "bf": "0"}),
    "hevc": ("libx265", {"preset": "ultrafast", "crf": "18", "g": "2", "x265-params": "log-level=none:pools=none"}),
    "av1": ("libsvtav1", {"preset": "12", "crf": "30", "g": "2", "svtav1-params": "lp=1"}),
}
SMALL = 128  # pixels: images with a shorter side than this are encoded at a better quality, in full colour resolution
ALIASES = {"libx264": "h264", "libx265": "hevc", "h265": "hevc", "libsvtav1": "av1"}


class VideoWriter:
    """Appends RGB frames to a new mp4 file. `bytes` and `frames` count what was encoded so far."""

    def __init__(self, path: Path, fps: float, height: int, width: int, codec: str = "h264"):
        self.codec = ALIASES.get(codec, codec)
        if self.codec not in ENCODERS:
            raise ValueError(f"unknown codec {codec!r}, there are {[*ENCODERS, *ALIASES]}")
        encoder, options = ENCODERS[self.codec]
        if self.codec == "h264" and min(height, width) <= SMALL:
            options = {**options, "crf": "12"}
        os.environ.setdefault("SVT_LOG", "1")  # SVT-AV1 prints its whole configuration otherwise
        self.pix_fmt = pixel_format(self.codec, height, width)
        self.bytes = self.frames = 0
        path.parent.mkdir(parents=True, exist_ok=True)
        self._container = av.open(str(path), "w")
        rate = Fraction(fps).limit_denominator(1001)
        stream = self._container.add_stream(encoder, rate=rate, options=options)
        assert isinstance(stream, av.VideoStream)
        self._stream = stream
        self._stream.width, self._stream.height, self._stream.pix_fmt = width, height, self.pix_fmt
        self._stream.codec_context.thread_count = 1
        self._stream.codec_context.time_base = 1 / rate

    def write(self, images: np.ndarray) -> None:
        """Appends images uint8 (frames, height, width, 3)."""
        for image in images:
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24")
            frame.pts = self.frames
            self.frames += 1
            self._mux(frame)

    def close(self) -> None:
        """Finishes the file."""
        self._mux(None)
        self._container.close()

    def _mux(self, frame: av.VideoFrame | None) -> None:
        for packet in self._stream.encode(frame):
            self.bytes += packet.size
            self._container.mux(packet)


def pixel_format(codec: str, height: int, width: int) -> str:
    """Small images keep their full colour resolution, which 4:2:0 would halve (SVT-AV1 only has 4:2:0)."""
    small = min(height, width) <= SMALL or height % 2 or width % 2
    return "yuv444p" if small and codec != "av1" else "yuv420p"
