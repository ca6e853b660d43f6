"""What an inspection of a dataset found, and what makes a column suspicious."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .statistics import compute_statistics

FAR = 5.0  # a value further outside q01 ... q99 than this many times their distance is called out of range


@dataclass
class Inspection:
    """Findings about one dataset: `problems` spoil training, `remarks` one should know. `filmstrips` holds (episode, camera,
    task, images uint8 (n, height, width, 3)); `conventions` is what `infer_conventions` found, with the numbers of the
    dataset's episodes; `traces` shows it: of a moving action dimension by name the action (frames,) and, where there is a
    state, what it goes with (frames,)."""

    name: str
    summary: dict[str, object] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    statistics: dict[str, dict] = field(default_factory=dict)
    columns: dict[str, np.ndarray] = field(default_factory=dict)
    names: dict[str, list[str]] = field(default_factory=dict)
    tasks: Counter = field(default_factory=Counter)
    lengths: list[int] = field(default_factory=list)
    filmstrips: list[tuple[int, str, str, np.ndarray]] = field(default_factory=list)
    conventions: dict[str, Any] = field(default_factory=dict)
    traces: dict[str, list[np.ndarray]] = field(default_factory=dict)

    def add_problem(self, problem: str) -> None:
        """Adds a problem that may have been met before."""
        if problem not in self.problems:
            self.problems.append(problem)

    def add_filmstrip(self, episode: int, camera: str, task: str, images: np.ndarray) -> None:
        if images.std() < 1:
            self.problems.append(f"camera {camera!r} shows one flat colour in episode {episode}")
        self.filmstrips.append((episode, camera, task, images))


def instruction_problems(tasks: Counter) -> Iterator[str]:
    """Of episodes counted by instruction: those that have none."""
    if count := sum(n for task, n in tasks.items() if not task.strip()):
        yield f"{count} episodes with no instruction"


def add_vector(
    found: Inspection, key: str, values: np.ndarray, names: Sequence[str], place: Callable[[int], str]
) -> None:
    """Adds the finite rows of `values` (rows, width), their statistics, and what is suspicious; `place` names a row."""
    found.columns[key], found.names[key] = values[np.isfinite(values).all(axis=1)], list(names)
    if len(found.columns[key]):
        found.statistics[key] = compute_statistics(found.columns[key])
        found.problems += _dimension_problems(found, key, values, place)


def _dimension_problems(found: Inspection, key: str, values: np.ndarray, place: Callable[[int], str]) -> Iterator[str]:
    """Dimensions that never move, or have values far out of their range."""
    stats = found.statistics[key]
    for number, name in enumerate(found.names[key]):
        low, high = stats["q01"][number], stats["q99"][number]
        if stats["min"][number] == stats["max"][number]:
            yield f"{key} {name!r} never changes: always {stats['min'][number]:g}"
            continue
        column = np.nan_to_num(values[:, number].astype(np.float64), nan=low, posinf=low, neginf=low)
        reach = FAR * max(high - low, 1e-12)
        outside = np.flatnonzero((column < low - reach) | (column > high + reach))
        if len(outside) and high > low:
            worst = outside[np.argmax(np.abs(column[outside] - (low + high) / 2))]
            yield (
                f"{key} {name!r} is far out of its range {low:g} ... {high:g} (q01 ... q99) in {len(outside)} frames, "
                f"the worst {column[worst]:g} at {place(int(worst))}"
            )
