"""Frames of a video file by their time, through PyAV (AV1, H.264, HEVC, ...: whatever its FFmpeg decodes)."""

import os
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.container import InputContainer
from av.error import FFmpegError
from av.video.frame import VideoFrame
from av.video.reformatter import VideoReformatter

from .pictures import Picture, is_depth_format

EXACT = 1e-4  # s; frames are further apart than twice this, so one so near is the nearest


class VideoError(ValueError):
    """A video file cannot be decoded, or has no frame at the wanted time."""


class VideoFile:
    """An open video. One thread decodes: data loader workers are the parallelism."""

    def __init__(self, path: Path):
        try:
            self._container = av.open(str(path))
            self._stream = self._container.streams.video[0]
        except (FFmpegError, IndexError) as error:
            raise VideoError(f"not a readable video: {error}") from error
        self._stream.thread_type = "NONE"
        self._stream.codec_context.thread_count = 1
        self._base = _time_base(self._stream)
        self._to_rgb = VideoReformatter()  # one conversion context for all frames of the file
        self.frames_decoded = 0

    def read(self, times: Sequence[float], tolerance: float) -> list[np.ndarray]:
        """RGB frames uint8 (height, width, 3) at ascending `times` (s): each the nearest, within `tolerance` (s)."""
        frames: list[np.ndarray] = []
        exact = min(tolerance, EXACT)
        before: tuple[float, VideoFrame] | None = None
        try:
            for time, frame in self._decode_from(times[0], exact):
                while len(frames) < len(times) and time >= times[len(frames)] - exact:
                    frames.append(self._nearest(times[len(frames)], tolerance, before, (time, frame)))
                if len(frames) == len(times):
                    return frames
                before = time, frame
        except FFmpegError as error:
            raise VideoError(f"cannot decode the frame at {times[len(frames)]:.4f} s: {error}") from error
        return frames + [self._nearest(time, tolerance, before) for time in times[len(frames) :]]

    def _nearest(self, wanted: float, tolerance: float, *decoded: tuple[float, VideoFrame] | None) -> np.ndarray:
        """The image nearest to the `wanted` time. Raises VideoError where it is too far or corrupt."""
        near = [pair for pair in decoded if pair is not None]
        time, frame = min(near, key=lambda pair: abs(pair[0] - wanted), default=(float("inf"), None))
        if frame is None or abs(time - wanted) > tolerance:
            raise VideoError(
                f"no frame within {tolerance} s of {wanted:.4f} s, the nearest one decoded is at {time:.4f} s: wrong "
                "fps, wrong timestamps or a truncated video (tolerance_s says how far a frame may be)"
            )
        if frame.is_corrupt:
            raise VideoError(f"corrupt frame at {time:.4f} s")
        return self._to_rgb.reformat(frame, format="rgb24").to_ndarray()

    def _decode_from(self, start: float, tolerance: float) -> Iterator[tuple[float, VideoFrame]]:
        """(time, frame) pairs, the first at or before `start` where the video has one."""
        for earlier in (0.0, 1.0, 10.0, start):  # a key frame's decoding time may precede its presentation
            self._container.seek(max(0, int((start - earlier) / self._base)), stream=self._stream)
            first = True
            for frame in self._container.decode(self._stream):
                self.frames_decoded += 1
                if frame.pts is None:
                    raise VideoError("frame without a timestamp")
                time = float(frame.pts * self._base)
                if first and time > start + tolerance and earlier < start:
                    break  # landed after the wanted frame: seek further back
                first = False
                yield time, frame
            else:
                return
            if not first:
                return


def first_frame(path: Path) -> Picture:
    """Size and kind of a video's pictures, by its header."""
    with _opened(path) as (_, stream):
        context = stream.codec_context
        return Picture(context.height, context.width, is_depth_format(context.pix_fmt))


def has_even_pictures(path: Path, fps: float) -> bool:
    """Return whether a video's pictures stand at 0, 1 / fps, 2 / fps ... s by its index (its packets are not read)."""
    with _opened(path) as (_, stream):
        times = np.array([entry.timestamp for entry in stream.index_entries], np.float64)
        if stream.start_time is None or not len(times):
            return False  # unknown
        base = float(_time_base(stream))
        starts_at_0 = abs(stream.start_time * base) <= EXACT
        steps = (np.sort(times) - times.min()) * base - np.arange(len(times)) / fps
        return starts_at_0 and bool((np.abs(steps) <= EXACT + base).all())


def frame_times(path: Path) -> np.ndarray:
    """Presentation times (s) of all frames of a video, ascending, without decoding them."""
    with _opened(path) as (container, stream):
        base = _time_base(stream)
        times = [float(packet.pts * base) for packet in container.demux(stream) if packet.pts is not None]
    return np.sort(times)


@contextmanager
def _opened(path: Path) -> Iterator[tuple[InputContainer, av.VideoStream]]:
    """A file and its video stream. Raises VideoError where it cannot be read."""
    try:
        with av.open(str(path)) as container:
            yield container, container.streams.video[0]
    except (FFmpegError, IndexError) as error:
        raise VideoError(f"not a readable video: {error}") from error


def _time_base(stream: av.VideoStream) -> Fraction:
    if stream.time_base is None:
        raise VideoError("its stream has no time base")
    return stream.time_base


class VideoPool:
    """Open video files by path, at most `max_open`, never shared with another process.

    A decoder that was opened before a fork must not be used or freed in the child: it is set aside there.
    """

    _set_aside: list = []  # noqa: RUF012  (kept alive on purpose)

    def __init__(self, max_open: int = 8):
        self.max_open = max_open
        self._open: OrderedDict[Path, VideoFile] = OrderedDict()
        self._process = os.getpid()
        self._decoded_before = 0

    def __getstate__(self) -> dict:
        return {"max_open": self.max_open}

    def __setstate__(self, state: dict) -> None:
        self.__init__(**state)

    @property
    def frames_decoded(self) -> int:
        """Frames decoded so far by this process's pool."""
        return self._decoded_before + sum(file.frames_decoded for file in self._open.values())

    def read(self, path: Path, times: Sequence[float], tolerance: float) -> list[np.ndarray]:
        """`VideoFile.read` of the file at `path`."""
        if self._process != os.getpid():
            self._set_aside.append(self._open)
            self.__init__(self.max_open)
        video = self._open.get(path)
        if video is None:
            video = self._open[path] = VideoFile(path)
            if len(self._open) > self.max_open:
                _, oldest = self._open.popitem(last=False)
                self._decoded_before += oldest.frames_decoded
        self._open.move_to_end(path)
        return video.read(times, tolerance)
