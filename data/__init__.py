"""Datasets of demonstrations: read where they lie, as windows of observations with their action chunks."""

from .action_transforms import AbsoluteToDelta, ActionTransform, Chain, ConvertRotation, WorldToTool
from .augmentation import Augmented, RandomCrop, RandomShift, evaluation_transforms, open_x_augmentation
from .calvin import CalvinDataset
from .collator import VLACollator
from .contract import action_contract
from .errors import DatasetError
from .known_embodiments import KNOWN_EMBODIMENTS, KnownEmbodiment, known_embodiment
from .lerobot import LeRobotDataset
from .lerobot_metadata import LeRobotMetadata
from .lerobot_writer import LeRobotWriter
from .mixture import Mixture
from .sampler import EpisodeBlockSampler
from .shared_batches import ReusedBuffers
from .statistics import StreamingStatistics, compute_statistics, statistics, statistics_by_embodiment

__all__ = [
    "KNOWN_EMBODIMENTS",
    "AbsoluteToDelta",
    "ActionTransform",
    "Augmented",
    "CalvinDataset",
    "Chain",
    "ConvertRotation",
    "DatasetError",
    "EpisodeBlockSampler",
    "KnownEmbodiment",
    "LeRobotDataset",
    "LeRobotMetadata",
    "LeRobotWriter",
    "Mixture",
    "RandomCrop",
    "RandomShift",
    "ReusedBuffers",
    "StreamingStatistics",
    "VLACollator",
    "WorldToTool",
    "action_contract",
    "compute_statistics",
    "evaluation_transforms",
    "known_embodiment",
    "open_x_augmentation",
    "statistics",
    "statistics_by_embodiment",
]
