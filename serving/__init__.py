"""Running a checkpoint: the stateful policy."""

from .observations import random_observation
from .policy import Policy

__all__ = ["Policy", "random_observation"]
