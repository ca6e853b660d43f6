"""Action heads: action features `(batch, window, num_action_tokens, hidden)` to chunks of actions."""

from .action_head import ActionHead, ActionTargets, HeadOutput
from .build_head import build_head
from .overlap import ChunkOverlap

__all__ = ["ActionHead", "ActionTargets", "ChunkOverlap", "HeadOutput", "build_head"]
