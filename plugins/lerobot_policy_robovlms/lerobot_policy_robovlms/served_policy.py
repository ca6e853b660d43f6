"""LeRobot's batches to a policy server, one connection per row. Needs no LeRobot."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from robovlms_client import PolicyClient

IMAGES, STATE, TASK = "observation.image", "observation.state", "task"


class ServedPolicy:
    """Rows (environments) are episodes of their own on the server, which runs their requests together.

    Args:
        host, port, token, timeout, n_action_steps: see `PolicyClient`.
        cameras: the policy's cameras -> keys of a batch; others are found by the last part of a key, or as the only one.

    Raises:
        PolicyConnectionError: there is no server.
        ValueError: `cameras` names one that the policy does not have.
    """

    def __init__(
        self,
        host: str,
        port: int,
        token: str | None = None,
        timeout: float = 30.0,
        n_action_steps: int | None = None,
        cameras: Mapping[str, str] | None = None,
    ):
        port_or_none = None if "://" in host else port
        self._new_client = lambda: PolicyClient(
            host, port_or_none, token=token, timeout=timeout, n_action_steps=n_action_steps
        )
        self._clients = [self._new_client()]
        self.contract = self._clients[0].contract
        self.cameras = dict(cameras or {})
        known = [camera["name"] for camera in self.contract["cameras"]]
        if unknown := sorted(set(self.cameras) - set(known)):
            raise ValueError(f"cameras: the policy has no {unknown}; it has {known}.")
        self._threads: ThreadPoolExecutor | None = None

    def reset(self) -> None:
        """New episodes in all rows."""
        for client in self._clients:
            client.reset()

    def select_action(self, batch: Mapping[str, Any]) -> np.ndarray:
        """The next action of every row, `(rows, action_dim)`."""
        return self._for_each(batch, lambda client, observation, task: client.select_action(observation, task))

    def predict_action_chunk(self, batch: Mapping[str, Any]) -> np.ndarray:
        """A new chunk for every row, `(rows, chunk, action_dim)`."""
        return self._for_each(batch, lambda client, observation, task: client.predict(observation, task))

    def _for_each(self, batch: Mapping[str, Any], ask: Callable[[PolicyClient, dict, str], np.ndarray]) -> np.ndarray:
        observations, tasks = self.observations(batch)
        while len(self._clients) < len(observations):
            self._clients.append(self._new_client())
            self._threads = None
        if self._threads is None:
            self._threads = ThreadPoolExecutor(len(self._clients))
        return np.stack(list(self._threads.map(ask, self._clients[: len(observations)], observations, tasks)))

    def observations(self, batch: Mapping[str, Any]) -> tuple[list[dict[str, Any]], list[str]]:
        """The rows of a batch as the server takes them: images uint8 (height, width, 3), and what each is told.

        Raises:
            ValueError: a camera, the state or the task is missing.
        """
        images = {key: value for key, value in batch.items() if key.startswith(IMAGES) and not key.endswith("_is_pad")}
        names = [camera["name"] for camera in self.contract["cameras"]]
        pixels = {name: _as_pixels(images[self._key(name, names, images)]) for name in names}
        rows = len(next(iter(pixels.values())))
        tasks = batch.get(TASK)
        tasks = [tasks] * rows if isinstance(tasks, str) else list(tasks or [])
        if len(tasks) != rows or not all(tasks):
            raise ValueError(f"a robovlms policy needs a task for each of {rows} rows, got {tasks}.")
        observations: list[dict[str, Any]] = [
            {"images": {name: frames[row] for name, frames in pixels.items()}} for row in range(rows)
        ]
        if self.contract["state"] is not None:
            if STATE not in batch:
                raise ValueError(f"the policy needs {STATE!r}; the batch has {sorted(batch)}.")
            for observation, state in zip(observations, np.asarray(batch[STATE].cpu(), np.float32), strict=True):
                observation["state"] = state
        return observations, tasks

    def _key(self, name: str, names: list[str], images: Mapping[str, Any]) -> str:
        if name in self.cameras:
            candidates = [self.cameras[name]]
        else:
            candidates = [key for key in images if key.rpartition(".")[2] == name]
            if not candidates and len(names) == len(images) == 1:
                candidates = list(images)
        if len(candidates) != 1 or candidates[0] not in images:
            raise ValueError(
                f"camera {name!r} of the policy: which of {sorted(images)} is it? Say so: "
                f"--policy.cameras='{{\"{name}\": KEY}}'."
            )
        return candidates[0]


def _as_pixels(images: Any) -> np.ndarray:
    """Floats in [0, 1], `(rows, 3, height, width)`, to uint8 `(rows, height, width, 3)`."""
    values = images.detach().float().cpu().numpy().transpose(0, 2, 3, 1)
    return np.rint(values * 255).clip(0, 255).astype(np.uint8)
