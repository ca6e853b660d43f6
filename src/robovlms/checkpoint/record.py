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

from robovlms.configuration.action_contract import ActionContract
from robovlms.configuration.package_version import VERSION
from robovlms.configuration.save_listeners import SaveListener
from robovlms.modeling_robovlms.modeling_robovlms import RoboVLMPreTrainedModel
from robovlms.processing.processing_robovlms import RoboVLMProcessor
from robovlms.serving.chunk_predictor import require_fit

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

    @classmethod
    def of_files(cls, folder: Path) -> Self:
        """Without golden samples, of what lies in `folder`."""
        processor = json.loads((folder / "processor_config.json").read_text(encoding="utf-8"))["robovlms"]
        contracts = {name: ActionContract.from_dict(data) for name, data in processor["contracts"].items()}
        weights = {file.name: sha256(file) for file in sorted(folder.glob("*.safetensors"))}
        return cls(versions=library_versions(), contracts=contracts, golden_samples={}, weights=weights)

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
    processor that is saved there later does not change what is on record. Where one of the two is no longer in memory,
    or spread over processes, there is no golden sample."""

    def __init__(self):
        self._models: dict[Path, tuple[weakref.ref, int]] = {}
        self._processors: dict[Path, weakref.ref] = {}
        self._awaits_processor: set[Path] = set()  # folders in which a model was saved, its processor not yet

    def after_save(self, part: Any, folder: Path) -> None:
        folder = folder.resolve()
        if isinstance(part, RoboVLMPreTrainedModel):
            (folder / FILE).unlink(missing_ok=True)  # it was of other weights
            self._awaits_processor.add(folder)
            self._models.pop(folder, None)
            if is_whole(part):
                self._models[folder] = weakref.ref(part), fingerprint(part)
            if folder in self._processors:  # the one that was saved here before, until another one comes
                self._write(folder)
        elif isinstance(part, RoboVLMProcessor):
            self._processors[folder] = weakref.ref(part)
            if folder in self._awaits_processor or not (folder / FILE).exists():
                self._write(folder)
            self._awaits_processor.discard(folder)

    def _write(self, folder: Path) -> None:
        if not (folder / "config.json").exists() or not (folder / "processor_config.json").exists():
            return
        model, processor = self._in_memory(folder)
        try:
            if model is not None and processor is not None:
                CheckpointRecord.of(model, processor, folder).save(folder)
            else:
                CheckpointRecord.of_files(folder).save(folder)
        except Exception as error:  # whatever a backbone may raise: the weights are saved, and that counts
            logger.warning(f"No {FILE} was written, robovlms doctor will have little to compare with: {error}")

    def _in_memory(self, folder: Path) -> tuple[RoboVLMPreTrainedModel | None, RoboVLMProcessor | None]:
        """What was saved into `folder`, as far as it is still there, and the same."""
        reference, saved = self._models.get(folder, (lambda: None, 0))
        model, processor = reference(), self._processors.get(folder, lambda: None)()
        return (model if model is not None and fingerprint(model) == saved else None), processor


def is_whole(model: torch.nn.Module) -> bool:
    """Whether the parameters are all here, neither sharded over processes nor absent."""
    wrapped = any("FullyShardedDataParallel" in type(module).__name__ for module in model.modules())
    parameters = model.parameters()
    return not wrapped and not any(p.is_meta or hasattr(p, "device_mesh") or hasattr(p, "ds_id") for p in parameters)


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
