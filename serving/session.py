"""One client of a policy server: what it asks, and what the policy remembers for it."""

from collections.abc import Mapping
from typing import Any

from ..modeling_robovlms.streaming import VLACache
from .chunk_predictor import ChunkPredictor, ChunkRequest
from .client import EXTENSION
from .observation_layout import BadRequest, ObservationLayout
from .overlap import RunningChunk


class Session:
    """The state of one connection. Every connection begins an episode; `reset` in a request begins another."""

    def __init__(self, predictor: ChunkPredictor, layout: ObservationLayout):
        self.predictor = predictor
        self.layout = layout
        self.cache: VLACache = predictor.new_cache()
        self.previous_total_ms: float | None = None

    def request(self, message: Any) -> tuple[ChunkRequest, VLACache]:
        """Return what a decoded message asks for, and the memory with which to answer it. Changes nothing.

        Raises:
            BadRequest: saying what is missing or wrong.
        """
        if not isinstance(message, Mapping):
            raise BadRequest(f"a request is a map of observations, got {type(message).__name__}.")
        extension = message.get(EXTENSION, {})
        if not isinstance(extension, Mapping) or set(extension) - {"reset", "history", "running"}:
            raise BadRequest(f"{EXTENSION!r} may hold 'reset', 'history' and 'running'.")
        request = ChunkRequest(
            observation=self.layout.observation(message),
            instruction=self.layout.instruction(message),
            history=self._history(extension.get("history", [])),
            running=self._running(extension.get("running")),
        )
        return request, self.predictor.new_cache() if extension.get("reset") else self.cache

    def _history(self, frames: Any) -> list[dict[str, Any]]:
        window = self.predictor.contract.window_size
        if not isinstance(frames, list) or not all(isinstance(frame, Mapping) for frame in frames):
            raise BadRequest("'history' must be a list of observations.")
        if len(frames) >= window and frames:
            raise BadRequest(
                f"'history' holds {len(frames)} observations, the policy sees {window - 1} beside the newest."
            )
        return [self.layout.observation(frame) for frame in frames]

    def _running(self, running: Any) -> RunningChunk | None:
        if running is None:
            return None
        contract = self.predictor.contract
        if not isinstance(running, Mapping) or not isinstance(running.get("delay"), int):
            raise BadRequest("'running' must hold 'actions' and an integer 'delay'.")
        try:
            chunk = RunningChunk(running["actions"], running["delay"])
        except (KeyError, TypeError, ValueError) as error:
            raise BadRequest(f"'running': {error}") from error
        if chunk.actions.shape[1] != contract.action_dim or len(chunk.actions) > contract.chunk_size:
            raise BadRequest(
                f"'running' has actions {chunk.actions.shape}, the policy's chunks are "
                f"({contract.chunk_size}, {contract.action_dim})."
            )
        return chunk
