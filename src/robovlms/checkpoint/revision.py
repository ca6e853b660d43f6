"""Which weights and which contract a score is of."""

import hashlib
from pathlib import Path
from typing import Any

from .record import sha256

FILES = ("*.safetensors", "config.json", "processor_config.json", "adapter_config.json")


def revision_of(name_or_path: str | Path, model: Any) -> str | None:
    """Return the Hub's commit of a model that was loaded from there; of a folder a hash of weights and configs."""
    folder = Path(name_or_path)
    if not folder.is_dir():
        return getattr(model.config, "_commit_hash", None)
    digest = hashlib.sha256()
    for file in sorted(file for pattern in FILES for file in folder.glob(pattern)):
        digest.update(f"{file.name} {sha256(file)}\n".encode())
    return f"sha256:{digest.hexdigest()[:16]}"
