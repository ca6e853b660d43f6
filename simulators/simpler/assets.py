"""Where ManiSkill keeps the models of SimplerEnv's WidowX tasks, and what is missing of them."""

import hashlib
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Literal

from .tasks import TASKS

Table = Literal["published", "flat_box"]

VARIABLE = "MS_ASSET_DIR"
"""ManiSkill's environment variable for the folder of its downloads."""
SCENES = "data/tasks/bridge_v2_real2sim_dataset"
ROBOT = "data/robots/widowx/wx250s.urdf"
HOW = (
    "Get them with `python -m mani_skill.utils.download_asset bridge_v2_real2sim -y` and "
    "`python -m mani_skill.utils.download_asset widowx250s -y`"
)


class MissingAssetsError(FileNotFoundError):
    """Models of SimplerEnv are not where ManiSkill looks for them; the message says how to get them."""


def assets_folder() -> Path:
    """Return the folder under which ManiSkill looks for its downloads."""
    return Path(os.environ.get(VARIABLE) or Path.home() / ".maniskill").expanduser()


def check_assets(tasks: Iterable[str], table: Table) -> None:
    """Make sure that everything that these tasks load is there.

    Raises:
        MissingAssetsError: it isn't; the message names what is missing.
    """
    folder = assets_folder()
    missing = [name for name in _files(tasks, table) if not (folder / name).exists()]
    if missing:
        stages = [name for name in missing if name.startswith(f"{SCENES}/stages/")]
        hint = ", or take table='flat_box', which is not the published scene" if missing == stages else ""
        raise MissingAssetsError(
            f"SimplerEnv's models in {folder} ({VARIABLE}) lack {', '.join(missing)}. {HOW}{hint}."
        )


def assets_checksum(tasks: Iterable[str], table: Table) -> str:
    """SHA-256 over the files (names and bytes) that these tasks load, for records."""
    digest = hashlib.sha256()
    for name in _files(tasks, table):
        root = assets_folder() / name
        for path in [root] if root.is_file() else sorted(path for path in root.rglob("*") if path.is_file()):
            digest.update(path.relative_to(assets_folder()).as_posix().encode() + b"\0")
            digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def _files(tasks: Iterable[str], table: Table) -> list[str]:
    chosen = [TASKS[name] for name in tasks]
    names = {ROBOT}
    names |= {f"{SCENES}/custom/{task.model_list}" for task in chosen}
    names |= {f"{SCENES}/real_inpainting/{task.photograph}" for task in chosen}
    names |= {f"{SCENES}/custom/models/{model}" for task in chosen for model in task.objects}
    if table == "published":
        names |= {f"{SCENES}/stages/{task.stage}" for task in chosen}
    return sorted(names)
