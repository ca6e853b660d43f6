"""Pictures of training and evaluation: loss curves, success per task, controls, comparisons."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from .comparison import Comparison
from .record import EvaluationRecord, Score

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


def plot_losses(log_history: Sequence[dict[str, Any]] | str | Path, path: str | Path) -> None:
    """Loss curves over training steps, logarithmic, smoothed over the faint raw values.

    Args:
        log_history: `Trainer.state.log_history`, or a JSON file with it or with a whole trainer state.
        path: the picture to write.

    Raises:
        ValueError: the history holds no losses.
    """
    curves = read_losses(log_history)
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
        save_figure(figure, path)


def read_losses(log_history: Sequence[dict[str, Any]] | str | Path) -> dict[str, list[tuple[float, float]]]:
    """Collect (step, value) of every loss, as `plot_losses` draws them; empty for a run that logged none."""
    entries: Any = log_history
    if isinstance(log_history, (str, Path)):
        content = json.loads(Path(log_history).read_text(encoding="utf-8"))
        entries = content["log_history"] if isinstance(content, dict) else content
    curves: dict[str, list[tuple[float, float]]] = {}
    for entry in entries:
        for name, value in entry.items():
            if name.endswith("loss") and name != "train_loss":
                curves.setdefault(name, []).append((entry["step"], value))
    return curves


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
        save_figure(figure, path)


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
        save_figure(figure, path)


def _overall(record: EvaluationRecord) -> Score:
    return Score(record.success_rate, record.successes, record.episodes, record.interval)


def _smooth(values: np.ndarray) -> np.ndarray:
    """Moving average over a twentieth of the values, centred, shorter at the ends."""
    half = max(1, len(values) // 40)
    sums = np.concatenate([[0.0], np.cumsum(values)])
    index = np.arange(len(values))
    first, last = np.maximum(index - half, 0), np.minimum(index + half + 1, len(values))
    return (sums[last] - sums[first]) / (last - first)


def save_figure(figure: Figure, path: str | Path) -> None:
    FigureCanvasAgg(figure)
    figure.savefig(path, dpi=150, bbox_inches="tight", pad_inches=0.15)
