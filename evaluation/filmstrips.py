"""Filmed episodes as pictures: filmstrips, and animations of several side by side."""

from collections import Counter
from collections.abc import Iterator, Sequence
from math import ceil
from pathlib import Path
from typing import Any

import av
import matplotlib
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from .pictures import GREEN, GRID, INK, MUTED, PAPER, RED
from .rollout import EpisodeResult


def contact_sheet(
    results: Sequence[EpisodeResult],
    path: str | Path,
    *,
    columns: int = 8,
    max_rows: int = 12,
    size: int = 144,
) -> None:
    """Filmstrips: one row per filmed episode, time from left to right, its instruction and outcome above it.

    Args:
        results: those with frames are drawn, the first `max_rows` of them.
        path: the picture to write.
        columns: pictures per episode, evenly spread over it, first and last included.
        size: height of a picture in pixels.

    Raises:
        ValueError: no result has frames.
    """
    episodes = _filmed(results)[:max_rows]
    height, width = _tile_shape(episodes, size)
    gap, head, margin = 4, 30, 16
    sheet_width = 2 * margin + columns * (width + gap) - gap
    row_height = head + height + 14
    sheet = Image.new("RGB", (sheet_width, 2 * margin + len(episodes) * row_height - 14), PAPER)
    draw = ImageDraw.Draw(sheet)
    for number, result in enumerate(episodes):
        top = margin + number * row_height
        _outcome_mark(draw, margin + 9, top + 12, 8, result.success)
        told = " → ".join(dict.fromkeys(result.frame_instructions)) if result.chain else result.instruction
        note = outcome_note(result)
        room = sheet_width - 2 * margin - 40 - _font(12).getlength(note)
        draw.text(
            (margin + 26, top + 12), _shortened(told, _font(15, bold=True), room), INK, _font(15, bold=True), "lm"
        )
        draw.text((sheet_width - margin, top + 12), note, MUTED, _font(12), "rm")
        # a short episode leaves the rest of its strip empty instead of repeating pictures
        chosen = np.unique(np.linspace(0, len(result.frames) - 1, columns).round().astype(int))
        for column, index in enumerate(chosen):
            tile = _resized(result.frames[index], height, width)
            sheet.paste(tile, (margin + column * (width + gap), top + head))
    sheet.save(path)


def rollout_gif(
    results: Sequence[EpisodeResult],
    path: str | Path,
    *,
    columns: int | None = None,
    max_tiles: int = 12,
    size: int = 192,
    fps: float = 10.0,
) -> None:
    """Filmed episodes side by side as an animated GIF; see `rollout_video`."""
    frames = [Image.fromarray(frame) for frame in _animation(results, columns, max_tiles, size, fps)]
    # one palette for all frames, or the colours flicker
    sample = Image.fromarray(np.concatenate([np.asarray(frames[0]), np.asarray(frames[-1])]))
    palette = sample.quantize(256, method=Image.Quantize.MEDIANCUT)
    frames = [frame.quantize(palette=palette, dither=Image.Dither.NONE) for frame in frames]
    frames[0].save(path, save_all=True, append_images=frames[1:], duration=round(1000 / fps), loop=0)


def rollout_video(
    results: Sequence[EpisodeResult],
    path: str | Path,
    *,
    columns: int | None = None,
    max_tiles: int = 12,
    size: int = 256,
    fps: float = 10.0,
) -> None:
    """Filmed episodes side by side as an MP4 (H.264), each with its instruction.

    The frame round an episode turns green when it has succeeded and red when it has failed; it then stands still until
    the longest one is over, and all of them for another second.

    Args:
        results: those with frames are shown, the first `max_tiles` of them.
        path: the file to write.
        columns: episodes side by side; by default as many as give a landscape picture.
        size: height of one episode's picture in pixels.
        fps: pictures per second.

    Raises:
        ValueError: no result has frames.
    """
    with av.open(str(path), "w") as container:
        stream: Any = None
        for frame in _animation(results, columns, max_tiles, size, fps):
            if stream is None:
                stream = container.add_stream("h264", rate=round(fps))
                stream.height, stream.width = frame.shape[:2]
                stream.pix_fmt = "yuv420p"
                stream.options = {"crf": "20"}
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())


def _animation(
    results: Sequence[EpisodeResult], columns: int | None, max_tiles: int, size: int, fps: float
) -> Iterator[np.ndarray]:
    """Frames of the tiled animation, uint8 (height, width, 3), both even."""
    episodes = _filmed(results)[:max_tiles]
    height, width = _tile_shape(episodes, size)
    columns = columns or _balanced_columns(len(episodes))
    rows = ceil(len(episodes) / columns)
    border, caption, gap = 4, 38, 8
    tile_width, tile_height = width + 2 * border, height + 2 * border + caption
    sheet_width, sheet_height = gap + columns * (tile_width + gap), gap + rows * (tile_height + gap)
    canvas = (sheet_width + sheet_width % 2, sheet_height + sheet_height % 2)
    length = max(len(result.frames) for result in episodes)
    for time in range(length + round(fps)):
        picture = Image.new("RGB", canvas, PAPER)
        draw = ImageDraw.Draw(picture)
        for number, result in enumerate(episodes):
            left = gap + number % columns * (tile_width + gap)
            top = gap + number // columns * (tile_height + gap)
            now = min(time, len(result.frames) - 1)
            over = time >= len(result.frames) - 1
            colour = (GREEN if result.success else RED) if over else GRID
            box = (left, top + caption, left + tile_width - 1, top + tile_height - 1)
            draw.rounded_rectangle(box, radius=border + 2, fill=colour)
            picture.paste(_resized(result.frames[now], height, width), (left + border, top + caption + border))
            lines = _wrapped(result.frame_instructions[now], _font(13), tile_width - 4)
            for line, text in enumerate(lines):
                middle = top + caption / 2 + (line - (len(lines) - 1) / 2) * 16 - 1
                draw.text((left + 2, middle), text, INK, _font(13), "lm")
            if over:
                _outcome_mark(draw, left + tile_width - 20, top + caption + 20, 10, result.success)
        yield np.asarray(picture)


def _filmed(results: Sequence[EpisodeResult]) -> list[EpisodeResult]:
    """Those with frames, the first of each task before the second of any."""
    filmed = [result for result in results if result.frames]
    if not filmed:
        raise ValueError("none of the results has frames: run the rollouts with films >= 1")
    seen: Counter[str] = Counter()
    rank = []
    for result in filmed:
        rank.append(seen[result.task])
        seen[result.task] += 1
    return [filmed[index] for index in sorted(range(len(filmed)), key=rank.__getitem__)]


def _balanced_columns(count: int) -> int:
    """Columns for a landscape grid with few empty places."""
    ideal = (count * 1.8) ** 0.5
    return min(range(1, count + 1), key=lambda columns: -count % columns + abs(columns - ideal))


def _tile_shape(episodes: list[EpisodeResult], size: int) -> tuple[int, int]:
    height, width = episodes[0].frames[0].shape[:2]
    return size, round(size * width / height)


def _resized(frame: np.ndarray, height: int, width: int) -> Image.Image:
    return Image.fromarray(frame).resize((width, height), Image.Resampling.LANCZOS)


def outcome_note(result: EpisodeResult) -> str:
    """Return how an episode ended, in a few words."""
    if result.chain:
        return f"{result.completed} of {len(result.chain)} in a row, {result.steps} steps"
    return f"{result.steps} steps" if result.success else f"{(result.reason or '')[:60]}, {result.steps} steps"


def _outcome_mark(draw: ImageDraw.ImageDraw, x: float, y: float, radius: float, success: bool) -> None:
    """A tick on green or a cross on red."""
    draw.circle((x, y), radius, fill=GREEN if success else RED)
    r = radius * 0.45
    if success:
        draw.line([(x - r, y), (x - r * 0.2, y + r * 0.8), (x + r * 1.1, y - r * 0.8)], PAPER, 2, joint="curve")
    else:
        draw.line([(x - r, y - r), (x + r, y + r)], PAPER, 2)
        draw.line([(x - r, y + r), (x + r, y - r)], PAPER, 2)


def _font(size: int, bold: bool = False) -> ImageFont.FreeTypeFont:
    """matplotlib's own DejaVu Sans, so that pictures look the same everywhere."""
    name = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
    return ImageFont.truetype(Path(matplotlib.get_data_path(), "fonts", "ttf", name), size)


def _shortened(text: str, font: ImageFont.FreeTypeFont, room: float) -> str:
    if font.getlength(text) <= room:
        return text
    while text and font.getlength(text + "…") > room:
        text = text[:-1]
    return text.rstrip() + "…"


def _wrapped(text: str, font: ImageFont.FreeTypeFont, room: float) -> list[str]:
    """At most two lines."""
    words = text.split()
    first = words[:1]
    while len(first) < len(words) and font.getlength(" ".join(words[: len(first) + 1])) <= room:
        first = words[: len(first) + 1]
    rest = " ".join(words[len(first) :])
    lines = [_shortened(" ".join(first), font, room)]
    return [*lines, _shortened(rest, font, room)] if rest else lines
