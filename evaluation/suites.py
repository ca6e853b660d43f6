"""The known suites, by name."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..configuration.extensions import load_extensions
from .suite import Suite

_SUITES: dict[str, Callable[..., Suite]] = {}


def register_suite(name: str, build: Callable[..., Suite]) -> None:
    """Make a suite known by name; `build` is called, with the suite's options, whenever it is asked for."""
    _SUITES[name] = build


def suite_names() -> list[str]:
    """Return the names that `get_suite` knows."""
    load_extensions()
    return sorted(_SUITES)


def get_suite(name: str, **options: Any) -> Suite:
    """Return the suite of that name, for example `get_suite("tabletop", image_size=96)`.

    Raises:
        ValueError: there is none; the message lists those that exist.
        TypeError: the suite has no such option.
    """
    if name not in suite_names():
        raise ValueError(f"suite: unknown {name!r}, there are {suite_names()}")
    told = {option: value for option, value in options.items() if not _is_path(value)}
    return replace(_SUITES[name](**options), options=told)


def _is_path(value: Any) -> bool:
    return isinstance(value, Path) or (isinstance(value, str) and Path(value).exists())
