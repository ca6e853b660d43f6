"""The suites of this package's simulators, by name. Each is imported when it is asked for."""

from functools import partial
from importlib import import_module
from typing import Any

from ..evaluation.suite import Suite
from ..evaluation.suites import register_suite
from .libero.benchmarks import BENCHMARKS


def _build(simulator: str, function: str, *arguments: Any, **options: Any) -> Suite:
    return getattr(import_module(f".{simulator}.suite", __package__), function)(*arguments, **options)


register_suite("tabletop", partial(_build, "tabletop", "tabletop_suite"))
register_suite("calvin", partial(_build, "calvin", "calvin_suite"))
register_suite("metaworld", partial(_build, "metaworld", "metaworld_suite"))
register_suite("simpler_widowx", partial(_build, "simpler", "simpler_widowx_suite"))
for _benchmark in BENCHMARKS:
    register_suite(_benchmark, partial(_build, "libero", "libero_suite", _benchmark))
