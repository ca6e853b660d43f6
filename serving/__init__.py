"""Running a checkpoint: the stateful policy."""

from .policy import Policy

__all__ = ["Policy"]
