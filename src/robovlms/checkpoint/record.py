"""What a checkpoint says of itself beside its weights: `checkpoint_record.json`.

It is written when a model and its processor are saved into one folder, from what is in memory, so that damage and
changes after that can be found.
"""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from robovlms.configuration.action_contract import ActionContract
from robovlms.configuration.package_version import library_versions
from robovlms.modeling_robovlms.modeling_robovlms import RoboVLMPreTrainedModel
from robovlms.processing.processing_robovlms import RoboVLMProcessor
from robovlms.serving.chunk_predictor import require_fit

from .golden_sample import GoldenSample

FILE = "checkpoint_record.json"
LIBRARIES = ("torch", "transformers", "tokenizers", "safetensors", "numpy", "peft", "diffusers")


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
        """Record a model and a processor in memory that were just saved into `folder`.

        Raises:
            ValueError: if they do not fit together.
        """
        for contract in processor.contracts.values():
            require_fit(model, processor, contract)
        return cls(
            versions=library_versions(LIBRARIES),
            contracts=dict(processor.contracts),
            golden_samples={name: GoldenSample.of(model, processor, name) for name in processor.contracts},
            weights={file.name: sha256(file) for file in sorted(folder.glob("*.safetensors"))},
        )

    @classmethod
    def of_files(cls, folder: Path) -> Self:
        """Record what lies in `folder`, without golden samples."""
        processor = json.loads((folder / "processor_config.json").read_text(encoding="utf-8"))["robovlms"]
        contracts = {name: ActionContract.from_dict(data) for name, data in processor["contracts"].items()}
        weights = {file.name: sha256(file) for file in sorted(folder.glob("*.safetensors"))}
        return cls(versions=library_versions(LIBRARIES), contracts=contracts, golden_samples={}, weights=weights)

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


def sha256(file: Path) -> str:
    """Return the hash of the file's content, as the Hub shows it."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
