"""Control while the policy thinks: chunks on a timeline, asynchronous inference, deadlines and how well they are kept."""

from .controllers import AsynchronousController, Controller, SynchronousController
from .deadlines import DeadlineMissed, OnMiss, holding_action
from .pacing import Pacer
from .sources import ChunkSource, DelayedChunks, LocalChunks, as_chunk_source
from .timeline import ActionTimeline
from .timing import ControlTimes

__all__ = [
    "ActionTimeline",
    "AsynchronousController",
    "ChunkSource",
    "ControlTimes",
    "Controller",
    "DeadlineMissed",
    "DelayedChunks",
    "LocalChunks",
    "OnMiss",
    "Pacer",
    "SynchronousController",
    "as_chunk_source",
    "holding_action",
]
