"""Where CALVIN's published assets (tables, blocks, robot) are."""

import hashlib
import os
from pathlib import Path

from .scenes import Scene

SOURCE = "https://github.com/mees/calvin_env"
"""The official source of the assets (MIT licence)."""
VARIABLE = "CALVIN_ASSETS"
"""Environment variable that names the folder where none is given."""

ROBOT = "franka_panda/panda_longer_finger.urdf"
PLANE = "plane/plane.urdf"


class MissingAssetsError(FileNotFoundError):
    """CALVIN's assets are not where they were looked for; the message says how to get them."""


def table_file(scene: Scene) -> str:
    return f"calvin_table_{scene.table}/urdf/calvin_table_{scene.table}.urdf"


def block_file(color: str, size: str) -> str:
    return f"blocks/block_{color}_{size}.urdf"


def find_assets(folder: str | Path | None, scene: Scene) -> Path:
    """Return the folder that holds the models of a scene.

    Args:
        folder: a checkout of calvin_env or of calvin, or the `data` folder in it; the environment variable
            `CALVIN_ASSETS` by default.
        scene: what must be there.

    Raises:
        MissingAssetsError: it isn't there, or not whole.
    """
    how = f"Get them with `git clone --depth 1 {SOURCE}` and give the folder as `assets`, or in {VARIABLE}."
    folder = folder if folder is not None else os.environ.get(VARIABLE)
    if not folder:
        raise MissingAssetsError(f"CALVIN's assets: no folder was given. {how}")
    given = Path(folder).expanduser()
    for candidate in (given, given / "data", given / "calvin_env" / "data"):
        if (candidate / "franka_panda").is_dir():
            break
    else:
        raise MissingAssetsError(f"CALVIN's assets are not in {given}: it holds no franka_panda. {how}")
    missing = [name for name in scene_files(scene) if not (candidate / name).is_file()]
    if missing:
        raise MissingAssetsError(f"CALVIN's assets in {candidate} lack {', '.join(missing)}. {how}")
    return candidate.resolve()


def scene_files(scene: Scene) -> list[str]:
    """Return the model files of a scene, relative to the assets' folder."""
    return [ROBOT, *(block_file(*block) for block in scene.blocks.items()), table_file(scene), PLANE]


def assets_checksum(folder: Path, scene: Scene) -> str:
    """SHA-256 over every file (names and bytes) in the folders from which a scene is loaded, for records."""
    digest = hashlib.sha256()
    for root in sorted({name.split("/")[0] for name in scene_files(scene)}):
        for path in sorted(path for path in (folder / root).rglob("*") if path.is_file()):
            digest.update(path.relative_to(folder).as_posix().encode() + b"\0")
            digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()
