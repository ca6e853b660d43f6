"""Where chunks come from: a checkpoint in this process, or a server."""

import time
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from ...configuration.action_contract import ActionContract
from ..chunk_predictor import ChunkPredictor, ChunkRequest
from ..client import PolicyClient
from ..overlap import RunningChunk

Observation = Mapping[str, Any]


class ChunkSource(Protocol):
    """What a controller needs of a policy."""

    @property
    def contract(self) -> ActionContract: ...

    @property
    def guided(self) -> bool:
        """Whether chunks are guided to continue the running one, see `ChunkPredictor.is_guided`."""
        ...

    def reset(self) -> None:
        """Begin an episode."""

    def predict(
        self,
        observation: Observation,
        instruction: str,
        history: Sequence[Observation] = (),
        running: np.ndarray | None = None,
        delay: int = 0,
    ) -> np.ndarray:
        """Return a chunk in the robot's units, `(chunk, action_dim)`; arguments as in `PolicyClient.predict`."""
        ...


class LocalChunks:
    """One episode at a time of a checkpoint in this process."""

    def __init__(self, predictor: ChunkPredictor):
        self.predictor = predictor
        self.contract, self.guided = predictor.contract, predictor.is_guided
        self.reset()

    def reset(self) -> None:
        self._cache = self.predictor.new_cache()

    def predict(
        self,
        observation: Observation,
        instruction: str,
        history: Sequence[Observation] = (),
        running: np.ndarray | None = None,
        delay: int = 0,
    ) -> np.ndarray:
        known = RunningChunk(running, delay) if running is not None and len(running) else None
        request = ChunkRequest(observation, instruction, history, known)
        chunks, (self._cache,) = self.predictor.answer([request], [self._cache])
        return chunks[0]


class RemoteChunks:
    """A policy server."""

    def __init__(self, client: PolicyClient):
        self.contract = ActionContract.from_dict(client.contract)
        self.guided = client.metadata.get("guided", False)
        self.reset, self.predict = client.reset, client.predict


class DelayedChunks:
    """Another source, slower: to see what latency does."""

    def __init__(self, source: ChunkSource, seconds: float):
        self.source, self.seconds = source, seconds
        self.contract, self.guided, self.reset = source.contract, source.guided, source.reset

    def predict(self, *arguments: Any, **options: Any) -> np.ndarray:
        due = time.monotonic() + self.seconds
        chunk = self.source.predict(*arguments, **options)
        time.sleep(max(0.0, due - time.monotonic()))
        return chunk


def as_chunk_source(policy: Any) -> ChunkSource:
    """Return a chunk source of a `ChunkPredictor`, a `Policy`, a `PolicyClient`, or what is one already."""
    if isinstance(policy, PolicyClient):
        return RemoteChunks(policy)
    predictor = getattr(policy, "predictor", policy)
    return LocalChunks(predictor) if isinstance(predictor, ChunkPredictor) else policy
