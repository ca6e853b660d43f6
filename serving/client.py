"""A client of policy servers, in one file: Python 3.8 or newer with numpy, msgpack and websockets (13 or newer).

Copy it into a simulator's frozen environment, or install it alone (`pip install ./plugins/robovlms_client`, then
`from robovlms_client import PolicyClient`). It speaks openpi's protocol: one binary websocket message of msgpack per
observation, one per chunk of actions.

    with PolicyClient("127.0.0.1", 8000) as policy:
        policy.reset()
        action = policy.select_action({"images": {"front": image}, "state": state}, "pick up the red block")
"""

from __future__ import annotations

import contextlib
import inspect
import socket
import struct
import time
from collections.abc import Mapping, Sequence
from typing import Any

import msgpack
import numpy as np
import websockets.exceptions
import websockets.sync.client

ARRAY_KINDS = "biuf"
RETRY_EVERY = 0.2
EXTENSION = "robovlms"
"""Key of a request under which goes what openpi's protocol does not have: `reset`, `history`, `running`."""
MAX_CONTAINERS, MAX_LENGTH = 1000, 1024
"""Bounds on what a message may hold beside arrays, whose bytes could otherwise become a hundred times as many."""


class PolicyServerError(RuntimeError):
    """The server refused a request or failed; the message is the server's."""


class PolicyConnectionError(ConnectionError):
    """The server can't be reached, or the connection was lost and can't be taken up again."""


class PolicyTimeoutError(TimeoutError):
    """No answer within the timeout."""


class PolicyClient:
    """A policy behind a websocket. Not for several threads at once: each robot has a client of its own.

    Args:
        host: name or address, or a whole `ws://` or `wss://` address.
        token: sent as `Authorization: Bearer TOKEN`.
        timeout: seconds for one request, all attempts to reconnect included.
        reconnect: whether to connect again and repeat a request whose connection broke. Where the policy has a history,
            that is lost with the connection, and the request fails until `reset`.
        ssl: an `ssl.SSLContext` for `wss://` (a self-signed certificate needs one that trusts it).
        n_action_steps: actions of a chunk that `select_action` executes, instead of the contract's number.

    Attributes:
        metadata: what the server said when the connection was made; `metadata["contract"]` is the action contract.

    Raises:
        PolicyConnectionError: nothing answers at that address, or it refuses the token.

    Example:
        client = PolicyClient("127.0.0.1", port=8000)  # where `robovlms serve me/my_vla` runs
        client.reset()  # when an episode begins
        observation = {"images": {"front": image}, "state": state}
        action = client.select_action(observation, "push the block")  # (action_dim,), in the robot's units
    """

    def __init__(
        self,
        host: str = "127.0.0.1",
        port: int | None = 8000,
        token: str | None = None,
        timeout: float = 30.0,
        reconnect: bool = True,
        ssl: Any = None,
        n_action_steps: int | None = None,
    ):
        scheme = "wss" if ssl is not None else "ws"
        bracketed = f"[{host}]" if host.count(":") > 1 else host  # an IPv6 address
        self.address = host if "://" in host else f"{scheme}://{bracketed}" + ("" if port is None else f":{port}")
        self.timeout = timeout
        self.reconnect = reconnect
        self.metadata: dict[str, Any] = {}
        self._headers = {"Authorization": "Bearer " + token} if token else None
        self._ssl = ssl
        self._socket: Any = None
        self._n_action_steps = n_action_steps
        self._chunk = np.zeros((0, 0), np.float32)
        self._step = 0
        self._new_episode = True
        self._history_lost = False
        self._connect(time.monotonic() + timeout)

    @property
    def contract(self) -> dict[str, Any]:
        """The policy's action contract, as plain data.

        Raises:
            PolicyServerError: the server is another program than robovlms and sends none.
        """
        if "contract" not in self.metadata:
            raise PolicyServerError(f"the server at {self.address} sends no action contract")
        return self.metadata["contract"]

    def infer(self, observation: Mapping[str, Any]) -> dict[str, Any]:
        """Send one observation in whatever keys the server takes; `result["actions"]` is the chunk.

        Raises:
            PolicyServerError: the server refuses it, or fails.
            PolicyTimeoutError, PolicyConnectionError: no answer. What a policy with a history remembered is lost then,
                and every request fails until `reset`.
        """
        deadline = time.monotonic() + self.timeout
        if self._history_lost and not self._new_episode:
            raise PolicyConnectionError("what the policy remembered of this episode is lost: call reset()")
        message = packb(self._with_reset(observation))
        while True:
            connected_anew = self._connect(deadline)
            if connected_anew and not self._may_repeat():
                self._history_lost = True
                raise PolicyConnectionError(
                    f"the connection to {self.address} was lost, and with it what the policy remembered of this "
                    "episode: call reset() to begin another"
                )
            try:
                self._set_send_timeout(deadline)
                self._socket.send(message)
                reply = self._socket.recv(timeout=max(0.0, deadline - time.monotonic()))
                break
            except (TimeoutError, BlockingIOError):
                self._drop()  # a late answer must not be taken for the next one's
                self._history_lost = not self._may_repeat()
                raise PolicyTimeoutError(f"no answer from {self.address} within {self.timeout:g} s") from None
            except (websockets.exceptions.ConnectionClosed, OSError) as error:
                self._drop()
                if not self.reconnect or time.monotonic() + RETRY_EVERY > deadline:
                    self._history_lost = not self._may_repeat()
                    raise PolicyConnectionError(f"connection to {self.address} lost: {error}") from error
                time.sleep(RETRY_EVERY)
        if isinstance(reply, str):
            raise PolicyServerError(reply)
        self._new_episode = self._history_lost = False
        return unpackb(reply)

    def predict(
        self,
        observation: Mapping[str, Any],
        instruction: str,
        history: Sequence[Mapping[str, Any]] = (),
        running: np.ndarray | None = None,
        delay: int = 0,
    ) -> np.ndarray:
        """Return a new chunk, `(chunk, action_dim)` in the robot's units.

        Args:
            observation: `{"images": {camera: picture}, "state": (state_dim,)}`. A picture is uint8 or floats in [0, 1],
                `(height, width, 3)` or `(3, height, width)`, array or tensor, or a PIL image.
            instruction: a sentence.
            history: observations since the last request which the policy has not seen, oldest first.
            running: what is left of the chunk under execution, `(steps, action_dim)`; the new one joins it.
            delay: how many of these will have been executed before the new chunk arrives.

        Raises:
            ValueError: for an instruction that is no sentence; otherwise as `infer`.
        """
        if not isinstance(instruction, str) or not instruction.strip():
            raise ValueError(
                f"'instruction' must be a sentence, got {type(instruction).__name__} {str(instruction)[:50]!r}."
            )
        extension: dict[str, Any] = {}
        if len(history):
            extension["history"] = [dict(seen) for seen in history]
        if running is not None and len(running):
            extension["running"] = {"actions": np.asarray(running, np.float32), "delay": int(delay)}
        request = dict(observation, prompt=instruction)
        if extension:
            request[EXTENSION] = extension
        return self.infer(request)["actions"]

    def reset(self) -> None:
        """Begin an episode: the policy forgets the one before."""
        self._chunk = self._chunk[:0]
        self._step = 0
        self._new_episode = True

    def select_action(self, observation: Mapping[str, Any], instruction: str) -> np.ndarray:
        """Return the next action, `(action_dim,)`: call it once per control step. Like `robovlms.Policy`, it sends an
        observation when the policy wants one and executes `n_action_steps` of each chunk."""
        executed = self._n_action_steps or self.contract["n_action_steps"]
        interval = self.contract["history_stride"] if self._has_history() else executed
        if self._step % interval == 0:
            chunk = self.predict(observation, instruction)
            if self._step % executed == 0:
                self._chunk = chunk
        action = self._chunk[self._step % executed].copy()
        self._step += 1
        return action

    def close(self) -> None:
        """Close the connection. Harmless when it is closed."""
        self._drop()

    def __enter__(self) -> PolicyClient:
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()

    def _with_reset(self, observation: Mapping[str, Any]) -> dict[str, Any]:
        request = dict(observation)
        if self._new_episode and "contract" in self.metadata:  # other servers know nothing of episodes
            request[EXTENSION] = dict(request.get(EXTENSION, {}), reset=True)
        return request

    def _has_history(self) -> bool:
        return self.metadata.get("contract", {}).get("window_size", 1) > 1

    def _may_repeat(self) -> bool:
        """Whether a request means the same on a new connection."""
        return self._new_episode or not self._has_history()

    def _connect(self, deadline: float) -> bool:
        """Make sure that there is a connection; True if it is a new one in the place of a lost one."""
        if self._socket is not None:
            return False
        options: dict[str, Any] = {}
        if self._ssl is not None:
            options["ssl"] = self._ssl
        if "proxy" in inspect.signature(websockets.sync.client.connect).parameters:
            options["proxy"] = None  # robots are near
        again = bool(self.metadata)
        while True:
            connection = None
            left = max(0.05, deadline - time.monotonic())
            try:
                connection = websockets.sync.client.connect(
                    self.address,
                    compression=None,
                    max_size=None,
                    additional_headers=self._headers,
                    open_timeout=left,
                    close_timeout=0.5,
                    **options,
                )
                metadata = unpackb(connection.recv(timeout=max(0.05, deadline - time.monotonic())))
                break
            except websockets.exceptions.InvalidHandshake as error:
                raise PolicyConnectionError(f"{self.address} refuses the connection: {error}") from error
            except (OSError, EOFError, websockets.exceptions.ConnectionClosed) as error:
                if connection is not None:
                    connection.close()
                late = time.monotonic() + RETRY_EVERY >= deadline
                if late or not (again and self.reconnect):
                    raise PolicyConnectionError(f"no policy server at {self.address}: {error}") from error
                time.sleep(RETRY_EVERY)
        known, found = self.metadata.get("contract_hash"), metadata.get("contract_hash")
        if again and known != found:
            connection.close()
            raise PolicyConnectionError(
                f"the server at {self.address} has another policy now: contract {found} instead of {known}"
            )
        self.metadata = metadata
        self._socket = connection
        return again

    def _set_send_timeout(self, deadline: float) -> None:
        """A server that hangs stops reading; sending to it must not block for ever."""
        left = max(0.001, deadline - time.monotonic())
        timeval = struct.pack("@ll", int(left), int(left % 1 * 1e6))
        with contextlib.suppress(AttributeError, OSError):  # not every system has this option
            self._socket.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, timeval)

    def _drop(self) -> None:
        connection, self._socket = self._socket, None
        if connection is not None:
            connection.close()


def packb(message: Any) -> bytes:
    """msgpack with arrays as openpi writes them: `{b"__ndarray__": True, b"data", b"dtype", b"shape"}`. Tensors of torch
    and images of PIL go as arrays.

    Raises:
        TypeError: for what is neither plain data nor an array of numbers.
    """
    packed = msgpack.packb(message, default=_encode)
    assert packed is not None
    return packed


def unpackb(data: bytes) -> Any:
    """Return the inverse of `packb`; arrays are read-only views of `data`. Builds nothing but plain data and arrays of
    numbers.

    Raises:
        ValueError: for anything else.
    """
    containers = [0]

    def count(value: Any) -> Any:
        containers[0] += 1
        if containers[0] > MAX_CONTAINERS:
            raise ValueError(f"more than {MAX_CONTAINERS} lists and maps")
        return value

    try:
        return msgpack.unpackb(
            data,
            object_hook=lambda value: _decode(count(value)),
            list_hook=count,
            max_array_len=MAX_LENGTH,
            max_map_len=MAX_LENGTH,
            max_ext_len=0,
        )
    except (msgpack.exceptions.UnpackException, msgpack.exceptions.ExtraData, RecursionError, TypeError) as error:
        raise ValueError(f"not msgpack: {str(error) or type(error).__name__}") from error


def _encode(value: Any) -> Any:
    if isinstance(value, (np.ndarray, np.generic)) and value.dtype.kind not in ARRAY_KINDS:
        raise TypeError(f"arrays of dtype {value.dtype} can't be sent, only booleans, integers and floats")
    if isinstance(value, np.ndarray):
        return {b"__ndarray__": True, b"data": value.tobytes(), b"dtype": value.dtype.str, b"shape": value.shape}
    if isinstance(value, np.generic):
        return {b"__npgeneric__": True, b"data": value.item(), b"dtype": value.dtype.str}
    if hasattr(value, "detach"):  # a tensor of torch
        return _encode(np.asarray(value.detach().cpu()))
    if hasattr(value, "__array_interface__"):  # an image of PIL
        return _encode(np.asarray(value))
    raise TypeError(f"a {type(value).__name__} can't be sent")


def _decode(value: dict) -> Any:
    if b"__ndarray__" in value:
        dtype, shape, data = _dtype(value), value.get(b"shape"), value.get(b"data")
        if not isinstance(data, bytes) or not isinstance(shape, (list, tuple)) or len(shape) > 8:
            raise ValueError("array: needs bytes and a shape of at most 8 axes")
        if not all(type(size) is int and 0 <= size < 2**31 for size in shape):
            raise ValueError(f"array: shape {str(shape)[:100]}")
        size = dtype.itemsize
        for length in shape:
            size *= length
        if size != len(data):
            raise ValueError(f"array: {len(data)} bytes for shape {shape} of {dtype}")
        return np.ndarray(shape, dtype, buffer=data)
    if b"__npgeneric__" in value:
        number = value.get(b"data")
        if not isinstance(number, (bool, int, float)):
            raise ValueError(f"numpy scalar: {str(number)[:100]}")
        try:
            return _dtype(value).type(number)
        except (OverflowError, ValueError) as error:
            raise ValueError(f"numpy scalar: {error}") from error
    return value


def _dtype(value: dict) -> np.dtype:
    name = value.get(b"dtype")
    if not isinstance(name, str) or len(name) > 4 or "," in name or name.lstrip("<>|=")[:1] not in tuple(ARRAY_KINDS):
        raise ValueError(f"array: dtype {str(name)[:100]} is not one of numbers")
    try:
        return np.dtype(name)
    except TypeError as error:
        raise ValueError(f"array: {error}") from error
