"""A policy behind a websocket, in openpi's protocol: see docs/serving.md for the messages."""

import asyncio
import contextlib
import hmac
import http
import logging
import ssl
import time
import traceback
from importlib.metadata import version
from typing import Any

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response
from websockets.typing import Data

from .batching import Answer, Batcher
from .chunk_predictor import ChunkPredictor, ChunkRequest
from .client import packb, unpackb
from .limits import ServerLimits
from .observation_layout import BadRequest, ObservationLayout
from .observations import random_observation
from .session import Session

logger = logging.getLogger(__name__)
MAX_REASON_CHARACTERS = 2000
MAX_FRAGMENTS = 1000
CLOSE_SECONDS = 2.0


class PolicyServer:
    """Serves one policy to several clients at once, each with an episode of its own.

    Args:
        predictor: the policy.
        name: what clients are told it is.
        layout: which observation keys are which inputs; the common ones by default.
        limits: what clients may do.
        token: if given, clients must send `Authorization: Bearer TOKEN` (or openpi's `Api-Key TOKEN`).
        tls: a server-side `ssl.SSLContext`, for `wss://`.

    Raises:
        ValueError: an empty token.
    """

    def __init__(
        self,
        predictor: ChunkPredictor,
        name: str = "",
        layout: ObservationLayout | None = None,
        limits: ServerLimits | None = None,
        token: str | None = None,
        tls: ssl.SSLContext | None = None,
    ):
        if token == "":
            raise ValueError("token is empty: leave it out, or choose one.")
        self.predictor, self.name = predictor, name
        self.limits = limits or ServerLimits()
        self.layout = layout or ObservationLayout.of_contract(predictor.contract, limits=self.limits)
        self.requests, self.refused, self.failed = 0, 0, 0
        self._tls = tls
        self._accepted = {f"{scheme} {token}".encode() for scheme in ("Bearer", "Api-Key")} if token else None
        self._batcher = Batcher(predictor, self.limits)
        self._batching: asyncio.Task[None] | None = None
        self._server: Server | None = None
        self._under_way = 0
        self._draining = False

    @property
    def port(self) -> int:
        """The port that is listened on."""
        assert self._server is not None, "the server has not been started"
        return next(iter(self._server.sockets)).getsockname()[1]

    @property
    def needs_token(self) -> bool:
        """Whether clients must authenticate."""
        return self._accepted is not None

    @property
    def metadata(self) -> dict[str, Any]:
        """What every client is sent on connecting."""
        contract = self.predictor.contract
        return {
            "server": f"robovlms {version('robovlms')}",
            "policy": self.name,
            "contract": contract.to_dict(),
            "contract_hash": contract.hash,
            "action_horizon": contract.chunk_size,
            "observation_interval": self.predictor.observation_interval,
            "guided": self.predictor.is_guided,
            "observation_layout": self.layout.to_dict(),
            "limits": vars(self.limits),
        }

    async def start(self, host: str = "127.0.0.1", port: int = 8000) -> None:
        """Warm the model up and listen; port 0 takes a free one.

        Raises:
            OSError: the port is taken.
        """
        await asyncio.to_thread(self._warm_up)
        self._batching = asyncio.create_task(self._batcher.run())
        self._server = await serve(
            self._handle,
            host,
            port,
            compression=None,
            max_size=self.limits.max_message_bytes,
            max_queue=1,
            process_request=self._admit,
            ssl=self._tls,
            server_header=None,
            close_timeout=CLOSE_SECONDS,
        )

    async def stop(self) -> None:
        """Answer what is under way, refuse what comes now, say goodbye to all clients."""
        assert self._server is not None and self._batching is not None, "the server has not been started"
        self._draining = True
        deadline = time.monotonic() + self.limits.drain_seconds
        while self._under_way and time.monotonic() < deadline:
            await asyncio.sleep(0.01)
        self._server.close()  # code 1001 to all
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._server.wait_closed(), 2 * CLOSE_SECONDS)
        self._batching.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._batching

    def _warm_up(self) -> None:
        """One request, so that no client waits for first-time work and a broken checkpoint is found before any."""
        request = ChunkRequest(random_observation(self.predictor.contract), "warm up")
        self.predictor.answer([request], [self.predictor.new_cache()])

    def _admit(self, connection: ServerConnection, request: Request) -> Response | None:
        """Answer plain HTTP requests and those that may not connect."""
        if request.path == "/healthz":
            if self._draining:
                return connection.respond(http.HTTPStatus.SERVICE_UNAVAILABLE, "stopping\n")
            return connection.respond(http.HTTPStatus.OK, "OK\n")
        if self._accepted is not None:
            sent = [each.encode(errors="surrogateescape") for each in request.headers.get_all("Authorization")[:1]]
            # Every comparison is made, each in constant time.
            matches = [hmac.compare_digest(each, token) for each in sent for token in self._accepted]
            if not any(matches):
                return connection.respond(http.HTTPStatus.UNAUTHORIZED, "this server needs its token\n")
        if self._draining:
            return connection.respond(http.HTTPStatus.SERVICE_UNAVAILABLE, "stopping\n")
        assert self._server is not None
        if len(self._server.connections) >= self.limits.max_clients:
            return connection.respond(http.HTTPStatus.SERVICE_UNAVAILABLE, "too many clients\n")
        return None

    async def _handle(self, connection: ServerConnection) -> None:
        """One client, from its first message to its last."""
        session = Session(self.predictor, self.layout)
        with contextlib.suppress(ConnectionClosed):
            try:
                await self._converse(connection, session)
            except TooManyFragments as error:
                await self._hang_up(connection, 1009, str(error))
            except TimeoutError:
                await connection.close(1008, f"idle for {self.limits.idle_seconds:g} seconds")
        self._batcher.forget(session)

    async def _converse(self, connection: ServerConnection, session: Session) -> None:
        await connection.send(packb(self.metadata))
        while True:
            async with asyncio.timeout(self.limits.idle_seconds):
                message = await _received(connection)
            await self._reply(connection, session, message)

    async def _reply(self, connection: ServerConnection, session: Session, message: Data) -> None:
        start = time.perf_counter()
        self._under_way += 1
        try:
            if isinstance(message, str):
                await self._hang_up(connection, 1003, "requests are binary messages of msgpack, this one is text")
                return
            try:
                request, cache = session.request(_decoded(message))
                answer = await self._batcher.submit(session, request, cache)
            except Undecodable as error:
                await self._hang_up(connection, 1007, str(error))
                return
            except ValueError as error:  # the client's mistake: its episode goes on with its next request
                self.refused += 1
                await connection.send(str(error)[:MAX_REASON_CHARACTERS])
                return
            except Exception as error:
                self.failed += 1
                logger.error("a request failed:\n%s", traceback.format_exc())
                await self._hang_up(
                    connection, 1011, f"the policy failed: {type(error).__name__}; the server's log has more"
                )
                return
            self.requests += 1
            session.cache = answer.cache
            await connection.send(packb(_result(answer, session)))
            session.previous_total_ms = 1000 * (time.perf_counter() - start)
        finally:
            self._under_way -= 1

    async def _hang_up(self, connection: ServerConnection, code: int, reason: str) -> None:
        """An error and the end of the connection."""
        self.refused += code != 1011
        await connection.send(reason[:MAX_REASON_CHARACTERS])
        await connection.close(code, "see the message before")


class TooManyFragments(ValueError):
    """A message in more parts than anybody needs: empty ones would count for nothing against its size."""


async def _received(connection: ServerConnection) -> Data:
    """The next message, put together."""
    parts: list[Any] = []
    async for part in connection.recv_streaming():
        parts.append(part)
        if len(parts) > MAX_FRAGMENTS:
            raise TooManyFragments(f"a message in more than {MAX_FRAGMENTS} fragments")
    return parts[0] if len(parts) == 1 else type(parts[0])().join(parts)


class Undecodable(BadRequest):
    """What came is no request at all."""


def _decoded(message: bytes) -> Any:
    try:
        return unpackb(message)
    except ValueError as error:
        raise Undecodable(str(error)) from error


def _result(answer: Answer, session: Session) -> dict[str, Any]:
    """Every array has the chunk's steps as first axis: openpi's `ActionChunkBroker` cuts them all alike."""
    timing: dict[str, Any] = {
        "infer_ms": answer.infer_ms,
        "queue_ms": answer.queue_ms,
        "batch_size": answer.batch_size,
    }
    if session.previous_total_ms is not None:
        timing["prev_total_ms"] = session.previous_total_ms
    return {"actions": answer.chunk, "server_timing": timing}
