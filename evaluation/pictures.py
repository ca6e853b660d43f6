"""Pictures of training and evaluation: loss curves, success per task, controls, filmstrips, animations."""

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from math import ceil
from pathlib import Path
from typing import Any

import av
import matplotlib
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter
from PIL import Image, ImageDraw, ImageFont

from .comparison import Comparison
from .record import EvaluationRecord, Score
from .rollout import EpisodeResult

INK, MUTED, GRID, PAPER = "#22272e", "#6e7781", "#e4e7eb", "#ffffff"
BLUE, GREEN, RED, AMBER, VIOLET = "#2f6fb0", "#2e9e5b", "#cf4a3f", "#e08a2c", "#8a63b8"
PALE_BLUE, TRACK = "#93b9de", "#f3f5f7"
SERIES = (BLUE, AMBER, GREEN, VIOLET, "#c2487c", "#4aa3a2", "#8c6d4f")
STYLE: Any = {
    "font.family": "DejaVu Sans",
    "font.size": 10,
    "text.color": INK,
    "axes.edgecolor": GRID,
    "axes.labelcolor": MUTED,
    "axes.titlecolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.grid": True,
    "grid.color": GRID,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "legend.frameon": False,
    "figure.facecolor": PAPER,
}


# Figures


def plot_losses(log_history: Sequence[dict[str, Any]] | str | Path, path: str | Path) -> None:
    """Loss curves over training steps, logarithmic, smoothed over the faint raw values.

    Args:
        log_history: `Trainer.state.log_history`, or a JSON file with it or with a whole trainer state.
        path: the picture to write.

    Raises:
        ValueError: the history holds no losses.
    """
    entries: Any = log_history
    if isinstance(log_history, (str, Path)):
        content = json.loads(Path(log_history).read_text(encoding="utf-8"))
        entries = content["log_history"] if isinstance(content, dict) else content
    curves: dict[str, list[tuple[float, float]]] = {}
    for entry in entries:
        for name, value in entry.items():
            if name.endswith("loss") and name != "train_loss":
                curves.setdefault(name, []).append((entry["step"], value))
    if not curves:
        raise ValueError("log_history holds no entry whose name ends in 'loss'")
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(8, 4.5), layout="constrained")
        axes = figure.subplots()
        for (name, points), colour in zip(curves.items(), SERIES * len(curves), strict=False):
            steps, values = np.array(points, dtype=float).T
            label = f"{_loss_label(name)}   {values[-1]:.3g}"
            if len(values) >= 20:
                axes.plot(steps, values, color=colour, alpha=0.2, linewidth=0.9)
                axes.plot(steps, _smooth(values), color=colour, linewidth=2, label=label)
            else:
                axes.plot(steps, values, color=colour, linewidth=1.4, marker="o", markersize=4, label=label)
        if all(value > 0 for points in curves.values() for _, value in points):
            axes.set_yscale("log")
        axes.set_title("Loss", loc="left", fontweight="bold")
        axes.set_xlabel("training step")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.margins(x=0.01)
        figure.legend(*axes.get_legend_handles_labels(), loc="outside right upper", title="loss and its last value",
                      alignment="left", title_fontproperties={"size": 9})  # fmt: skip
        _save(figure, path)


def _loss_label(name: str) -> str:
    if name == "loss":
        return "total"
    return "held-out" if name == "eval_loss" else name.removesuffix("_loss").replace("_", " ")


def plot_success(record: EvaluationRecord, path: str | Path) -> None:
    """Success per task as horizontal bars with 95 % intervals, all tasks together on top."""
    rows = [("all tasks", _overall(record)), *sorted(record.per_task.items(), key=lambda item: -item[1].success_rate)]
    _bars(rows, path, f"Success per task on {record.suite}", [BLUE] + [PALE_BLUE] * len(record.per_task))


def plot_controls(record: EvaluationRecord, path: str | Path) -> None:
    """The policy beside its controls, held-out settings and chains, as far as the record has them."""
    rows: list[tuple[str, Score]] = [("policy", _overall(record))] if record.episodes else []
    colours = [BLUE] * len(rows)
    for scores, colour in ((record.controls, RED), (record.unseen, AMBER)):
        rows += list(scores.items())
        colours += [colour] * len(scores)
    if record.chains is not None:
        rows += [(f"{count} in a row", score) for count, score in record.chains.success_at.items()]
        colours += [VIOLET] * len(record.chains.success_at)
    legend = {"the policy": BLUE} if record.episodes else {}
    legend |= {"controls, where it should fail": RED} if record.controls else {}
    legend |= {"held-out settings": AMBER} if record.unseen else {}
    legend |= {"chains of instructions": VIOLET} if record.chains is not None else {}
    _bars(rows, path, f"The policy on {record.suite}, beside its controls", colours, legend)


def plot_comparison(comparison: Comparison, path: str | Path) -> None:
    """Success in the second record minus that in the first, over everything and per task, with 95 % intervals."""
    rows = [one for one in comparison.differences if one is not comparison.chains]
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(8, 1.8 + 0.36 * len(rows)), layout="constrained")
        axes = figure.subplots()
        colours = {"better": GREEN, "worse": RED}
        for place, one in enumerate(rows):
            errors = [[max(one.difference - one.interval[0], 0)], [max(one.interval[1] - one.difference, 0)]]
            colour = colours.get(one.verdict, MUTED)
            axes.errorbar([one.difference], [place], xerr=errors, fmt="o", color=colour, capsize=3)
            axes.annotate(f"{one.first:.0%} → {one.second:.0%}", (1, place), (12, 0), textcoords="offset points",
                          xycoords=("axes fraction", "data"), va="center_baseline", color=colour)  # fmt: skip
        axes.axvline(0, color=INK, linewidth=1)
        axes.set_yticks(range(len(rows)), [one.name.replace("_", " ") for one in rows], color=INK)
        axes.set_ylim(len(rows) - 0.45, -0.55)
        axes.xaxis.set_major_formatter(lambda value, _: f"{100 * value:+.0f}")
        axes.grid(axis="y", visible=False)
        axes.set_xlabel("difference in points, with 95 % interval; green or red where it is significant")
        figure.suptitle(f"Success on {comparison.suite}, B minus A", x=0.01, ha="left", fontweight="bold", fontsize=12)
        axes.set_title("A  {}\nB  {}".format(*comparison.names), loc="left", fontsize=9, color=MUTED)
        _save(figure, path)


def _bars(
    rows: list[tuple[str, Score]],
    path: str | Path,
    title: str,
    colours: list[str],
    legend: dict[str, str] | None = None,
) -> None:
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(8, 1.1 + 0.36 * len(rows) + (0.3 if legend else 0)), layout="constrained")
        axes = figure.subplots()
        places = np.arange(len(rows))
        rates = np.array([score.success_rate for _, score in rows])
        low, high = np.array([score.interval for _, score in rows]).T
        axes.barh(places, np.ones(len(rows)), height=0.62, color=TRACK)
        axes.barh(places, rates, height=0.62, color=colours)
        errors = np.stack([(rates - low).clip(0), (high - rates).clip(0)])
        # a white halo keeps the interval readable on every colour
        for colour, width in ((PAPER, 3.6), (INK, 1.4)):
            bars = axes.errorbar(rates, places, xerr=errors, fmt="none", ecolor=colour, elinewidth=width, capsize=3.5,
                                 capthick=width)  # fmt: skip
            for artist in (*bars[1], *bars[2]):
                artist.set_clip_on(False)
        for place, (_, score) in zip(places, rows, strict=True):
            done = round(score.success_rate * score.episodes)
            texts: Any = (
                (f"{score.success_rate:.0%}", 12, {"fontweight": "bold"}),
                (f"{done}/{score.episodes}", 54, {"color": MUTED}),
            )
            for text, distance, style in texts:
                axes.annotate(text, (1, place), (distance, 0), textcoords="offset points", va="center_baseline",
                              annotation_clip=False, **style)  # fmt: skip
        axes.set_yticks(places, [name.replace("_", " ") for name, _ in rows], color=INK)
        axes.invert_yaxis()
        axes.set_xlim(0, 1)
        axes.set_ylim(len(rows) - 0.45, -0.55)
        axes.xaxis.set_major_formatter(PercentFormatter(1))
        axes.grid(axis="y", visible=False)
        axes.spines[["left", "bottom"]].set_visible(False)
        axes.set_xlabel("success with 95 % Wilson interval")
        figure.suptitle(title, x=0.01, ha="left", fontweight="bold", fontsize=12)
        if legend:
            for label, colour in legend.items():
                axes.barh(0, 0, color=colour, label=label)
            figure.legend(loc="outside lower right", ncols=len(legend), labelcolor=MUTED)
        _save(figure, path)


def _overall(record: EvaluationRecord) -> Score:
    return Score(record.success_rate, record.successes, record.episodes, record.interval)


def _smooth(values: np.ndarray) -> np.ndarray:
    """Moving average over a twentieth of the values, centred, shorter at the ends."""
    half = max(1, len(values) // 40)
    sums = np.concatenate([[0.0], np.cumsum(values)])
    index = np.arange(len(values))
    first, last = np.maximum(index - half, 0), np.minimum(index + half + 1, len(values))
    return (sums[last] - sums[first]) / (last - first)


def _save(figure: Figure, path: str | Path) -> None:
    FigureCanvasAgg(figure)
    figure.savefig(path, dpi=150, bbox_inches="tight", pad_inches=0.15)


# Filmstrips and animations


def contact_sheet(
    results: Sequence[EpisodeResult],
    path: str | Path,
    *,
    columns: int = 8,
    max_rows: int = 12,
    size: int = 144,
) -> None:
    """Filmstrips: one row per recorded episode, time from left to right, its instruction and outcome above it.

    Args:
        results: those with frames are drawn, the first `max_rows` of them.
        path: the picture to write.
        columns: pictures per episode, evenly spread over it, first and last included.
        size: height of a picture in pixels.

    Raises:
        ValueError: no result has frames.
    """
    episodes = _recorded(results)[:max_rows]
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
    """Recorded episodes side by side as an animated GIF; see `rollout_video`."""
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
    """Recorded episodes side by side as an MP4 (H.264), each with its instruction.

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
    episodes = _recorded(results)[:max_tiles]
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


def _recorded(results: Sequence[EpisodeResult]) -> list[EpisodeResult]:
    """Those with frames, the first of each task before the second of any."""
    recorded = [result for result in results if result.frames]
    if not recorded:
        raise ValueError("none of the results has frames: run the rollouts with record >= 1")
    seen: Counter[str] = Counter()
    rank = []
    for result in recorded:
        rank.append(seen[result.task])
        seen[result.task] += 1
    return [recorded[index] for index in sorted(range(len(recorded)), key=rank.__getitem__)]


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
    """How an episode ended, in a few words."""
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
