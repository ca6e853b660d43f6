"""Where an interrupted run goes on, and where a new one begins."""

import json
import re
import zipfile
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from transformers import AutoConfig

from ..configuration.action_contract import ActionContract
from ..configuration.configuration_robovlms import RoboVLMConfig
from ..configuration.hub_access import require_reachable
from ..modeling_robovlms import STRUCTURES, RoboVLMPreTrainedModel
from ..modeling_robovlms.modeling_robovlms import OWN_MODULES
from ..processing.processing_robovlms import RoboVLMProcessor
from .taking_over import take_over


def last_complete_checkpoint(folder: str | Path, processes: int = 1) -> str | None:
    """The newest `checkpoint-N` of a Trainer's output folder that was written to its end, or None.

    A run that is killed while it saves leaves a folder that `transformers.trainer_utils.get_last_checkpoint` would
    choose and that cannot be loaded.

    Args:
        folder: the Trainer's `output_dir`.
        processes: how many wrote it, where its state doesn't say (a Trainer without `KeepCheckpoints`).
    """
    complete = complete_checkpoints(folder, processes)
    return str(complete[-1]) if complete else None


def complete_checkpoints(folder: str | Path, processes: int = 1) -> list[Path]:
    """The `checkpoint-N` that were written to their end, oldest first."""
    return [path for path in _checkpoints(folder) if _is_complete(path, processes)]


def incomplete_checkpoints(folder: str | Path, processes: int = 1) -> list[Path]:
    """The `checkpoint-N` whose writing was cut off."""
    return [path for path in _checkpoints(folder) if not _is_complete(path, processes)]


def recorded_run(state: dict[str, Any]) -> dict[str, Any]:
    """What `KeepCheckpoints` noted of the run in a `trainer_state.json`; empty where it wasn't there."""
    noted = (state.get("stateful_callbacks") or {}).get("KeepCheckpoints")
    return noted["args"]["run"] if isinstance(noted, dict) else {}


def read_state(folder: str | Path) -> dict[str, Any] | None:
    """The folder's `trainer_state.json`, or None where there is none or it was cut off."""
    try:
        return json.loads((Path(folder) / "trainer_state.json").read_text(encoding="utf-8"))
    except (FileNotFoundError, json.JSONDecodeError):
        return None


def _checkpoints(folder: str | Path) -> list[Path]:
    found = {int(match[1]): path for path in Path(folder).glob("checkpoint-*") if (match := _NAME.match(path.name))}
    return [found[step] for step in sorted(found)]


_NAME = re.compile(r"checkpoint-(\d+)$")


def _is_complete(checkpoint: Path, processes: int) -> bool:
    """The first process writes the Trainer's state last, but the others' random states may come later still. A torch
    file that was cut off is no zip archive, weights that were cut off are shorter than their header says."""
    if (state := read_state(checkpoint)) is None:
        return False
    run = recorded_run(state)
    random_states = {path.name for path in checkpoint.glob("rng_state*.pth")}
    written_by = run.get("processes", 1 if "rng_state.pth" in random_states else processes)
    expected = {"rng_state.pth"} if written_by == 1 else {f"rng_state_{index}.pth" for index in range(written_by)}
    if not run.get("save_only_model") and not expected <= random_states:
        return False
    torch_files = [*checkpoint.glob("*.pt"), *checkpoint.glob("*.pth")]
    return all(map(zipfile.is_zipfile, torch_files)) and all(map(_is_whole, checkpoint.glob("*.safetensors")))


def _is_whole(weights: Path) -> bool:
    try:
        with safe_open(weights, "pt"):
            return True
    except SafetensorError:
        return False


def contract_defaults(checkpoint: str) -> dict[str, Any]:
    """Window, chunk and normalisation of a VLA to go on from: what its embodiments agree on."""
    require_reachable(checkpoint)
    contracts = RoboVLMProcessor.from_pretrained(checkpoint).contracts.values()
    names = ("window_size", "history_stride", "chunk_size", "n_action_steps")
    found = {name: {getattr(contract, name) for contract in contracts} for name in names}
    found["normalization"] = {contract.action.normalization for contract in contracts}
    return {name: values.pop() for name, values in found.items() if len(values) == 1}


def start_from(
    checkpoint: str, contracts: ActionContract | dict[str, ActionContract], **model_options: Any
) -> tuple[RoboVLMPreTrainedModel, RoboVLMProcessor, list[str]]:
    """A trained VLA under new contracts, for post-training: backbone, structure, head, prompt and action tokenizer
    are the checkpoint's.

    Args:
        checkpoint: folder or Hub id of a VLA.
        contracts: the new embodiments; they replace the checkpoint's.
        model_options: for `from_pretrained`.

    Returns:
        The model, its processor, and the names of the parameters that the new contracts give another size: dimensions
        that the checkpoint has are taken over, what is left of them starts anew.

    Raises:
        ValueError: if the checkpoint is no VLA, or weights of the backbone are missing or differ in size.
    """
    config = AutoConfig.from_pretrained(checkpoint)
    if not isinstance(config, RoboVLMConfig):
        raise ValueError(f"{checkpoint} holds the config of a {config.model_type!r}, not that of a VLA.")
    old = RoboVLMProcessor.from_pretrained(checkpoint)
    own: dict[str, Any] = old.to_dict() | {"contracts": contracts}
    processor = RoboVLMProcessor(old.backbone_processor, **own)
    contract = next(iter(processor.contracts.values()))
    fields = config.to_dict() | contract.model_sizes | processor.model_fields
    vla_class = STRUCTURES[type(config).structure]
    vla, info = vla_class.from_pretrained(
        checkpoint,
        config=type(config).from_dict(fields),
        ignore_mismatched_sizes=True,
        output_loading_info=True,
        **model_options,
    )
    changed = sorted({*info["missing_keys"], *(entry[0] for entry in info["mismatched_keys"])})
    if lost := [key for key in changed if key.split(".")[0] not in OWN_MODULES]:
        raise ValueError(f"{checkpoint} does not hold the whole backbone: {lost[:8]} ({len(lost)} in all).")
    vla.own_modules_to_float32()
    take_over(vla, checkpoint, config, (entry[0] for entry in info["mismatched_keys"]))
    return vla, processor, changed
