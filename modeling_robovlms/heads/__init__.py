"""Action heads: action features `(batch, window, num_action_tokens, hidden)` to chunks of actions."""

from . import diffusion, flow_matching, mlp, recurrent, regression, transformer  # noqa: F401 (each registers itself)
from .action_head import (
    ActionHead,
    ActionTargets,
    Decoder,
    HeadOutput,
    History,
    build_head,
    register_head,
    register_history,
)
from .overlap import ChunkOverlap

__all__ = [
    "ActionHead",
    "ActionTargets",
    "ChunkOverlap",
    "Decoder",
    "HeadOutput",
    "History",
    "build_head",
    "register_head",
    "register_history",
]
