"""What a suite of tasks is."""

import dataclasses
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..configuration.action_contract import UNKNOWN, how_to_declare
from .environments import MakeEnv
from .rollout import Episode

FIRST_SUCCESS = "an episode ends at the first success, when the environment ends it, or at the step limit"


@dataclass(frozen=True)
class Conventions:
    """What a suite takes actions to mean, in the words of `ActionContract`. What is None may be anything.

    Attributes:
        rotation, mode, frame: as in the contract.
        grippers: (dimension, value that opens, value that closes) of each.
    """

    rotation: str | None = None
    mode: str | None = None
    frame: str | None = None
    grippers: tuple[tuple[int, float, float], ...] | None = None

    def unlike(self, contract: Any) -> list[str]:
        """Return what a policy's contract says otherwise."""
        theirs = {name: getattr(contract, name) for name in ("rotation", "mode", "frame")}
        theirs["grippers"] = tuple((one.dim, one.open_value, one.closed_value) for one in contract.grippers)
        return [
            f"{name}: the policy's contract says {value!r}, the suite takes {getattr(self, name)!r}"
            + (f". {how_to_declare(name)}" if value == UNKNOWN else "")
            for name, value in theirs.items()
            if getattr(self, name) is not None and getattr(self, name) != value
        ]


@dataclass(frozen=True)
class Suite:
    """Tasks in an environment, and how they are asked for.

    Attributes:
        name, version: what the record says was run.
        instructions: task -> the ways to ask for it.
        make_env: builds one environment with observations `{"images": {camera: uint8 (H, W, 3)}, "state": ...}`, the
            reset options "task" and "instruction", `info["success"]` after each step and, for chains,
            `set_task(task, instruction)`.
        max_steps: actions after which a task counts as failed.
        fixed_limits: whether the environment ends episodes at a limit of each task, so that no other can be given.
        control_frequency: actions per second (Hz).
        default_tasks: those that are run where none are named; all of them if empty.
        episodes_per_task, controls_per_task: how many episodes are run, and how many of each control, where nobody says.
        settings: name of a held-out setting -> how it changes an episode.
        make_chain: (generator, tasks, length) -> tasks that can be done one after another in one scene; None where the
            suite has no long-horizon protocol.
        termination: when an episode ends and what counts as its success, in words, for the record.
        facts: what else a reader of the score must know, for the record: rendering settings, the checksum of the
            assets, deviations from the published suite. Plain JSON types.
        conventions: what actions mean here; a policy whose contract says otherwise is refused.
        options: those that `get_suite` built it with, for the record; paths are left out.
        timeout: seconds after which a silent environment counts as hung; the first picture of some takes long.
    """

    name: str
    version: str
    instructions: dict[str, tuple[str, ...]]
    make_env: MakeEnv
    max_steps: int
    control_frequency: float
    default_tasks: tuple[str, ...] = ()
    episodes_per_task: int = 10
    controls_per_task: int = 5
    settings: dict[str, Callable[[Episode], Episode]] = field(default_factory=dict)
    make_chain: Callable[[np.random.Generator, Sequence[str], int], Sequence[str]] | None = None
    termination: str = FIRST_SUCCESS
    facts: dict[str, Any] = field(default_factory=dict)
    conventions: Conventions = Conventions()
    options: dict[str, Any] = field(default_factory=dict)
    timeout: float = 120.0
    fixed_limits: bool = False

    def episodes(self, tasks: Sequence[str], count: int, seed: int) -> list[Episode]:
        """`count` episodes, the tasks in turn.

        An episode's seed depends on its task and on its number among that task's episodes, not on which other tasks
        are run, and its words on its seed.
        """
        numbers = {task: number for number, task in enumerate(self.instructions)}
        episodes = []
        for index in range(count):
            task = tasks[index % len(tasks)]
            own_seed = seed + index // len(tasks) * len(numbers) + numbers[task]
            instruction = np.random.default_rng(own_seed).choice(self.instructions[task])
            episodes.append(Episode(task, str(instruction), own_seed))
        return episodes

    def shuffled(self, episodes: Iterable[Episode], tasks: Sequence[str]) -> list[Episode]:
        """Return the same episodes, but the policy is told the words of another of `tasks`."""
        if len(tasks) < 2:
            raise ValueError(f"shuffled_instruction needs at least two tasks, got {list(tasks)}")
        shuffled = []
        for episode in episodes:
            generator = np.random.default_rng([episode.seed, 1])
            other = str(generator.choice([task for task in tasks if task != episode.task]))
            words = str(generator.choice(self.instructions[other]))
            shuffled.append(dataclasses.replace(episode, instruction_override=words))
        return shuffled

    def chains(self, tasks: Sequence[str], count: int, length: int, seed: int) -> list[Episode]:
        """`count` chains of `length` tasks, asked one after another without a reset."""
        if self.make_chain is None:
            raise ValueError(f"chains: suite {self.name!r} has no long-horizon protocol")
        chains = []
        for number in range(count):
            generator = np.random.default_rng([seed + number, 2])
            chain = self.make_chain(generator, tasks, length)
            asked = [(str(task), str(generator.choice(self.instructions[task]))) for task in chain]
            chains.append(Episode(*asked[0], seed=seed + number, then=tuple(asked[1:])))
        return chains


@dataclass(frozen=True)
class FixedStartsSuite(Suite):
    """A suite whose episodes are a published list of starts of each task.

    Attributes:
        start_option: the reset option that takes a start's number, from 0 up to `episodes_per_task`.
    """

    start_option: str = "start"

    def episodes(self, tasks: Sequence[str], count: int, seed: int) -> list[Episode]:
        """`count` episodes, the first starts of each task, task after task, since scenes are slow to build; `seed` doesn't
        matter.

        Raises:
            ValueError: more than there are starts.
        """
        most, starts = self.episodes_per_task * len(tasks), self.start_option.replace("_", " ") + "s"
        if count > most:
            raise ValueError(
                f"episodes: {len(tasks)} tasks have {most} {starts}, so ask for no more; got episodes={count}"
            )
        shares = {task: count // len(tasks) + (index < count % len(tasks)) for index, task in enumerate(tasks)}
        return [
            Episode(task, self.instructions[task][0], seed=number, options={self.start_option: number})
            for task, share in shares.items()
            for number in range(share)
        ]
