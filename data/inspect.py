"""`robovlms data inspect DIR_OR_ID`: prints what a dataset holds and what is wrong with it, and writes it as a page."""

import argparse
import io
import json
from pathlib import Path

import numpy as np
import yaml
from markupsafe import Markup
from PIL import Image

from ..hub_cards.pages import data_url, render_page
from .conventions_report import as_lines, draw_correlation, draw_trace, list_evidence, summarise
from .inspection import inspect_dataset
from .inspection_findings import Inspection

SHOWN_PROBLEMS, SHOWN_TASKS = 50, 200
COLUMNS = ("min", "q01", "mean", "q99", "max", "std")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the command's arguments."""
    parser.add_argument("dataset", help="a LeRobotDataset (a folder, or an id on the Hub), an RLDS or a CALVIN folder")
    parser.add_argument("--revision", help="branch, tag or commit of the Hub id (default: main)")
    parser.add_argument("--output", type=Path, help="the page to write (default: inspect_NAME.html here)")
    parser.add_argument("--json", type=Path, help="file for the findings, for programs (default: none)")
    parser.add_argument("--episodes", type=_indices, help="look at these only: 29,30,40-49 (default: all)")
    parser.add_argument(
        "--options",
        type=_mapping,
        help="options of an RLDS folder, as in a recipe: '{fps: 10, action: [action/joints], cameras: [front], split: val}' "
        "(default: none)",
    )
    parser.add_argument("--filmstrips", type=int, default=8, help="episodes shown as filmstrips")
    parser.add_argument("--decode-all", action="store_true", help="decode every image, to find damage anywhere (slow)")


def run(arguments: argparse.Namespace) -> int:
    """Prints and writes the findings; returns 1 where there are problems, else 0."""
    found = inspect_dataset(
        arguments.dataset,
        arguments.revision,
        arguments.filmstrips if arguments.episodes is None else arguments.episodes,
        decode_all=arguments.decode_all,
        filmstrips=arguments.filmstrips,
        options=arguments.options,
    )
    print(as_text(found))
    if arguments.json is not None:
        arguments.json.parent.mkdir(parents=True, exist_ok=True)
        arguments.json.write_text(json.dumps(as_dict(found), indent=2, default=str) + "\n", encoding="utf-8")
    page = arguments.output or Path(f"inspect_{Path(arguments.dataset).resolve().name}.html")
    page.parent.mkdir(parents=True, exist_ok=True)
    page.write_text(as_html(found), encoding="utf-8")
    print(f"\nPage: {page}")
    return 1 if found.problems else 0


def _indices(text: str) -> list[int]:
    """Whole numbers written as "29,30,40-49"."""
    try:
        spans = [[int(number) for number in part.split("-")] for part in text.split(",")]
        if any(len(span) > 2 or span[0] > span[-1] for span in spans):
            raise ValueError
        return [i for span in spans for i in range(span[0], span[-1] + 1)]
    except ValueError:
        raise argparse.ArgumentTypeError(f"give episodes as 29,30,40-49, got {text!r}") from None


def _mapping(text: str) -> dict:
    """A mapping in YAML."""
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise argparse.ArgumentTypeError(f"not YAML: {error}") from None
    if not isinstance(value, dict):
        raise argparse.ArgumentTypeError(f"give a mapping as {{fps: 10}}, got {text!r}")
    return value


def as_dict(found: Inspection) -> dict:
    """The findings as plain JSON: name, summary, problems, remarks, statistics and names by column, tasks, lengths, and
    conventions (what `infer_conventions` returns, its idle stretches by the episodes' own numbers)."""
    fields = ("name", "summary", "problems", "remarks", "statistics", "names", "tasks", "lengths", "conventions")
    return {field: getattr(found, field) for field in fields}


def as_text(found: Inspection) -> str:
    """The findings for a terminal."""
    lines = [found.name, *(f"  {name}: {value}" for name, value in found.summary.items() if name != "features")]
    for key, stats in found.statistics.items():
        lines.append(f"  {key:<24}" + "".join(f"{name:>12}" for name in COLUMNS))
        for number, name in enumerate(found.names[key]):
            values = (stats[column][number] for column in COLUMNS)
            lines.append(f"    {name:<22}" + "".join(f"{value:12.4g}" for value in values))
    lines += as_lines(found.conventions) if found.conventions else []
    lines += [f"  {count:>6} x {task or '(empty)'}" for task, count in found.tasks.most_common(10)]
    if len(found.tasks) > 10:
        lines.append(f"         ... and {len(found.tasks) - 10} more instructions")
    lines += [f"  note: {remark}" for remark in found.remarks]
    count = len(found.problems)
    lines.append(f"{count} problem{'s' if count > 1 else ''}" if count else "No problems found.")
    lines += [f"  - {problem}" for problem in found.problems[:SHOWN_PROBLEMS]]
    if len(found.problems) > SHOWN_PROBLEMS:
        lines.append(f"  ... and {len(found.problems) - SHOWN_PROBLEMS} more")
    return "\n".join(lines)


def as_html(found: Inspection) -> str:
    """The findings as one page that needs no other file."""
    return render_page(
        Path(__file__).with_name("inspect.html.jinja"),
        {
            "words": _words,
            "histogram": _histogram,
            "filmstrip": _filmstrip,
            "correlation": lambda value, what: Markup(draw_correlation(value, what)),
            "trace": lambda lines: Markup(draw_trace(lines)),
        },
        found=found,
        columns=COLUMNS,
        sentence=summarise(found.conventions) if found.conventions else "",
        evidence=list_evidence(found.conventions) if found.conventions else [],
        tasks=found.tasks.most_common(SHOWN_TASKS),
    )


def _words(value: object) -> str:
    """A feature (dtype, *shape), or a split (first episode, end)."""
    if not isinstance(value, tuple):
        return str(value)
    if isinstance(value[0], str):
        return f"{value[0]} ({' x '.join(map(str, value[1:]))})" if value[1:] else value[0]
    return f"episodes {value[0]} ... {value[1] - 1}"


def _histogram(values: np.ndarray, bins: int = 48, width: int = 240, height: int = 36) -> list[tuple[float, float]]:
    """The bars that are not empty: place of the left side and height, in pixels."""
    counts, _ = np.histogram(values, bins=bins)
    tallest = max(1, counts.max())
    return [(i * width / bins, round(height * n / tallest, 1)) for i, n in enumerate(counts.tolist()) if n]


def _filmstrip(images: np.ndarray, height: int = 128) -> str:
    """Images side by side as a JPEG in a data URL."""
    width = max(1, round(images.shape[2] * height / images.shape[1]))
    strip = Image.new("RGB", (width * len(images), height))
    for number, image in enumerate(images):
        strip.paste(Image.fromarray(image).resize((width, height)), (number * width, 0))
    file = io.BytesIO()
    strip.save(file, "JPEG", quality=85)
    return data_url(file.getvalue(), "jpeg")
