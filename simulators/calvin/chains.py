"""The long-horizon protocol: 1000 chains of five tasks, each with a condition in which it begins."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from .conditions import Condition, after, initial_conditions
from .tasks import TASKS

CHAIN_LENGTH = 5
NUM_CHAINS = 1000
MAX_STEPS = 360
"""Actions after which a task of a chain counts as failed."""
PUBLISHED = Path(__file__).with_name("chains.json")


@dataclass(frozen=True)
class Chain:
    """Five tasks to be done one after the other, without a reset.

    Attributes:
        state: number of the condition in which it begins, of `conditions.initial_conditions()`.
        tasks: names.
    """

    state: int
    tasks: tuple[str, ...]

    @property
    def condition(self) -> Condition:
        """Where things are when it begins."""
        return initial_conditions()[self.state]


def published_chains() -> list[Chain]:
    """Return the 1000 chains of every published score, in their order."""
    rows = json.loads(PUBLISHED.read_text(encoding="utf-8"))
    return [Chain(state, tuple(TASKS[number] for number in tasks)) for state, *tasks in rows]


def generate_chains(count: int = NUM_CHAINS) -> list[Chain]:
    """Draw chains as the published ones were drawn; takes a minute for 1000.

    From each condition an equal number of chains; tasks without replacement until each can be asked for when it comes and
    no two are of the same category; all shuffled at last.
    """
    conditions = initial_conditions()
    shares = np.array_split(np.arange(count), len(conditions))
    chains = []
    for state, (condition, share) in enumerate(zip(conditions, shares, strict=True)):
        generator = np.random.RandomState(state)
        found = 0
        while found < len(share):
            numbers = generator.choice(len(TASKS), CHAIN_LENGTH, replace=False)
            if is_possible(condition, tasks := tuple(TASKS[number] for number in numbers)):
                chains.append(Chain(state, tasks))
                found += 1
    np.random.RandomState(0).shuffle(chains)
    return chains


def is_possible(condition: Condition, tasks: Sequence[str]) -> bool:
    """Return whether tasks can be asked for one after the other, no two being of the same category."""
    if len({category(task) for task in tasks}) < len(tasks):
        return False
    now: Condition | None = condition
    for task in tasks:
        now = after(now, task)
        if now is None:
            return False
    return True


@cache
def category(task: str) -> str:
    """Return what a chain has at most one of."""
    verb, *_, last = task.split("_")
    if task == "push_into_drawer":
        return task
    if verb in ("rotate", "push"):
        return "rotate or push"
    if verb in ("open", "close"):
        return "drawer"
    return f"lift from {last}" if verb == "lift" else verb  # move (slider), place, turn (lights), stack, unstack
