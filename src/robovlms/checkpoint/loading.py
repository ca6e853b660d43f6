"""A checkpoint or an adapter, from a folder or the Hub."""

from pathlib import Path
from typing import Any

from huggingface_hub import snapshot_download
from transformers import AutoModel, AutoProcessor

from robovlms.configuration.hub_access import require_reachable
from robovlms.modeling_robovlms.adapters import load_adapter


def load_checkpoint(name_or_path: str | Path, revision: str | None = None) -> tuple[Any, Any]:
    """Model and processor. An adapter is put on its base: another VLA, or the vision-language model over which the
    adapter's VLA was built."""
    folder = checkpoint_folder(name_or_path, revision)
    adapted = (folder / "adapter_config.json").exists()
    model = load_adapter(str(folder)) if adapted else AutoModel.from_pretrained(folder)
    return model.eval(), AutoProcessor.from_pretrained(folder)


def checkpoint_folder(name_or_path: str | Path, revision: str | None = None) -> Path:
    """Return the folder itself, or the one into which a repository of the Hub is downloaded."""
    folder = Path(name_or_path)
    require_reachable(name_or_path)
    return folder if folder.is_dir() else Path(snapshot_download(str(name_or_path), revision=revision))
