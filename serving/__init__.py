"""Running a checkpoint: the stateful policy, the policy server and its client, real-time control, robots."""

from typing import TYPE_CHECKING

from ..configuration.lazy_imports import lazy_names

if TYPE_CHECKING:
    from .chunk_predictor import ChunkPredictor
    from .client import PolicyClient
    from .observations import random_observation
    from .policy import Policy
    from .server import PolicyServer

__all__ = ["ChunkPredictor", "Policy", "PolicyClient", "PolicyServer", "random_observation"]

# Imported when first asked for: a client needs no torch, a policy no websockets.
__getattr__, __dir__ = lazy_names(
    __name__,
    {
        ".chunk_predictor": ("ChunkPredictor",),
        ".client": ("PolicyClient",),
        ".observations": ("random_observation",),
        ".policy": ("Policy",),
        ".server": ("PolicyServer",),
    },
)
