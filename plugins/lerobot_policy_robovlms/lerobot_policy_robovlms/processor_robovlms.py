"""LeRobot's default processors; with identity normalisation they only rename, batch and move."""

from typing import Any

from lerobot.processor.factory import make_default_pre_post_processors

from .configuration_robovlms import RobovlmsConfig


def make_robovlms_pre_post_processors(config: RobovlmsConfig, dataset_stats: Any = None) -> tuple[Any, Any]:
    """Pre- and post-processor."""
    return make_default_pre_post_processors(config, dataset_stats)
