"""The run as a page: `report.html` and `report.png`, drawn from what the Trainer logged."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter, PercentFormatter
from transformers import TrainerCallback
from transformers.trainer_utils import IntervalStrategy

from ..evaluation.pictures import BLUE, GREEN, SERIES, STYLE
from ..hub_cards.pages import data_url, render_page
from .learning_checks import find_warnings

Entries = Sequence[dict[str, Any]]
# What a page may say of the arguments: nothing of the machine, and no token.
SETTINGS = (
    "learning_rate", "lr_scheduler_type", "warmup_steps", "weight_decay", "per_device_train_batch_size",
    "gradient_accumulation_steps", "max_steps", "num_train_epochs", "bf16", "seed",
)  # fmt: skip


MOST_NAMED = 8
UNTOLD = ("step", "epoch", "total_flos")  # of the last values; nor the many of "check/signal/", which warnings tell


class RunReport(TrainerCallback):
    """Writes the page into the Trainer's output folder whenever it saves a checkpoint, and at the end.

    Args:
        facts: what to list beside the Trainer's arguments.
    """

    def __init__(self, facts: Mapping[str, Any] | None = None):
        self.facts = dict(facts or {})

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if state.global_step >= state.max_steps and args.logging_strategy != IntervalStrategy.NO:
            control.should_log = True  # however short the run, there is something to see

    def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if state.is_world_process_zero:
            settings = self.facts | {name: getattr(args, name) for name in SETTINGS} | {"processes": args.world_size}
            write_report(state.log_history, args.output_dir, settings)

    on_train_end = on_save


def write_report(log_history: Entries, folder: str | Path, settings: dict[str, Any] | None = None) -> Path:
    """Draw `report.png`, if curves were logged, and write `report.html`, which holds it, into `folder`.

    Args:
        log_history: `trainer.state.log_history`.
        settings: what to list beside it.

    Returns:
        The page.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    picture = _draw(log_history, folder / "report.png")
    page = render_page(
        Path(__file__).with_name("report.html.jinja"),
        {"number": _shown},
        picture=data_url(picture) if picture is not None else None,
        last=_last_values(log_history),
        settings=settings or {},
        warnings=find_warnings(log_history),
        steps=max((entry["step"] for entry in log_history), default=0),
    )
    (folder / "report.html").write_text(page, encoding="utf-8")
    return folder / "report.html"


def curves(log_history: Entries, wanted: Callable[[str], bool]) -> dict[str, np.ndarray]:
    """{name: (2, n) steps and values} of the logged numbers whose name is wanted."""
    points: dict[str, list[tuple[float, float]]] = {}
    for entry in log_history:
        for name, value in entry.items():
            if wanted(name) and isinstance(value, (int, float)):
                points.setdefault(name, []).append((entry["step"], value))
    return {name: np.array(pairs, dtype=float).T for name, pairs in points.items()}


def _panels(log_history: Entries) -> list[tuple[Callable[[Axes, dict[str, np.ndarray]], None], dict[str, np.ndarray]]]:
    """What there is to draw, and how."""
    panels: list[tuple[Callable[[Axes, dict[str, np.ndarray]], None], dict[str, np.ndarray]]] = [
        (_losses, curves(log_history, lambda name: name.endswith("loss") and name != "train_loss")),
        (_errors, curves(log_history, lambda name: name.startswith(("action_error/", "token_accuracy")))),
        (_success, curves(log_history, lambda name: name.startswith("rollout/"))),
        (_throughput, curves(log_history, lambda name: name == "frames_per_second")),
        (_rate, curves(log_history, lambda name: name in ("learning_rate", "grad_norm"))),
    ]
    return [(draw, found) for draw, found in panels if found]


def _draw(log_history: Entries, file: Path) -> Path | None:
    """The curves in `file`; None where nothing of the kind was logged."""
    panels = _panels(log_history)
    if not panels:
        return None
    with matplotlib.rc_context(STYLE):
        columns = min(2, len(panels))
        rows = -(-len(panels) // columns)
        figure = Figure(figsize=(6.4 * columns, 3.9 * rows))
        figure.set_layout_engine("constrained", h_pad=0.12)
        places = list(figure.subplots(rows, columns, squeeze=False).flat)
        for (draw, found), axes in zip(panels, places, strict=False):
            draw(axes, found)
            axes.set_xlabel("training step")
            axes.xaxis.set_major_locator(MaxNLocator(integer=True))
            axes.margins(x=0.02)
        for axes in places[len(panels) :]:
            axes.set_visible(False)
        FigureCanvasAgg(figure)
        figure.savefig(file, dpi=130)
    return file


def _lines(axes: Axes, found: dict[str, np.ndarray], label: Callable[[str], str], digits: str) -> None:
    for (name, (steps, values)), colour in zip(found.items(), SERIES * len(found), strict=False):
        axes.plot(steps, values, color=colour, linewidth=1.6, marker="o" if len(steps) < 12 else None, markersize=3,
                  label=f"{label(name)}  {values[-1]:{digits}}")  # fmt: skip
    axes.legend(fontsize=8, ncols=2 if len(found) > 4 else 1)


def _losses(axes: Axes, found: dict[str, np.ndarray]) -> None:
    _lines(
        axes, found, lambda name: "total" if name == "loss" else name.removesuffix("_loss").replace("_", " "), ".3g"
    )
    if all((values > 0).all() for _, values in found.values()):
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.yaxis.set_minor_formatter(NullFormatter())
    axes.set_title("Loss", loc="left", fontweight="bold")


def _errors(axes: Axes, found: dict[str, np.ndarray]) -> None:
    """The worst dimensions by name; the others in grey, for a legend of all would hide the curves."""
    is_error = any(name.startswith("action_error/") for name in found)
    order = sorted(found, key=lambda name: found[name][1][-1], reverse=is_error)
    for name in order[MOST_NAMED:]:
        axes.plot(*found[name], color="0.85", linewidth=0.8, zorder=1)
    named = {name: found[name] for name in order[:MOST_NAMED]}
    _lines(axes, named, lambda name: name.partition("/")[2] or "all", ".3f" if is_error else ".0%")
    title = "Action error (mean absolute, normalised)" if is_error else "Action tokens predicted right"
    shown = f", the {MOST_NAMED} worst of {len(found)}" if len(found) > MOST_NAMED else " by dimension"
    axes.set_title(title + shown, loc="left", fontweight="bold")
    axes.set_ylim(bottom=0)
    if not is_error:
        axes.yaxis.set_major_formatter(PercentFormatter(1))


def _rate(axes: Axes, found: dict[str, np.ndarray]) -> None:
    if "grad_norm" in found:
        axes.plot(*found["grad_norm"], color=BLUE, linewidth=1.2)
        axes.set_ylim(bottom=0)
        axes.set_ylabel("gradient norm", color=BLUE)
    if "learning_rate" in found:
        other = axes.twinx() if "grad_norm" in found else axes
        other.plot(*found["learning_rate"], color=GREEN, linewidth=1.6)
        other.set_ylim(bottom=0)
        other.grid(axes is other)
        other.set_ylabel("learning rate", color=GREEN)
        other.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.set_title("Learning rate and gradient norm", loc="left", fontweight="bold")


def _success(axes: Axes, found: dict[str, np.ndarray]) -> None:
    steps, rate = found["rollout/success_rate"]
    low, high = found["rollout/low"][1], found["rollout/high"][1]
    axes.errorbar(steps, rate, yerr=[rate - low, high - rate], color=GREEN, linewidth=1.8, marker="o", markersize=5,
                  ecolor=GREEN, elinewidth=1.2, capsize=3)  # fmt: skip
    axes.fill_between(steps, low, high, color=GREEN, alpha=0.12, linewidth=0)
    axes.set_ylim(-0.02, 1.02)
    axes.yaxis.set_major_formatter(PercentFormatter(1))
    episodes = int(found["rollout/episodes"][1][-1])
    axes.set_title(f"Success in simulation ({episodes} episodes each, 95 % intervals)", loc="left", fontweight="bold")


def _throughput(axes: Axes, found: dict[str, np.ndarray]) -> None:
    steps, values = found["frames_per_second"]
    axes.plot(steps, values, color=BLUE, linewidth=1.6, marker="o" if len(steps) < 12 else None, markersize=3)
    axes.set_ylim(0, 1.15 * values.max())
    axes.set_title(f"Frames per second (median {np.median(values):.1f})", loc="left", fontweight="bold")


def _last_values(log_history: Entries) -> dict[str, Any]:
    last: dict[str, Any] = {}
    for entry in log_history:
        last |= {name: value for name, value in entry.items() if name not in UNTOLD and "/signal/" not in name}
    return last


def _shown(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(getattr(value, "value", value))
