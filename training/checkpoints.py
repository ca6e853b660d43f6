"""Where an interrupted run goes on, and where a new one begins."""

import json
import re
import zipfile
from pathlib import Path
from typing import Any

from transformers import AutoConfig

from ..configuration.action_contract import ActionContract
from ..configuration.configuration_robovlms import RoboVLMConfig
from ..configuration.hub_access import require_reachable
from ..modeling_robovlms import STRUCTURES, RoboVLMPreTrainedModel
from ..modeling_robovlms.modeling_robovlms import OWN_MODULES
from ..processing.processing_robovlms import RoboVLMProcessor
from .taking_over import take_over


def last_complete_checkpoint(folder: str | Path, processes: int = 1) -> str | None:
    """The newest `checkpoint-N` of a Trainer's output folder that `processes` wrote to its end, or None.

    A run that is killed while it saves leaves a folder that `transformers.trainer_utils.get_last_checkpoint` would
    choose and that cannot be loaded.
    """
    found = {int(match[1]): path for path in Path(folder).glob("checkpoint-*") if (match := _NAME.match(path.name))}
    complete = [found[step] for step in sorted(found, reverse=True) if _is_complete(found[step], processes)]
    return str(complete[0]) if complete else None


_NAME = re.compile(r"checkpoint-(\d+)$")


def _is_complete(checkpoint: Path, processes: int) -> bool:
    """The Trainer writes its state last; other processes' random states may come later still. A torch file that was
    cut off is no zip archive."""
    try:
        json.loads((checkpoint / "trainer_state.json").read_text())
    except (FileNotFoundError, json.JSONDecodeError):
        return False
    states = len(list(checkpoint.glob("rng_state*.pth")))
    files = [*checkpoint.glob("*.pt"), *checkpoint.glob("*.pth")]
    return states >= processes and all(zipfile.is_zipfile(file) for file in files)


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
