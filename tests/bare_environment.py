"""A virtual environment that holds some packages and what they need, and nothing else."""

import re
import sys
import venv
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from packaging.requirements import Requirement

# Pillow and torchvision for image processors, num2words for that of SmolVLM.
WANTED = ("transformers", "torch", "safetensors", "pillow", "torchvision", "num2words")


def bare_environment(folder: Path, wanted: tuple[str, ...] = WANTED) -> Path:
    """Make the environment out of links to the running one's packages; returns its interpreter."""
    venv.create(folder, with_pip=False, symlinks=True)
    (site_packages,) = folder.glob("lib/python*/site-packages")
    for name in requirements(wanted):
        for file in distribution(name).files or ():
            top = file.parts[0]
            if top not in ("..", "__pycache__") and not (site_packages / top).exists():
                (site_packages / top).symlink_to(distribution(name).locate_file(top))
    return folder / "bin" / Path(sys.executable).name


def requirements(names: tuple[str, ...]) -> set[str]:
    """The names and all that they depend on, as far as it is installed."""
    found: set[str] = set()
    waiting = list(names)
    while waiting:
        name = re.sub(r"[-_.]+", "-", waiting.pop()).lower()
        if name in found:
            continue
        try:
            needed = distribution(name).requires or ()
        except PackageNotFoundError:
            continue
        found.add(name)
        parsed = [Requirement(text) for text in needed]
        waiting += [one.name for one in parsed if one.marker is None or one.marker.evaluate({"extra": ""})]
    return found
