"""Datasets of demonstrations: read where they lie, as windows of observations with their action chunks."""

from typing import TYPE_CHECKING

from ..configuration.action_transforms import AbsoluteToDelta, ActionTransform, Chain, ConvertRotation, WorldToTool
from ..configuration.lazy_imports import lazy_names
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
from .windows import WindowSample

if TYPE_CHECKING:
    from .augmentation import AUGMENTATIONS, Augmented, RandomCrop, RandomShift, open_x_augmentation
    from .inspection import inspect_dataset
    from .inspection_findings import Inspection
    from .lerobot_repair import Repair, repair_dataset

# Imported when first asked for: torchvision would take memory from every program that loads data.
__getattr__, _ = lazy_names(
    __name__,
    {
        ".augmentation": ("AUGMENTATIONS", "Augmented", "RandomCrop", "RandomShift", "open_x_augmentation"),
        ".inspection": ("inspect_dataset",),
        ".inspection_findings": ("Inspection",),
        ".lerobot_repair": ("Repair", "repair_dataset"),
    },
)

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
    "Repair",
    "ReusedBuffers",
    "StreamingStatistics",
    "VLACollator",
    "WindowSample",
    "WorldToTool",
    "action_contract",
    "compute_statistics",
    "dataset_card",
    "infer_conventions",
    "inspect_dataset",
    "known_embodiment",
    "open_x_augmentation",
    "repair_dataset",
    "statistics",
    "statistics_by_embodiment",
]
