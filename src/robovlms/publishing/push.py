"""Publishing a folder on the Hub: a checkpoint, an adapter or a dataset, in one commit."""

import json
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from huggingface_hub import CommitInfo, CommitOperationAdd, CommitOperationDelete, HfApi

from robovlms.checkpoint.loading import load_checkpoint
from robovlms.checkpoint.record import FILE as RECORD_FILE
from robovlms.checkpoint.record import CheckpointRecord
from robovlms.data.lerobot_metadata import LeRobotMetadata
from robovlms.hub_cards.model_card import is_repo_id

from .cards import write_cards
from .private_details import find_private_details_of
from .published_files import find_pickled_weights, published_files


class NotPublishable(ValueError):
    """The folder holds something that must not be published, or lacks something; the message says what."""


def push(
    folder: str | Path,
    repo_id: str,
    *,
    private: bool | None = None,
    revision: str | None = None,
    token: str | None = None,
    commit_message: str | None = None,
    license: str | None = None,
    datasets: list[str] | None = None,
    base_model: str | None = None,
) -> CommitInfo:
    """Publish what a reader needs of `folder`, and nothing else.

    A checkpoint's card and `.eval_results/` are written first. Weights that were uploaded before an interruption are
    not uploaded again. Weight files of an earlier commit that the folder no longer has are removed.

    Args:
        folder: a checkpoint, an adapter (`adapter_config.json`) or a LeRobotDataset (`meta/info.json`).
        repo_id: created if needed.
        private, revision, token, commit_message: as in huggingface_hub. Never write a token into a file: `hf auth
            login` or `HF_TOKEN`.
        license, datasets: metadata of a checkpoint's card.
        base_model: Hub id of an adapter's base, where the adapter was trained on a local folder.

    Raises:
        NotPublishable: pickled weights; paths, tokens or host names in a file; an adapter whose base is a local folder.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder} is no folder.")
    is_dataset = (folder / "meta" / "info.json").exists()
    if is_dataset:
        LeRobotMetadata(folder)  # refuses one that is still being written
        files = [file for file in sorted(folder.rglob("*")) if file.is_file() and ".cache" not in file.parts]
    else:
        if (folder / "adapter_config.json").exists():
            point_to_base(folder / "adapter_config.json", base_model)
        require_safe_weights(folder)
        write_record_if_missing(folder)
        write_cards(folder, repo_id=repo_id, license=license, datasets=datasets)
        files = published_files(folder)
    here = {file.relative_to(folder).as_posix(): clean_of_paths(file) for file in files}
    require_nothing_private(here)

    api, repo_type = HfApi(token=token), "dataset" if is_dataset else "model"
    repo_id = api.create_repo(repo_id, private=private, repo_type=repo_type, exist_ok=True).repo_id
    if revision is not None:
        api.create_branch(repo_id, branch=revision, repo_type=repo_type, exist_ok=True)
    there = api.list_repo_files(repo_id, repo_type=repo_type, revision=revision)
    stale = [name for name in there if fnmatch(name, "*.safetensors*") and name not in here]
    operations: list[Any] = [CommitOperationAdd(name, content) for name, content in here.items()]
    operations += [CommitOperationDelete(name) for name in stale]
    return api.create_commit(
        repo_id,
        operations,
        commit_message=commit_message or f"Upload {folder.resolve().name}",
        repo_type=repo_type,
        revision=revision,
    )


def point_to_base(file: Path, base_model: str | None) -> None:
    """Make an adapter name a base that its readers can load."""
    config = json.loads(file.read_text(encoding="utf-8"))
    if base_model is not None:
        config["base_model_name_or_path"] = base_model
        file.write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
    if not is_repo_id(config.get("base_model_name_or_path") or ""):
        raise NotPublishable(
            f"The adapter's base is {config.get('base_model_name_or_path')!r}, which is not on the Hub: publish the base "
            "and name it with --base-model ID."
        )


def write_record_if_missing(folder: Path) -> None:
    """Ask the checkpoint for its golden sample, where model and processor were not saved together."""
    if not (folder / "processor_config.json").exists():
        return
    if not (folder / RECORD_FILE).exists() or not CheckpointRecord.load(folder).golden_samples:
        model, processor = load_checkpoint(folder)
        CheckpointRecord.of(model, processor, folder).save(folder)


def require_safe_weights(folder: Path) -> None:
    """Raises NotPublishable for pickles, or no weights at all."""
    if pickles := find_pickled_weights(folder):
        raise NotPublishable(f"{pickles} are pickles, whose loading can run code: save safetensors and remove them.")
    if not list(folder.glob("*.safetensors")):
        raise NotPublishable(f"{folder} holds no weights (*.safetensors).")


def clean_of_paths(file: Path) -> str | bytes:
    """Return the file's path, or its content without the one local path that the Trainer writes into its state."""
    if file.name != "trainer_state.json":
        return str(file)
    state = json.loads(file.read_text(encoding="utf-8")) | {"best_model_checkpoint": None}
    return (json.dumps(state, indent=2) + "\n").encode()


def require_nothing_private(contents: dict[str, str | bytes]) -> None:
    """Raises NotPublishable naming what a file gives away."""
    details = [
        f"{name}: {detail}" for name, content in contents.items() for detail in find_private_details_of(name, content)
    ]
    if details:
        raise NotPublishable("Nothing was published, because files give away " + "; ".join(details[:8]) + ".")
