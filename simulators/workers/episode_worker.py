# pyright: reportMissingImports=false
# (the simulator's own Python has them)
"""What the workers share: episodes against a policy server, and their results on disk. For Python 3.8 and newer.

A worker brings an environment with

    restart()                    build the simulator, anew after a crash
    reset(episode)               begin an episode -> observation
    begin(task)                  ask for the next task of a chain in the scene as it stands
    step(action)                 -> observation, whether the task is done in this moment
    instruction                  what the policy is told now; it may change within an episode

where an observation is `{"images": {camera: uint8 (height, width, 3)}, "state": (state_dim,)}`, an action is `(action_dim,)`
in the contract's units, and an episode is an `Episode`.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import time
import traceback
from typing import Any

import numpy as np
from robovlms_client import PolicyClient, PolicyServerError

FILE = "episodes.jsonl"
FIRST_SUCCESS = "an episode ends at the first success, when the environment ends it, or at the step limit"
LAST_STEP = "an episode runs to its step limit and counts as a success if the task is done at the last step"
MAX_CRASHES_IN_A_ROW = 3
OWN = ("output", "host", "port", "token", "timeout", "retry_crashed", "assets", "dataset")
"""Options that don't decide about results."""


class Episode:
    """One episode to run: a task, or a chain of tasks without a reset in between.

    Args:
        tasks: one name, or those of a chain.
        seed: a number that tells it from others of its task.
        max_steps: actions per task.
        options: how it begins, as plain JSON types.
    """

    def __init__(self, tasks: list[str], seed: int, max_steps: int, options: dict[str, Any]):
        self.tasks, self.seed, self.max_steps, self.options = tasks, seed, max_steps, options

    @property
    def part(self) -> str:
        return "chains" if len(self.tasks) > 1 else "policy"

    @property
    def key(self) -> list[Any]:
        """What tells it from others."""
        return [self.part, self.seed, self.tasks[0]]


class Results:
    """Finished episodes: a line of JSON each, after a first one with the protocol and the command.

    Args:
        folder: made if it isn't there.
        protocol: what decides about results; episodes of another one can't go on here.
        command: what was asked for; a later one may ask for more.
        retry_crashed: forget episodes whose simulator raised.

    Raises:
        SystemExit: the folder holds episodes of another protocol.
    """

    def __init__(self, folder: str, protocol: dict[str, Any], command: str, retry_crashed: bool):
        os.makedirs(folder, exist_ok=True)
        self._path = os.path.join(folder, FILE)
        lines = []
        if os.path.exists(self._path):
            with open(self._path, encoding="utf-8") as file:
                lines = [json.loads(line) for line in file.read().split("\n")[:-1]]  # the last may be cut off
        if lines and lines[0]["protocol"] != json.loads(json.dumps(protocol)):
            raise SystemExit(f"{self._path} holds episodes of another evaluation; choose another --output")
        finished = [line for line in lines[1:] if not (retry_crashed and line["result"]["crashed"])]
        with open(self._path + ".tmp", "w", encoding="utf-8") as file:
            for line in [{"protocol": protocol, "worker": command}, *finished]:
                file.write(json.dumps(line) + "\n")
        os.replace(self._path + ".tmp", self._path)  # nothing is lost if this is killed
        self.finished = [[line["part"], line["seed"], line["task"]] for line in finished]
        self._minutes = finished[-1]["minutes"] if finished else 0.0
        self._start = time.monotonic()

    def add(self, episode: Episode, result: dict[str, Any]) -> None:
        """Note an episode that has ended."""
        minutes = self._minutes + (time.monotonic() - self._start) / 60
        part, seed, task = episode.key
        line = {"part": part, "seed": seed, "task": task, "minutes": minutes, "result": result}
        with open(self._path, "a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")


def arguments(description: str | None) -> argparse.ArgumentParser:
    """Return the options that all workers have."""
    parser = argparse.ArgumentParser(description=(description or "").split("\n")[0])
    parser.add_argument("--output", required=True, help="folder of the results; the same command goes on where it was")
    parser.add_argument("--host", default="127.0.0.1", help="host of the policy server (robovlms serve)")
    parser.add_argument("--port", type=int, default=8000, help="port of the policy server")
    parser.add_argument("--token", default=None, help="secret that the server wants")
    parser.add_argument("--timeout", type=float, default=60.0, help="seconds for one answer of the policy")
    parser.add_argument("--retry-crashed", action="store_true", help="run episodes again whose simulator raised")
    return parser


def command(options: argparse.Namespace) -> str:
    """Return what was asked for, without what is this machine's own."""
    words = [os.path.basename(sys.argv[0])]
    for name, value in vars(options).items():
        if name not in OWN and value is not None:
            values = value if isinstance(value, list) else [value]
            words += ["--" + name.replace("_", "-"), *map(str, values)]
    return " ".join(words)


def connect(options: argparse.Namespace) -> PolicyClient:
    """Return a client of the policy server."""
    return PolicyClient(options.host, options.port, options.token, timeout=options.timeout)


def check_contract(
    policy: PolicyClient, control_frequency: float, action_dim: int, conventions: dict[str, Any]
) -> None:
    """Make sure that the policy's actions mean here what they mean to it.

    Raises:
        SystemExit: it acts at another frequency, its actions have another size, or a field of its contract is not as in
            `conventions`.
    """
    contract = policy.contract
    for name, wanted in conventions.items():
        if contract[name] != wanted:
            raise SystemExit(f"{name}: the policy's contract says {contract[name]!r}, this robot takes {wanted!r}")
    if abs(contract["control_frequency"] - control_frequency) > 1e-6:
        raise SystemExit(
            f"the policy acts at {contract['control_frequency']} Hz, this robot at {control_frequency} Hz"
        )
    names = contract["action"]["names"]
    if len(names) != action_dim:
        raise SystemExit(f"the policy's actions {list(names)} have {len(names)} dimensions, this robot's {action_dim}")


def versions(*packages: str) -> dict[str, str]:
    """Return those of Python and of packages that are installed here."""
    from importlib.metadata import PackageNotFoundError, version

    found = {"python": platform.python_version(), "numpy": np.__version__}
    for package in packages:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def run(
    environment: Any, episodes: list[Episode], policy: PolicyClient, options: argparse.Namespace, about: dict[str, Any]
) -> None:
    """Run those episodes that have no result yet.

    Args:
        environment: see this module.
        episodes: all of them.
        policy: the server's client.
        options: of `arguments`; with `termination`, "truncate" makes success what the last step says, instead of the
            first success.
        about: `suite`, `suite_version`, `suite_facts`, `control_frequency`, `versions`.
    """
    last_step = getattr(options, "termination", "accumulate") == "truncate"
    protocol = {
        **about,
        "policy": policy.metadata.get("policy"),
        "contract_hash": policy.metadata.get("contract_hash"),
        "n_action_steps": policy.contract["n_action_steps"],
        "termination": LAST_STEP if last_step else FIRST_SUCCESS,
    }
    results = Results(options.output, protocol, command(options), options.retry_crashed)
    waiting = [episode for episode in episodes if episode.key not in results.finished]
    print(f"{len(episodes)} episodes, {len(episodes) - len(waiting)} of them finished before")
    crashes = 0
    environment.restart()
    for number, episode in enumerate(waiting):
        result = new_result(episode)
        try:
            play(environment, episode, policy, result, last_step)
            crashes = 0
        except (OSError, PolicyServerError):  # not the simulator's fault: this episode has no result
            raise
        except Exception as error:
            traceback.print_exc()
            result["reason"], result["crashed"] = f"{type(error).__name__}: {error}", True
            crashes += 1
        results.add(episode, result)
        outcome = "success" if result["success"] else result["reason"]
        print(
            f"{number + 1}/{len(waiting)} {' -> '.join(episode.tasks)}: {outcome}, {result['steps']} steps", flush=True
        )
        if crashes == MAX_CRASHES_IN_A_ROW:
            raise SystemExit(f"{crashes} episodes in a row crashed; what is finished is kept in {options.output}")
        if result["crashed"]:
            environment.restart()


def new_result(episode: Episode) -> dict[str, Any]:
    """Return a result before the episode: the fields of `robovlms.evaluation.EpisodeResult`."""
    return {
        "task": episode.tasks[0],
        "instruction": "",
        "seed": episode.seed,
        "success": False,
        "steps": 0,
        "reason": None,
        "crashed": False,
        "completed": 0,
        "options": episode.options,
        "chain": episode.tasks if len(episode.tasks) > 1 else [],
        "frame_instructions": [],
        "film": None,
    }


def play(environment: Any, episode: Episode, policy: PolicyClient, result: dict[str, Any], last_step: bool) -> None:
    """Run one episode and write into `result` what happens."""
    observation = environment.reset(episode)
    result["instruction"] = environment.instruction
    for task in episode.tasks:
        if result["completed"]:
            environment.begin(task)
        policy.reset()
        told, done = environment.instruction, False
        for _ in range(episode.max_steps):
            if environment.instruction != told:  # the next part of a long task
                told = environment.instruction
                policy.reset()
            observation, done = environment.step(policy.select_action(observation, told))
            result["steps"] += 1
            if done and not last_step:
                break
        if not done:
            result["reason"] = "step limit"
            return
        result["completed"] += 1
    result["success"] = True


def main(worker: Any) -> None:
    """Run a worker's `main` and end with a message instead of a traceback where the server is the cause."""
    try:
        worker()
    except (OSError, PolicyServerError) as error:
        sys.exit(f"{type(error).__name__}: {error}. What is finished is kept: the same command goes on.")
