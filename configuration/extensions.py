"""Code of others that makes backbones, heads, suites or datasets of its own known here."""

from functools import cache
from importlib.metadata import entry_points

GROUP = "robovlms.extensions"
"""Entry points of this group name modules; importing one registers what it brings."""


@cache
def load_extensions() -> None:
    """Import every installed extension, once per process."""
    for extension in entry_points(group=GROUP):
        extension.load()
