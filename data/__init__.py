"""Datasets of demonstrations: read where they lie, as windows of observations with their action chunks."""

from importlib import import_module

from .calvin import CalvinDataset
from .collator import VLACollator
from .contract import action_contract
from .conventions import infer_conventions
from .dataset_card import dataset_card
from .errors import DatasetError
from .known_embodiments import KNOWN_EMBODIMENTS, KnownEmbodiment, known_embodiment
from .lerobot import LeRobotDataset
from .lerobot_metadata import LeRobotMetadata
from .lerobot_writer import LeRobotWriter
from .mixture import Mixture
from .rlds import RLDSDataset
from .sampler import EpisodeBlockSampler
from .shared_batches import ReusedBuffers
from .statistics import StreamingStatistics, compute_statistics, statistics, statistics_by_embodiment

# Imported when first asked for: scipy and torchvision would take 120 MiB from every program that loads data.
_LATER = {
    "action_transforms": ("AbsoluteToDelta", "ActionTransform", "Chain", "ConvertRotation", "WorldToTool"),
    "augmentation": ("AUGMENTATIONS", "Augmented", "RandomCrop", "RandomShift", "open_x_augmentation"),
    "inspection": ("inspect_dataset",),
    "inspection_findings": ("Inspection",),
}


def __getattr__(name: str):
    for module, names in _LATER.items():
        if name in names:
            return getattr(import_module(f".{module}", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


__all__ = [
    "AUGMENTATIONS",
    "KNOWN_EMBODIMENTS",
    "AbsoluteToDelta",
    "ActionTransform",
    "Augmented",
    "CalvinDataset",
    "Chain",
    "ConvertRotation",
    "DatasetError",
    "EpisodeBlockSampler",
    "Inspection",
    "KnownEmbodiment",
    "LeRobotDataset",
    "LeRobotMetadata",
    "LeRobotWriter",
    "Mixture",
    "RLDSDataset",
    "RandomCrop",
    "RandomShift",
    "ReusedBuffers",
    "StreamingStatistics",
    "VLACollator",
    "WorldToTool",
    "action_contract",
    "compute_statistics",
    "dataset_card",
    "infer_conventions",
    "inspect_dataset",
    "known_embodiment",
    "open_x_augmentation",
    "statistics",
    "statistics_by_embodiment",
]
