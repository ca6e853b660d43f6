"""Datasets of demonstrations: read where they lie, as windows of observations with their action chunks."""

from .calvin import CalvinDataset
from .collator import VLACollator
from .contract import action_contract
from .errors import DatasetError
from .lerobot import LeRobotDataset
from .lerobot_metadata import LeRobotMetadata
from .lerobot_writer import LeRobotWriter
from .sampler import EpisodeBlockSampler
from .shared_batches import ReusedBuffers
from .statistics import compute_statistics, statistics

__all__ = [
    "CalvinDataset",
    "DatasetError",
    "EpisodeBlockSampler",
    "LeRobotDataset",
    "LeRobotMetadata",
    "LeRobotWriter",
    "ReusedBuffers",
    "VLACollator",
    "action_contract",
    "compute_statistics",
    "statistics",
]
