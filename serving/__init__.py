"""Running a checkpoint: the stateful policy, the policy server and its client, real-time control, robots."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .chunk_predictor import ChunkPredictor
    from .client import PolicyClient
    from .observations import random_observation
    from .policy import Policy
    from .server import PolicyServer

# Loaded on first use: a client needs no torch, a policy no websockets.
_HOMES = {
    "ChunkPredictor": "chunk_predictor",
    "Policy": "policy",
    "PolicyClient": "client",
    "PolicyServer": "server",
    "random_observation": "observations",
}
__all__ = ["ChunkPredictor", "Policy", "PolicyClient", "PolicyServer", "random_observation"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f".{_HOMES[name]}", __name__), name)
