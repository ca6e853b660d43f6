"""Requests that wait together go through the model together."""

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np

from ..modeling_robovlms.streaming import VLACache
from .chunk_predictor import ChunkPredictor, ChunkRequest
from .limits import ServerLimits

ACTIVE_SECONDS = 1.0
"""A client counts as active, and is waited for, for so long after its last request."""


@dataclass
class Answer:
    """A chunk, the memory after it, and how it came about (milliseconds)."""

    chunk: np.ndarray
    cache: VLACache
    infer_ms: float
    queue_ms: float
    batch_size: int


@dataclass
class _Waiting:
    client: object
    request: ChunkRequest
    cache: VLACache
    answer: "asyncio.Future[Answer]"
    since: float = field(default_factory=time.perf_counter)


class Batcher:
    """Runs the model in one thread of its own and hands it, each time it is free, what waits.

    A request waits for those of other active clients, but no longer than `batch_wait_seconds`. One that fails is
    answered with its own error: a batch that raises is run again request by request.
    """

    def __init__(self, predictor: ChunkPredictor, limits: ServerLimits):
        self.predictor, self.limits = predictor, limits
        self._queue: asyncio.Queue[_Waiting] = asyncio.Queue()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="model")
        self._last_seen: dict[object, float] = {}

    async def submit(self, client: object, request: ChunkRequest, cache: VLACache) -> Answer:
        """Return the answer to one request of one client; raises what the model raises."""
        waiting = _Waiting(client, request, cache, asyncio.get_running_loop().create_future())
        self._last_seen[client] = time.monotonic()
        await self._queue.put(waiting)
        try:
            return await waiting.answer
        finally:
            if client in self._last_seen:
                self._last_seen[client] = time.monotonic()

    def forget(self, client: object) -> None:
        """A client has gone: nobody waits for it any more."""
        self._last_seen.pop(client, None)

    async def run(self) -> None:
        """Answer requests until cancelled."""
        try:
            while True:
                batch = await self._gather()
                await asyncio.get_running_loop().run_in_executor(self._thread, self._answer, batch)
        finally:
            self._thread.shutdown(wait=False, cancel_futures=True)

    async def _gather(self) -> list[_Waiting]:
        batch = [await self._queue.get()]
        deadline = time.monotonic() + self.limits.batch_wait_seconds
        while len(batch) < self.limits.max_batch:
            if not self._queue.empty():
                batch.append(self._queue.get_nowait())
                continue
            left = deadline - time.monotonic()
            if left <= 0 or len(batch) >= self._active():
                break
            try:
                batch.append(await asyncio.wait_for(self._queue.get(), left))
            except TimeoutError:
                break
        return batch

    def _active(self) -> int:
        now = time.monotonic()
        return sum(now - seen < ACTIVE_SECONDS for seen in self._last_seen.values())

    def _answer(self, batch: list[_Waiting]) -> None:
        """In the model's thread."""
        batch = [waiting for waiting in batch if not waiting.answer.done()]  # some may have hung up
        if not batch:
            return
        start = time.perf_counter()
        try:
            chunks, caches = self.predictor.answer(
                [waiting.request for waiting in batch], [waiting.cache for waiting in batch]
            )
        except Exception as error:
            self._fail(batch, error)
            return
        infer_ms = 1000 * (time.perf_counter() - start)
        for waiting, chunk, cache in zip(batch, chunks, caches, strict=True):
            answer = Answer(chunk, cache, infer_ms, 1000 * (start - waiting.since), len(batch))
            _deliver(waiting, lambda future, answer=answer: future.set_result(answer))

    def _fail(self, batch: list[_Waiting], error: Exception) -> None:
        if len(batch) == 1:
            _deliver(batch[0], lambda future: future.set_exception(error))
        for waiting in batch if len(batch) > 1 else ():
            self._answer([waiting])


def _deliver(waiting: _Waiting, settle: Callable[["asyncio.Future[Answer]"], None]) -> None:
    """Settle a future from the model's thread, unless whoever waited for it has gone."""
    future = waiting.answer

    def in_loop() -> None:
        if not future.done():
            settle(future)

    future.get_loop().call_soon_threadsafe(in_loop)
