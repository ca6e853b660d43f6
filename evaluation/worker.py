"""The process that owns one environment: it answers requests on a connection until the connection closes.

`environments.py` runs this file as a script in a fresh interpreter. So it needs neither an importable `__main__` nor a
guard in the user's script, inherits no threads and no GL context, and ends by itself when its parent is gone.
"""

import os
import signal
import sys
import traceback
from multiprocessing.connection import Connection
from typing import Any

import cloudpickle


class Session:
    """One environment and the requests that it understands."""

    def __init__(self, env: Any, success_key: str):
        self.env = env
        self.success_key = success_key

    def reset(self, seed: int, options: dict[str, Any], want_frame: bool) -> dict[str, Any]:
        """Start an episode; `feasible` in the answer says whether the task can be begun in this scene."""
        self.observation, info = self.env.reset(seed=seed, options=options)
        return self._reply(info, False, False, want_frame) | {"feasible": bool(info.get("feasible", True))}

    def step(self, action: Any, want_frame: bool | None) -> dict[str, Any]:
        """Execute one action, float32 (action_dim,)."""
        self.observation, _, terminated, truncated, info = self.env.step(action)
        if self.success_key not in info:
            raise KeyError(
                f"the environment's info lacks {self.success_key!r}, which says whether the task is done; "
                f"it has {sorted(info)}"
            )
        return self._reply(info, terminated, truncated, want_frame)

    def set_task(self, options: dict[str, Any]) -> None:
        """Ask for the next task of a chain in the scene as it stands."""
        self.env.get_wrapper_attr("set_task")(**options)

    def _reply(
        self, info: dict[str, Any], terminated: bool, truncated: bool, want_frame: bool | None
    ) -> dict[str, Any]:
        success = bool(info.get(self.success_key, False))
        ended = success or bool(terminated) or bool(truncated)
        return {
            "observation": self.observation,
            "success": success,
            "terminated": bool(terminated),
            "truncated": bool(truncated),
            "frame": self._frame() if want_frame or (want_frame is None and ended) else None,
        }

    def _frame(self) -> Any:
        """A picture of the scene: what `render` gives, else the first camera of the observation."""
        if self.env.render_mode == "rgb_array":
            return self.env.render()
        return next(iter(self.observation["images"].values()))


def serve(connection: Connection) -> None:
    """Build the environment that the first message describes, then answer requests until the other end closes."""
    make_env, success_key = cloudpickle.loads(connection.recv_bytes())
    try:
        env = make_env()
        connection.send(("ready", env.action_space))
        session = Session(env, success_key)
        while True:
            name, arguments = connection.recv()
            connection.send(("done", getattr(session, name)(*arguments)))
    except (EOFError, BrokenPipeError, ConnectionResetError):
        return  # the parent has closed its end
    except Exception as error:
        where = traceback.format_exc(limit=-3).strip()
        connection.send(("failed", f"{type(error).__name__}: {error}", where))


def main(descriptor: int) -> None:
    """Entry point of the process; `descriptor` is its end of the pipe."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    with Connection(descriptor) as connection:
        serve(connection)
    os._exit(0)  # GL libraries may crash while they are torn down; there is nothing left to do


if __name__ == "__main__":
    main(int(sys.argv[1]))
