"""The version of this package; here, so that it travels with a checkpoint's code."""

from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version
from platform import python_version

VERSION = "0.1.0"


def library_versions(libraries: Iterable[str]) -> dict[str, str]:
    """Python's version, this package's, and those of the libraries that are installed."""
    found = {"python": python_version(), "robovlms": VERSION}
    for name in libraries:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
