"""Code of others that makes backbones, heads, suites or datasets of its own known here."""

import os
import sys
from collections.abc import Iterable
from functools import cache
from importlib import import_module
from importlib.metadata import entry_points

GROUP = "robovlms.extensions"
"""Entry points of this group name modules; importing one registers what it brings."""


@cache
def load_extensions() -> None:
    """Import every installed extension, once per process."""
    for extension in entry_points(group=GROUP):
        extension.load()


def import_modules(names: Iterable[str]) -> None:
    """Import extensions that are not installed, by name; modules of the current folder are found, too.

    Raises:
        ValueError: there is no module of such a name.
    """
    if os.getcwd() not in sys.path and "" not in sys.path:
        sys.path.append(os.getcwd())
    for name in names:
        try:
            import_module(name)
        except ModuleNotFoundError as error:
            if error.name is None or not f"{name}.".startswith(f"{error.name}."):
                raise  # the module is there and lacks something itself
            raise ValueError(
                f"--import {name}: there is no module {error.name!r}, installed or in {os.getcwd()}."
            ) from error
