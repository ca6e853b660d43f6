"""`robovlms data inspect DIR_OR_ID`: prints what a dataset holds and what is wrong with it, and writes it as a page."""

import argparse
import base64
import html
import io
from pathlib import Path

import numpy as np
from PIL import Image

from .inspection import inspect_dataset
from .inspection_findings import Inspection

SHOWN_PROBLEMS, SHOWN_TASKS = 50, 200
STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 70rem; margin: 2rem auto; padding: 0 1rem; color: #222 }
table { border-collapse: collapse } td, th { padding: .15rem .8rem .15rem 0; text-align: left; vertical-align: top }
.problem { color: #b00020 } .fine { color: #1b5e20 } .number { text-align: right; font-variant-numeric: tabular-nums }
img { display: block; width: 100%; margin-bottom: .8rem } svg { vertical-align: middle } code { font-size: 90% }
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the command's arguments."""
    parser.add_argument("dataset", help="a LeRobotDataset (a folder, or an id on the Hub) or a CALVIN folder")
    parser.add_argument("--revision", help="branch, tag or commit of the Hub id")
    parser.add_argument("--output", type=Path, help="the page to write (default: inspect_NAME.html here)")
    parser.add_argument("--episodes", type=int, default=8, help="episodes shown as filmstrips")
    parser.add_argument("--decode-all", action="store_true", help="decode every image, to find damage anywhere (slow)")


def run(arguments: argparse.Namespace) -> int:
    """Prints and writes the findings; returns 1 where there are problems, else 0."""
    found = inspect_dataset(arguments.dataset, arguments.revision, arguments.episodes, decode_all=arguments.decode_all)
    print(as_text(found))
    page = arguments.output or Path(f"inspect_{Path(arguments.dataset).resolve().name}.html")
    page.parent.mkdir(parents=True, exist_ok=True)
    page.write_text(as_html(found), encoding="utf-8")
    print(f"\nPage: {page}")
    return 1 if found.problems else 0


def as_text(found: Inspection) -> str:
    """The findings for a terminal."""
    lines = [found.name, *(f"  {name}: {value}" for name, value in found.summary.items() if name != "features")]
    for key, stats in found.statistics.items():
        lines.append(f"  {key:<24}" + "".join(f"{name:>12}" for name in ("min", "q01", "mean", "q99", "max", "std")))
        for number, name in enumerate(found.names[key]):
            values = (stats[column][number] for column in ("min", "q01", "mean", "q99", "max", "std"))
            lines.append(f"    {name:<22}" + "".join(f"{value:12.4g}" for value in values))
    lines += [f"  {count:>6} x {task or '(empty)'}" for task, count in found.tasks.most_common(10)]
    if len(found.tasks) > 10:
        lines.append(f"         ... and {len(found.tasks) - 10} more instructions")
    lines.append(f"{len(found.problems)} problems" if found.problems else "No problems found.")
    lines += [f"  - {problem}" for problem in found.problems[:SHOWN_PROBLEMS]]
    if len(found.problems) > SHOWN_PROBLEMS:
        lines.append(f"  ... and {len(found.problems) - SHOWN_PROBLEMS} more")
    return "\n".join(lines)


def as_html(found: Inspection) -> str:
    """The findings as one page that needs no other file."""
    name = html.escape(found.name)
    if found.problems:
        problems = "".join(f"<li class=problem>{html.escape(problem)}</li>" for problem in found.problems)
        problems = f"<ul>{problems}</ul>"
    else:
        problems = "<p class=fine>None found.</p>"
    rows = "".join(f"<tr><th>{html.escape(name)}<td>{_cell(value)}" for name, value in found.summary.items())
    tasks = "".join(f"<tr><td class=number>{n}<td>{html.escape(t)}" for t, n in found.tasks.most_common(SHOWN_TASKS))
    if len(found.tasks) > SHOWN_TASKS:
        tasks += f"<tr><td><td>... and {len(found.tasks) - SHOWN_TASKS} more"
    strips = "".join(
        f"<p><b>Episode {episode}</b>, {html.escape(camera)}: {html.escape(task)}</p>"
        f"<img alt='episode {episode}, {html.escape(camera)}' src='{_filmstrip(images)}'>"
        for episode, camera, task, images in found.filmstrips
    )
    return (
        f"<!doctype html><html lang=en><meta charset=utf-8><title>{name}</title><style>{STYLE}</style><h1>{name}</h1>"
        f"<h2>Problems</h2>{problems}<h2>Contents</h2><table>{rows}</table>"
        + "".join(_histograms(found, key) for key in found.statistics)
        + f"<h2>Instructions</h2><table>{tasks}</table><h2>Episodes</h2>{strips}</html>\n"
    )


def _cell(value: object) -> str:
    if not isinstance(value, dict):
        return html.escape(str(value))
    parts = {key: " ".join(map(str, part)) if isinstance(part, tuple) else str(part) for key, part in value.items()}
    return "<br>".join(f"<code>{html.escape(key)}</code> {html.escape(part)}" for key, part in parts.items())


def _histograms(found: Inspection, key: str) -> str:
    stats, rows = found.statistics[key], []
    columns = ("min", "q01", "mean", "q99", "max", "std")
    for number, name in enumerate(found.names[key]):
        cells = "".join(f"<td class=number>{stats[column][number]:.4g}" for column in columns)
        rows.append(f"<tr><td>{html.escape(name)}{cells}<td>{_histogram(found.columns[key][:, number])}")
    head = "".join(f"<th>{column}" for column in columns)
    return (
        f"<h2><code>{html.escape(key)}</code></h2><table><tr><th>dimension{head}<th>min ... max{''.join(rows)}</table>"
    )


def _histogram(values: np.ndarray, bins: int = 48, width: int = 240, height: int = 36) -> str:
    counts, _ = np.histogram(values, bins=bins)
    bar, tallest = width / bins, max(1, counts.max())
    bars = "".join(
        f"<rect x='{i * bar:.1f}' y='{height - height * n / tallest:.1f}' width='{bar:.1f}' height='{height * n / tallest:.1f}'/>"
        for i, n in enumerate(counts.tolist())
        if n
    )
    return f"<svg width='{width}' height='{height}' fill='#4a6fa5' role='img' aria-label='histogram'>{bars}</svg>"


def _filmstrip(images: np.ndarray, height: int = 128) -> str:
    """Images side by side as a JPEG in a data URL."""
    width = max(1, round(images.shape[2] * height / images.shape[1]))
    strip = Image.new("RGB", (width * len(images), height))
    for number, image in enumerate(images):
        strip.paste(Image.fromarray(image).resize((width, height)), (number * width, 0))
    file = io.BytesIO()
    strip.save(file, "JPEG", quality=85)
    return f"data:image/jpeg;base64,{base64.b64encode(file.getvalue()).decode()}"
