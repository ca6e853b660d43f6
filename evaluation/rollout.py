"""The rollout engine: episodes run in several environments at once, with batched policy inference."""

import inspect
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from gymnasium import Space
from tqdm.auto import tqdm

from .environments import EnvironmentFailure, EnvironmentPool, MakeEnv

Observation = dict[str, Any]

RESEED = 100_000_000
"""What is added to an episode's seed where `info["feasible"]` says that the task can't be begun in its scene."""
MAX_RESEEDS = 20
FILMED = 5
"""Episodes of a task that are filmed in search of a success and of a failure, per film that is wanted of each."""


class RolloutPolicy(Protocol):
    """What the engine needs of a policy. Row i is environment i for as long as a rollout lasts.

    `select_action` may have a third parameter `rows`, the rows which the observations belong to. Then only running
    environments are passed; otherwise all rows are, and the actions of idle ones are ignored. `reset` may have a parameter
    `seeds`, one per row, for what the policy draws in these episodes.
    """

    def reset(self, rows: Sequence[int] | None = None) -> None: ...

    @property
    def select_action(self) -> Callable[..., Any]: ...


@dataclass(frozen=True)
class Episode:
    """One episode to run.

    Attributes:
        task: what the environment's oracle checks.
        instruction: the words for it; what the environment is told, and the policy too unless overridden.
        seed: the environment's reset seed.
        options: further reset options.
        instruction_override: what the policy is told instead, for controls (the oracle keeps `task`).
        then: further (task, instruction) pairs for a chain: each is asked in the scene as the one before left it, as
            soon as that one has succeeded.
    """

    task: str
    instruction: str
    seed: int
    options: dict[str, Any] = field(default_factory=dict)
    instruction_override: str | None = None
    then: tuple[tuple[str, str], ...] = ()


@dataclass
class EpisodeResult:
    """How an episode ended.

    Attributes:
        task, instruction: of the episode; `instruction` is what the policy was told first.
        seed: that of the scene: the episode's, plus a multiple of `RESEED` where its own made the task infeasible.
        success: the task (of a chain: every task) was done.
        steps: actions executed.
        reason: why it was no success: "step limit", "ended by the environment" or what befell the environment.
        crashed: the environment raised, died or hung.
        completed: tasks done in a row (0 or 1 for a single task).
        options: the episode's reset options.
        chain: the tasks of a chain, else empty.
        frames: pictures of the episode, uint8 (H, W, 3), where they were asked for.
        frame_instructions: what the policy was being told at each of them.
    """

    task: str
    instruction: str
    seed: int
    success: bool
    steps: int
    reason: str | None = None
    crashed: bool = False
    completed: int = 0
    options: dict[str, Any] = field(default_factory=dict)
    chain: tuple[str, ...] = ()
    frames: list[np.ndarray] = field(default_factory=list, repr=False, compare=False)
    frame_instructions: list[str] = field(default_factory=list, repr=False, compare=False)


class RandomPolicy:
    """Uniformly random actions, the floor of every evaluation.

    Each episode's actions follow from `seed` and its first observation alone, not from the other environments.
    """

    def __init__(self, action_space: Space, seed: int = 0):
        self.low, self.high = action_space.low, action_space.high  # pyright: ignore[reportAttributeAccessIssue]  (a Box)
        self.seed = seed
        self.generators: dict[int, np.random.Generator] = {}

    def reset(self, rows: Sequence[int] | None = None) -> None:
        """Forget the episodes of some rows (all by default)."""
        for row in list(self.generators) if rows is None else rows:
            self.generators.pop(row, None)

    def select_action(self, observation: list[Observation], instruction: list[str], rows: Sequence[int]) -> np.ndarray:
        """Random actions (N, action_dim)."""
        return np.stack([self._generator(row, seen) for row, seen in zip(rows, observation, strict=True)])

    def _generator(self, row: int, observation: Observation) -> np.ndarray:
        if row not in self.generators:
            digest = 0
            for name in sorted(observation["images"]):
                digest = zlib.crc32(observation["images"][name].tobytes(), digest)
            self.generators[row] = np.random.default_rng([self.seed, digest])
        return self.generators[row].uniform(self.low, self.high).astype(np.float32)


class _Row:
    """The episode that runs in one environment."""

    def __init__(self, index: int, episode: Episode, number: int):
        self.index, self.episode, self.number = index, episode, number
        self.is_filmed = False
        self.seed = episode.seed
        self.tasks = ((episode.task, episode.instruction), *episode.then)
        self.completed = 0
        self.steps = 0  # in all
        self.task_steps = 0  # in the current task
        self.observation: Observation = {}
        self.frames: list[np.ndarray] = []
        self.frame_instructions: list[str] = []

    @property
    def options(self) -> dict[str, Any]:
        """The task asked now, as the environment wants it."""
        task, instruction = self.tasks[self.completed]
        return {"task": task, "instruction": instruction}

    @property
    def told(self) -> str:
        """What the policy is told now."""
        return self.episode.instruction_override or self.tasks[self.completed][1]

    def take(self, reply: dict[str, Any]) -> None:
        """Note a new observation, and the picture if there is one."""
        self.observation = reply["observation"]
        if reply["frame"] is not None:
            self.frames.append(np.array(reply["frame"]))
            self.frame_instructions.append(self.told)

    def result(self, reason: str | None, crashed: bool = False) -> EpisodeResult:
        return EpisodeResult(
            task=self.episode.task,
            instruction=self.episode.instruction_override or self.episode.instruction,
            seed=self.seed,
            success=reason is None,
            steps=self.steps,
            reason=reason,
            crashed=crashed,
            completed=self.completed,
            options=dict(self.episode.options),
            chain=tuple(task for task, _ in self.tasks) if self.episode.then else (),
            frames=self.frames,
            frame_instructions=self.frame_instructions,
        )


def rollout(
    policy: RolloutPolicy,
    make_env: MakeEnv | EnvironmentPool,
    episodes: Sequence[Episode],
    *,
    num_envs: int = 4,
    max_steps: int | None = None,
    films: int = 0,
    film_every: int = 2,
    black_images: bool = False,
    finished: Mapping[int, EpisodeResult] | None = None,
    on_result: Callable[[int, EpisodeResult], None] | None = None,
    progress: bool = True,
    description: str = "rollouts",
    **pool_options: Any,
) -> list[EpisodeResult]:
    """Run episodes, several at once, each environment in a process of its own.

    An episode ends at the first success, when the environment ends it, or after `max_steps` actions. An environment
    that raises, dies or hangs fails its episode with the reason, and the next episode gets a fresh process.

    Args:
        policy: see `RolloutPolicy`; its state of row i is reset before each episode (and each task of a chain).
        make_env: builds one environment, or a pool to run in, which is left open.
        episodes: what to run. A result depends on its episode and the policy, not on the order or on `num_envs`.
        num_envs: environments at once (without a pool).
        max_steps: actions after which a task counts as failed; by default the environment's own limit.
        films: keep pictures of so many successes and of so many failures of each task, as far as its first
            `FILMED * films` episodes have them.
        film_every: steps between two pictures.
        black_images: blacken the images that the policy sees (a control; pictures show the scene).
        finished: index -> result of episodes that were run before and are not run again.
        on_result: called with (index, result) as each episode ends.
        progress: show a progress bar.
        pool_options: `success_key` and `timeout` of the pool.

    Returns:
        one result per episode, in their order.

    Raises:
        EnvironmentFailure: no environment can be built.
        ValueError: the policy's actions are not finite or not one per observation.
    """
    if not episodes:
        return []
    if isinstance(make_env, EnvironmentPool):
        context: Any = nullcontext(make_env)
    else:
        context = EnvironmentPool(make_env, min(num_envs, len(episodes)), **pool_options)
    bar = tqdm(total=len(episodes), desc=description, disable=not progress, unit="episode")
    with context as pool, bar:
        run = _Run(policy, pool, episodes, max_steps, films, film_every, black_images, finished or {})
        bar.update(len(run.results))
        while run.results.keys() != set(range(len(episodes))):
            for index in run.advance():
                if on_result is not None:
                    on_result(index, run.results[index])
                done = sum(result.success for result in run.results.values())
                bar.set_postfix_str(
                    f"success {done}/{len(run.results)} = {done / len(run.results):.0%}", refresh=False
                )
                bar.update()
    return [run.results[index] for index in range(len(episodes))]


class _Run:
    """The state of one `rollout`: which episode runs in which row, and what has come out so far."""

    def __init__(
        self,
        policy: RolloutPolicy,
        pool: EnvironmentPool,
        episodes: Sequence[Episode],
        max_steps: int | None,
        films: int,
        film_every: int,
        black_images: bool,
        finished: Mapping[int, EpisodeResult],
    ):
        self.policy, self.pool = policy, pool
        self.max_steps, self.black_images = max_steps, black_images
        self.films, self.film_every = films, film_every
        self.rows: list[_Row | None] = [None] * len(pool)
        self.broken: set[int] = set()  # rows whose process needs replacing
        self.results: dict[int, EpisodeResult] = dict(finished)
        self.filmed = Counter((result.task, result.success) for result in finished.values() if result.frames)
        self.waiting: list[_Row] = []
        seen: Counter[str] = Counter()
        for index, episode in enumerate(episodes):
            if index not in finished:
                self.waiting.append(_Row(index, episode, number=seen[episode.task]))
            seen[episode.task] += 1
        self.waiting.reverse()  # popped from the end
        self.names_rows = "rows" in inspect.signature(policy.select_action).parameters
        self.takes_seeds = "seeds" in inspect.signature(policy.reset).parameters
        policy.reset()

    def advance(self) -> list[int]:
        """Start what can start, act once in every running environment; returns the episodes that ended."""
        before = set(self.results)
        self.start()
        if any(self.rows):
            self.act()
        return [index for index in self.results if index not in before]

    def start(self) -> None:
        """Give every free row an episode, and wait until all are reset."""
        started = [number for number, row in enumerate(self.rows) if row is None][: len(self.waiting)]
        rows = [self.waiting.pop() for _ in started]
        for number, row in zip(started, rows, strict=True):
            self.rows[number] = row
            row.is_filmed = self.is_to_be_filmed(row)
            with self.failing(number):
                if number in self.broken:
                    self.pool.restart(number)
                    self.broken.remove(number)
                self.reset(number, row)
        for number in started:
            row = self.rows[number]
            if row is not None:
                with self.failing(number):
                    self.take_feasible(number, row)
        if started:
            self.reset_policy(started, [row.seed for row in rows])

    def is_to_be_filmed(self, row: _Row) -> bool:
        """Return whether films of successes or of failures of the row's task are still wanted."""
        wanted = min(self.filmed[row.episode.task, outcome] for outcome in (True, False)) < self.films
        return wanted and row.number < FILMED * self.films

    def reset_policy(self, rows: list[int], seeds: list[int]) -> None:
        """Tell the policy that episodes begin."""
        extra = {"seeds": seeds} if self.takes_seeds else {}
        self.policy.reset(rows=rows, **extra)

    def reset(self, number: int, row: _Row) -> None:
        """Ask a row's environment to begin the row's episode."""
        self.pool[number].send("reset", row.seed, row.options | row.episode.options, row.is_filmed)

    def take_feasible(self, number: int, row: _Row) -> None:
        """Wait for a scene in which the task can be begun, redrawing it with further seeds where it can't."""
        reply = self.pool[number].receive()
        while not reply["feasible"]:
            row.seed += RESEED
            if row.seed > row.episode.seed + MAX_RESEEDS * RESEED:
                self.finish(number, f"infeasible with {MAX_RESEEDS} seeds")
                return
            self.reset(number, row)
            reply = self.pool[number].receive()
        row.take(reply)

    def act(self) -> None:
        """One action in every running environment: all are sent before the first answer is awaited."""
        running = {number: row for number, row in enumerate(self.rows) if row is not None}
        for (number, row), action in zip(running.items(), self.actions(running), strict=True):
            row.steps += 1
            row.task_steps += 1
            wanted: bool | None = False
            if row.is_filmed:  # None: only if the environment ends the episode
                wanted = row.task_steps == self.max_steps or row.steps % self.film_every == 0 or None
            with self.failing(number):
                self.pool[number].send("step", action, wanted)
        for number, row in running.items():
            if self.rows[number] is row:
                with self.failing(number):
                    self.judge(number, row, self.pool[number].receive())

    def judge(self, number: int, row: _Row, reply: dict[str, Any]) -> None:
        """End an episode, or go on to the next task of a chain, where the time has come."""
        row.take(reply)
        if reply["success"]:
            row.completed += 1
            if row.completed == len(row.tasks):
                self.finish(number, None)
                return
            row.task_steps = 0
            self.pool[number].send("set_task", row.options)
            self.pool[number].receive()
            self.reset_policy([number], [row.seed + row.completed])
        elif reply["terminated"]:
            self.finish(number, "ended by the environment")
        elif reply["truncated"] or row.task_steps == self.max_steps:
            self.finish(number, "step limit")

    def finish(self, number: int, reason: str | None, crashed: bool = False) -> None:
        """Note the result of a row's episode and free the row."""
        row = self.rows[number]
        assert row is not None
        self.rows[number] = None
        film = (row.episode.task, reason is None)
        if row.frames and self.filmed[film] >= self.films:
            row.frames, row.frame_instructions = [], []
        self.filmed[film] += bool(row.frames)
        self.results[row.index] = row.result(reason, crashed)

    @contextmanager
    def failing(self, number: int) -> Iterator[None]:
        """Turn a failure of a row's environment into the failure of its episode."""
        try:
            yield
        except EnvironmentFailure as failure:
            self.broken.add(number)
            self.finish(number, str(failure), crashed=True)

    def actions(self, running: dict[int, _Row]) -> np.ndarray:
        """Return the policy's actions, float32 (running rows, action_dim)."""
        rows = list(running)
        if not self.names_rows:  # then it wants every row: idle ones get a copy of another's observation
            rows = [number if number in running else rows[0] for number in range(len(self.rows))]
        observations = [running[number].observation for number in rows]
        if self.black_images:
            observations = [_blackened(observation) for observation in observations]
        told = [running[number].told for number in rows]
        extra = {"rows": rows} if self.names_rows else {}
        actions = np.asarray(self.policy.select_action(observations, told, **extra), dtype=np.float32)
        if actions.ndim != 2 or len(actions) != len(rows):
            raise ValueError(f"select_action must return actions ({len(rows)}, action_dim), got shape {actions.shape}")
        if not np.isfinite(actions).all():
            raise ValueError(f"select_action returned non-finite actions: {actions}")
        return actions if self.names_rows else actions[list(running)]


def _blackened(observation: Observation) -> Observation:
    images = {camera: np.zeros_like(image) for camera, image in observation["images"].items()}
    return observation | {"images": images}
