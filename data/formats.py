"""In which format a folder of demonstrations is."""

from pathlib import Path
from typing import Literal

from .calvin import ANNOTATIONS
from .errors import DatasetError

Format = Literal["lerobot", "calvin", "rlds"]


def find_format(name_or_path: str | Path) -> Format:
    """By the files that are there; what is no folder is taken for a Hub id of a LeRobotDataset."""
    folder = Path(name_or_path)
    if any((folder / part / ANNOTATIONS).exists() for part in ("", "training", "validation")):
        return "calvin"
    has_features = (folder / "features.json").exists() or next(folder.glob("*/features.json"), None) is not None
    return "rlds" if has_features and not (folder / "meta").is_dir() else "lerobot"


def find_rlds_folder(folder: str | Path) -> Path:
    """Return the folder in which features.json lies: `folder`, or the one version below it (bridge_dataset -> 1.0.0).

    Raises:
        DatasetError: where there are several versions; they are listed.
    """
    folder = Path(folder)
    if (folder / "features.json").exists():
        return folder
    versions = sorted(path.parent for path in folder.glob("*/features.json"))
    if len(versions) > 1:
        names = [version.name for version in versions]
        raise DatasetError(f"several versions, {names}: give the path of one", folder)
    return versions[0] if versions else folder
