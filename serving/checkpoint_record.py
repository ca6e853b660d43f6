"""What a checkpoint says of itself beside its weights: `checkpoint_record.json`.

It is written when a model and its processor are saved into one folder, from what is in memory, so that damage and
changes after that can be found.
"""

import hashlib
import json
import weakref
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from platform import python_version
from typing import Any, Self

import torch
from transformers.utils import logging

from ..configuration.action_contract import ActionContract
from ..configuration.configuration_robovlms import RoboVLMConfig
from ..configuration.package_version import VERSION
from ..configuration.save_listeners import SaveListener
from ..modeling_robovlms.modeling_robovlms import RoboVLMPreTrainedModel
from ..processing.processing_robovlms import RoboVLMProcessor
from .chunk_predictor import require_fit
from .golden_sample import GoldenSample

FILE = "checkpoint_record.json"
LIBRARIES = ("torch", "transformers", "tokenizers", "safetensors", "numpy", "peft", "diffusers")
logger = logging.get_logger(__name__)


@dataclass
class CheckpointRecord:
    """Attributes:
    versions: of the libraries with which the checkpoint was saved.
    contracts: the action contracts by embodiment, as they were then.
    golden_samples: by embodiment.
    weights: SHA-256 of every weight file.
    """

    versions: dict[str, str]
    contracts: dict[str, ActionContract]
    golden_samples: dict[str, GoldenSample]
    weights: dict[str, str]

    @classmethod
    def of(cls, model: RoboVLMPreTrainedModel, processor: RoboVLMProcessor, folder: Path) -> Self:
        """Of a model and a processor in memory that were just saved into `folder`.

        Raises:
            ValueError: if they do not fit together.
        """
        for contract in processor.contracts.values():
            require_fit(model, processor, contract)
        return cls(
            versions=library_versions(),
            contracts=dict(processor.contracts),
            golden_samples={name: GoldenSample.of(model, processor, name) for name in processor.contracts},
            weights={file.name: sha256(file) for file in sorted(folder.glob("*.safetensors"))},
        )

    def save(self, folder: str | Path) -> None:
        content = {
            "versions": self.versions,
            "contracts": {name: contract.to_dict() for name, contract in self.contracts.items()},
            "golden_samples": {name: sample.to_dict() for name, sample in self.golden_samples.items()},
            "weights": self.weights,
        }
        (Path(folder) / FILE).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, folder: str | Path) -> Self:
        """Raises FileNotFoundError, KeyError or ValueError."""
        content = json.loads((Path(folder) / FILE).read_text(encoding="utf-8"))
        return cls(
            versions=content["versions"],
            contracts={name: ActionContract.from_dict(data) for name, data in content["contracts"].items()},
            golden_samples={name: GoldenSample.from_dict(data) for name, data in content["golden_samples"].items()},
            weights=content["weights"],
        )


class RecordOnSave(SaveListener):
    """Writes the record when both a model and its processor have been saved into a folder, once per saved model: a
    processor that is saved there later does not change what is on record."""

    def __init__(self):
        self._models: dict[Path, tuple[weakref.ref, int]] = {}
        self._processors: dict[Path, weakref.ref] = {}

    def after_save(self, part: Any, folder: Path) -> None:
        folder = folder.resolve()
        if isinstance(part, RoboVLMPreTrainedModel):
            (folder / FILE).unlink(missing_ok=True)  # it was of other weights
            if is_whole(part):
                self._models[folder] = weakref.ref(part), fingerprint(part)
        elif isinstance(part, RoboVLMProcessor):
            self._processors[folder] = weakref.ref(part)
        if isinstance(part, RoboVLMConfig) or folder not in self._models or folder not in self._processors:
            return
        reference, saved = self._models[folder]
        model, processor = reference(), self._processors[folder]()
        if model is None or processor is None:
            return
        del self._models[folder]
        if fingerprint(model) == saved:
            self._write(model, processor, folder)

    def _write(self, model: RoboVLMPreTrainedModel, processor: RoboVLMProcessor, folder: Path) -> None:
        try:
            CheckpointRecord.of(model, processor, folder).save(folder)
        except Exception as error:  # whatever a backbone may raise: the weights are saved, and that counts
            logger.warning(f"No {FILE} was written, robovlms doctor will have little to compare with: {error}")


def is_whole(model: torch.nn.Module) -> bool:
    """Whether the parameters are all here, neither sharded over processes nor absent."""
    parameters = model.parameters()
    return not any(p.is_meta or hasattr(p, "device_mesh") or hasattr(p, "ds_id") for p in parameters)


def fingerprint(model: torch.nn.Module) -> int:
    """A number that changes when parameters are updated."""
    return sum(parameter._version for parameter in model.parameters())


def library_versions() -> dict[str, str]:
    """Python's version and those of the libraries that decide what a checkpoint does."""
    found = {"python": python_version(), "robovlms": VERSION}
    for name in LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def sha256(file: Path) -> str:
    """Of the file's content, as the Hub shows it."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
