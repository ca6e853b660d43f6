"""The known suites, and `evaluate`, which runs a policy on one of them and writes the record."""

import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from .calvin_suite import calvin_suite
from .environments import EnvironmentPool
from .record import ChainScores, EvaluationRecord, TaskScores
from .rollout import Episode, EpisodeResult, RandomPolicy, RolloutPolicy, rollout
from .suite import Suite
from .tabletop_suite import tabletop_suite

CONTROLS = ("shuffled_instruction", "black_images", "random_policy")
FIRST_SEED = 1_000_000

_SUITES: dict[str, Callable[..., Suite]] = {"tabletop": tabletop_suite, "calvin": calvin_suite}


def register_suite(name: str, build: Callable[..., Suite]) -> None:
    """Make a suite known by name; `build` is called, with the suite's options, whenever it is asked for."""
    _SUITES[name] = build


def get_suite(name: str, **options: Any) -> Suite:
    """The suite of that name, for example `get_suite("tabletop", image_size=96)`.

    Raises:
        ValueError: there is none; the message lists those that exist.
    """
    if name not in _SUITES:
        raise ValueError(f"suite: unknown {name!r}, there are {sorted(_SUITES)}")
    return _SUITES[name](**options)


def evaluate(
    policy: RolloutPolicy,
    suite: str | Suite = "tabletop",
    *,
    tasks: Sequence[str] | None = None,
    episodes: int = 100,
    seed: int = FIRST_SEED,
    num_envs: int = 8,
    controls: bool | Sequence[str] = True,
    control_episodes: int | None = None,
    settings: Sequence[str] = (),
    setting_episodes: int | None = None,
    chains: int = 0,
    chain_length: int = 5,
    max_steps: int | None = None,
    record: int = 1,
    contract: Any = None,
    policy_name: str | None = None,
    policy_revision: str | None = None,
    progress: bool = True,
) -> tuple[EvaluationRecord, list[EpisodeResult]]:
    """Run a policy on a suite.

    Args:
        policy: a `robovlms.Policy`, or anything with its `reset` and `select_action`.
        suite: name of a registered suite, or a suite.
        tasks: those to run; the suite's default tasks, or else all of it, by default.
        episodes: episodes in all, the tasks in turn; may be 0 where chains are run.
        seed: where the seeds of the episodes start.
        num_envs: environments at once, each in its own process.
        controls: which of `CONTROLS` to run (True: all), on the first `control_episodes` of the same episodes.
        control_episodes: episodes per control; as many as `episodes` by default.
        settings: held-out settings of the suite to run as well.
        setting_episodes: episodes per setting; as many as `episodes` by default.
        chains: long-horizon chains to run, of `chain_length` instructions each.
        max_steps: step limit per task; the suite's by default.
        record: keep pictures of the first so many episodes of each task.
        contract: the policy's `ActionContract`, for the record; `policy.contract` by default, where there is one.
        policy_name, policy_revision: for the record.
        progress: show progress bars.

    Returns:
        the record, and the results of the main episodes and of the chains, with their pictures.

    Raises:
        ValueError: an unknown suite, task, control or setting; a contract made for another control frequency.
        EnvironmentFailure: the environment can't be built.
    """
    start = time.monotonic()
    if isinstance(suite, str):
        suite = get_suite(suite)
    tasks = list(tasks if tasks is not None else suite.default_tasks or suite.instructions)
    controls = (CONTROLS if controls else ()) if isinstance(controls, bool) else tuple(controls)
    _check_known("tasks", tasks, suite.instructions)
    _check_known("controls", controls, CONTROLS)
    _check_known("settings", settings, suite.settings)
    if not tasks or episodes < 0 or episodes + chains < 1:
        raise ValueError(
            f"evaluate needs at least one task and one episode or chain, got tasks {tasks}, episodes {episodes}, "
            f"chains {chains}"
        )
    if not episodes:
        controls = ()
    contract = contract if contract is not None else getattr(policy, "contract", None)
    if contract is not None and abs(contract.control_frequency - suite.control_frequency) > 1e-6:
        raise ValueError(
            f"control_frequency: the policy's contract says {contract.control_frequency} Hz, "
            f"suite {suite.name!r} runs at {suite.control_frequency} Hz"
        )
    limit = max_steps if max_steps is not None else suite.max_steps
    main = suite.episodes(tasks, episodes, seed)
    first = main[: control_episodes if control_episodes is not None else episodes]

    with EnvironmentPool(suite.make_env, min(num_envs, max(episodes, chains)), timeout=suite.timeout) as pool:

        def run(description: str, asked: list[Episode], who: RolloutPolicy = policy, **options: Any):
            return rollout(
                who, pool, asked, max_steps=limit, description=f"{description:22}", progress=progress, **options
            )

        results = run("policy", main, record=record)
        scores: dict[str, TaskScores] = {}
        for control in controls:
            if control == "shuffled_instruction":
                outcome = run("shuffled instruction", suite.shuffled(first, tasks))
            elif control == "black_images":
                outcome = run("black images", first, black_images=True)
            else:
                outcome = run("random policy", first, RandomPolicy(pool.action_space, seed))
            scores[control] = TaskScores.of_results(outcome)
        unseen = {}
        for setting in settings:
            changed = [
                suite.settings[setting](episode)
                for episode in suite.episodes(tasks, setting_episodes or episodes, seed)
            ]
            unseen[setting] = TaskScores.of_results(run(f"unseen {setting}", changed))
        long = run("chains", suite.chains(tasks, chains, chain_length, seed), record=record) if chains else []

    evaluation = EvaluationRecord.of_results(
        results,
        minutes=(time.monotonic() - start) / 60,
        controls=scores,
        unseen=unseen,
        chains=ChainScores.of_results(long) if long else None,
        suite=suite.name,
        suite_version=suite.version,
        settings={
            "tasks": tasks,
            "num_envs": num_envs,
            "max_steps": limit,
            "chain_length": chain_length if chains else None,
        },
        seed=seed,
        termination=suite.termination,
        suite_facts=suite.facts,
        control_frequency=suite.control_frequency,
        n_action_steps=getattr(contract, "n_action_steps", None),
        contract_hash=getattr(contract, "hash", None),
        policy=policy_name,
        policy_revision=policy_revision,
    )
    return evaluation, results + long


def _check_known(field_name: str, asked: Iterable[str], known: Iterable[str]) -> None:
    unknown = [name for name in asked if name not in known]
    if unknown:
        raise ValueError(f"{field_name}: unknown {unknown}, there are {list(known)}")
