"""When a checkpoint's record is written."""

import weakref
from pathlib import Path
from typing import Any

import torch
from transformers.utils import logging

from robovlms.modeling_robovlms import RoboVLMPreTrainedModel
from robovlms.processing import RoboVLMProcessor

from .record import FILE, CheckpointRecord

logger = logging.get_logger(__name__)


class RecordOnSave:
    """Writes the record when both a model and its processor have been saved into a folder, once per saved model: a
    processor that is saved there later does not change what is on record. Where one of the two is no longer in memory,
    or spread over processes, there is no golden sample."""

    def __init__(self):
        self._models: dict[Path, tuple[weakref.ref, int]] = {}
        self._processors: dict[Path, weakref.ref] = {}
        self._awaits_processor: set[Path] = set()  # folders in which a model was saved, its processor not yet

    def add(self, part: Any, folder: Path) -> None:
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
    """Return whether the parameters are all here, neither sharded over processes nor absent."""
    wrapped = any("FullyShardedDataParallel" in type(module).__name__ for module in model.modules())
    parameters = model.parameters()
    return not wrapped and not any(p.is_meta or hasattr(p, "device_mesh") or hasattr(p, "ds_id") for p in parameters)


def fingerprint(model: torch.nn.Module) -> int:
    """Return a number that changes when parameters are updated."""
    return sum(parameter._version for parameter in model.parameters())


RECORDS = RecordOnSave()
