"""A row of environments, each in a process of its own."""

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from multiprocessing import Pipe
from pathlib import Path
from typing import Any

import cloudpickle
import gymnasium

MakeEnv = Callable[[], gymnasium.Env]
WORKER = Path(__file__).with_name("worker.py")


class EnvironmentFailure(RuntimeError):
    """An environment raised, crashed or hung; the message is the reason."""


class EnvironmentProcess:
    """One environment in a fresh Python process, spoken to over a pipe.

    Args:
        make_env: builds the environment; sent with cloudpickle, so lambdas and closures do.
        success_key: key of `info` that says whether the task is done.
        timeout: seconds after which a silent environment counts as hung.
    """

    def __init__(self, make_env: MakeEnv, success_key: str = "success", timeout: float = 120.0):
        self.timeout = timeout
        self._log = tempfile.TemporaryFile()  # noqa: SIM115  (lives as long as the process)
        self._connection, theirs = Pipe()
        variables = os.environ | {
            "PYTHONPATH": os.pathsep.join(path or os.getcwd() for path in sys.path),
            "OMP_NUM_THREADS": "1",
        }
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-P", str(WORKER), str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                env=variables,
                stdin=subprocess.DEVNULL,
                stdout=self._log,
                stderr=self._log,
            )
        self._send_bytes(cloudpickle.dumps((make_env, success_key)))

    def wait_until_ready(self) -> gymnasium.Space:
        """Wait for the environment to be built; returns its action space."""
        return self.receive()

    def send(self, request: str, *arguments: Any) -> None:
        """Ask for something (`reset`, `step`, `set_task`: see `worker.Session`); `receive` gets the answer."""
        try:
            self._connection.send((request, arguments))
        except (BrokenPipeError, ConnectionResetError):
            raise EnvironmentFailure(self._post_mortem()) from None

    def receive(self) -> Any:
        """Return the answer to the last request.

        Raises:
            EnvironmentFailure: the environment raised, its process ended, or it gave no sign for `timeout` seconds.
        """
        if not self._connection.poll(self.timeout):
            self._process.kill()
            self.close()
            raise EnvironmentFailure(f"environment hung: no answer for {self.timeout:g} seconds")
        try:
            kind, *content = self._connection.recv()
        except (EOFError, ConnectionResetError):
            raise EnvironmentFailure(self._post_mortem()) from None
        if kind == "failed":
            reason, where = content
            self.close()
            failure = EnvironmentFailure(f"environment raised {reason}")
            failure.add_note(where)
            raise failure
        return content[0]

    def close(self) -> None:
        """End the process. Harmless when it has ended."""
        self._connection.close()
        try:
            self._process.wait(timeout=2)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._log.close()

    def _send_bytes(self, message: bytes) -> None:
        try:
            self._connection.send_bytes(message)
        except (BrokenPipeError, ConnectionResetError):
            raise EnvironmentFailure(self._post_mortem()) from None

    def _post_mortem(self) -> str:
        """How the process died, with the last lines that it printed."""
        self._connection.close()
        try:
            code = self._process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            code = self._process.wait()
        how = f"exit code {code}"
        if code < 0:
            how = f"killed by {signal.Signals(-code).name}"
        self._log.seek(0)
        last_lines = self._log.read().decode(errors="replace").strip().splitlines()[-3:]
        self._log.close()
        return f"environment process died ({how})" + (": " + " | ".join(last_lines) if last_lines else "")


class EnvironmentPool:
    """`num_envs` environments, one process each, reusable over several rollouts.

    Use it as a context manager; the processes end with it.

    Attributes:
        action_space: the action space of one environment.

    Raises:
        EnvironmentFailure: an environment can't be built at all (a missing GL library, missing assets, ...).
    """

    def __init__(self, make_env: MakeEnv, num_envs: int, success_key: str = "success", timeout: float = 120.0):
        if num_envs < 1:
            raise ValueError(f"num_envs must be at least 1, got {num_envs}")
        self._new = lambda: EnvironmentProcess(make_env, success_key, timeout)
        self._processes = [self._new() for _ in range(num_envs)]
        try:
            self.action_space, *_ = [process.wait_until_ready() for process in self._processes]
        except EnvironmentFailure:
            self.close()
            raise

    def __len__(self) -> int:
        return len(self._processes)

    def __getitem__(self, row: int) -> EnvironmentProcess:
        return self._processes[row]

    def restart(self, row: int) -> None:
        """Replace the process of a row by a fresh one (after a failure)."""
        self._processes[row].close()
        self._processes[row] = self._new()
        self._processes[row].wait_until_ready()

    def close(self) -> None:
        """End all processes."""
        for process in self._processes:
            process.close()

    def __enter__(self) -> "EnvironmentPool":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
