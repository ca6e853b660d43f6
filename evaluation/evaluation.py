"""`evaluate`: a policy on a suite, its controls, held-out settings and chains; an evaluation record comes out."""

import inspect
import warnings
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from time import monotonic
from typing import Any

from .environments import EnvironmentPool
from .journal import Journal
from .record import CONTROLS, ChainScores, EvaluationRecord, TaskScores
from .rollout import Episode, EpisodeResult, Observation, RandomPolicy, RolloutPolicy, rollout
from .suite import Suite
from .suites import get_suite

FIRST_SEED = 1_000_000


def evaluate(
    policy: RolloutPolicy,
    suite: str | Suite = "tabletop",
    *,
    tasks: Sequence[str] | None = None,
    episodes: int | None = None,
    seeds: Sequence[int] = (FIRST_SEED,),
    num_envs: int = 8,
    controls: bool | Sequence[str] = True,
    control_episodes: int | None = None,
    settings: Sequence[str] = (),
    setting_episodes: int | None = None,
    chains: int = 0,
    chain_length: int = 5,
    max_steps: int | None = None,
    films: int = 1,
    cameras: Mapping[str, str] | None = None,
    contract: Any = None,
    policy_name: str | None = None,
    policy_revision: str | None = None,
    output: str | Path | None = None,
    restart: bool = False,
    retry_crashed: bool = False,
    progress: bool = True,
) -> tuple[EvaluationRecord, list[EpisodeResult]]:
    """Run a policy on a suite.

    Args:
        policy: a `robovlms.Policy`, or anything with its `reset` and `select_action`.
        suite: name of a registered suite, or a suite.
        tasks: those to run; the suite's default tasks, or else all of it, by default.
        episodes: episodes per seed, over all tasks, which take turns; the suite's own number of each task by default. May be 0 where
            chains are run.
        seeds: where the seeds of the episodes start. Several repeat everything with other scenes.
        num_envs: environments at once, each in its own process.
        controls: which of `CONTROLS` to run (True: all), on the first `control_episodes` of the same episodes.
        control_episodes: episodes per control and seed; the suite's own number of each task by default (as many as
            `episodes` where `controls` are named).
        settings: held-out settings of the suite to run as well.
        setting_episodes: episodes per setting and seed; as many as `episodes` by default.
        chains: long-horizon chains per seed, of `chain_length` instructions each.
        max_steps: step limit per task; the suite's by default.
        films: film so many successes and so many failures of each task; see `rollout`.
        cameras: policy's name of a camera -> the suite's, where they differ.
        contract: the policy's `ActionContract`, for the record; `policy.contract` by default, where there is one.
        policy_name, policy_revision: for the record.
        output: folder in which finished episodes and their films are kept. The same call goes on where it was interrupted.
        restart: forget what is in `output`.
        retry_crashed: run episodes in `output` again that failed because their environment did.
        progress: show progress bars.

    Returns:
        the record, and the results of the main episodes and of the chains, with their pictures.

    Raises:
        ValueError: an unknown suite, task, control or setting; a contract made for another control frequency; an
            `output` of another evaluation.
        EnvironmentFailure: the environment can't be built.
    """
    start = monotonic()
    if isinstance(suite, str):
        suite = get_suite(suite)
    tasks = list(tasks if tasks is not None else suite.default_tasks or suite.instructions)
    episodes = suite.episodes_per_task * len(tasks) if episodes is None else episodes
    if control_episodes is None:
        per_task = suite.controls_per_task if isinstance(controls, bool) else suite.episodes_per_task
        control_episodes = min(episodes, per_task * len(tasks))
    controls = (tuple(CONTROLS) if controls else ()) if isinstance(controls, bool) else tuple(controls)
    seeds = list(seeds)
    _check_known("tasks", tasks, suite.instructions)
    _check_known("controls", controls, CONTROLS)
    _check_known("settings", settings, suite.settings)
    if not tasks or not seeds or episodes < 0 or episodes + chains < 1:
        raise ValueError(
            f"evaluate needs at least one task, one seed and one episode or chain, got tasks {tasks}, seeds {seeds}, "
            f"episodes {episodes}, chains {chains}"
        )
    contract = contract if contract is not None else getattr(policy, "contract", None)
    if contract is not None:
        check_contract(contract, suite)
    if max_steps is not None and suite.fixed_limits:
        raise ValueError(
            f"max_steps: suite {suite.name!r} has a limit for each task; another would change what is measured"
        )
    limit = max_steps if max_steps is not None else suite.max_steps
    facts: dict[str, Any] = {
        "policy": policy_name,
        "policy_revision": policy_revision,
        "contract_hash": getattr(contract, "hash", None),
        "n_action_steps": getattr(contract, "n_action_steps", None),
        "suite": suite.name,
        "suite_version": suite.version,
        "suite_facts": suite.facts,
        "termination": suite.termination,
        "control_frequency": suite.control_frequency,
        "seeds": seeds,
    }
    if cameras:
        policy = RenamedCameras(policy, cameras)
    protocol = facts | {"tasks": tasks, "max_steps": limit, "chain_length": chain_length, "cameras": cameras}
    journal = Journal(output, protocol, restart, retry_crashed) if output is not None else None

    parts = {"policy": _drawn(suite, tasks, episodes, seeds)}
    if control_episodes:
        first = _drawn(suite, tasks, control_episodes, seeds)
        parts |= {name: suite.shuffled(first, tasks) if name == "shuffled_instruction" else first for name in controls}
    for setting in settings:
        drawn = _drawn(suite, tasks, setting_episodes or episodes, seeds)
        parts[f"unseen {setting}"] = [suite.settings[setting](episode) for episode in drawn]
    if chains:
        parts["chains"] = [chain for seed in seeds for chain in suite.chains(tasks, chains, chain_length, seed)]
    for part, asked in parts.items():
        _check_distinct(part, asked, seeds)
    missed = [task for task in tasks if task not in {episode.task for episode in parts["policy"]}]
    if missed and episodes:
        warnings.warn(f"episodes: {episodes} over {len(tasks)} tasks; none for {', '.join(missed)}", stacklevel=2)

    results: dict[str, list[EpisodeResult]] = {}
    with ExitStack() as stack:
        pool: EnvironmentPool | None = None
        for part, asked in parts.items():
            finished = journal.finished(part, asked) if journal is not None else {}
            if len(finished) == len(asked):
                results[part] = [finished[index] for index in range(len(asked))]
                continue
            if pool is None:
                most = max(map(len, parts.values()))
                pool = stack.enter_context(EnvironmentPool(suite.make_env, min(num_envs, most), timeout=suite.timeout))

            def note(index: int, result: EpisodeResult, part: str = part, asked: list[Episode] = asked) -> None:
                if journal is not None:
                    journal.add(part, asked[index], result)

            results[part] = rollout(
                RandomPolicy(pool.action_space, seeds[0]) if part == "random_policy" else policy,
                pool,
                asked,
                max_steps=limit,
                black_images=part == "black_images",
                films=films if part in ("policy", "chains") else 0,
                finished=finished,
                on_result=note,
                description=f"{part.replace('_', ' '):22}",
                progress=progress,
            )

    how: dict[str, Any] = {"tasks": tasks, "max_steps": limit, "chain_length": chain_length if chains else None}
    if limit != suite.max_steps:
        how["suites_own_max_steps"] = suite.max_steps
    if cameras:
        how["cameras"] = dict(cameras)
    evaluation = EvaluationRecord.of_results(
        results["policy"],
        minutes=journal.minutes if journal is not None else (monotonic() - start) / 60,
        controls={name: TaskScores.of_results(results[name]) for name in controls if name in results},
        unseen={name: TaskScores.of_results(results[f"unseen {name}"]) for name in settings},
        chains=ChainScores.of_results(results["chains"]) if chains else None,
        protocol=how | ({"suite_options": suite.options} if suite.options else {}),
        **facts,
    )
    return evaluation, results["policy"] + results.get("chains", [])


class RenamedCameras:
    """A policy in front of a suite that names its cameras otherwise."""

    def __init__(self, policy: RolloutPolicy, cameras: Mapping[str, str]):
        self.reset = policy.reset
        self._select, self._cameras = policy.select_action, cameras
        if "rows" in inspect.signature(policy.select_action).parameters:
            self.select_action = self._of_rows
        else:
            self.select_action = self._of_all

    def _of_rows(self, observation: Sequence[Observation], instruction: Sequence[str], rows: Sequence[int]) -> Any:
        return self._select([self._renamed(each) for each in observation], instruction, rows=rows)

    def _of_all(self, observation: Sequence[Observation], instruction: Sequence[str]) -> Any:
        return self._select([self._renamed(each) for each in observation], instruction)

    def _renamed(self, observation: Observation) -> Observation:
        shown = observation["images"]
        if missing := sorted(set(self._cameras.values()) - set(shown)):
            raise ValueError(f"cameras: the suite shows {sorted(shown)}, not {missing}")
        return observation | {"images": {name: shown[theirs] for name, theirs in self._cameras.items()}}


def _drawn(suite: Suite, tasks: Sequence[str], count: int, seeds: Sequence[int]) -> list[Episode]:
    return [episode for seed in seeds for episode in suite.episodes(tasks, count, seed)]


def check_contract(contract: Any, suite: Suite) -> None:
    """The policy's actions must mean in the suite what they mean to the policy."""
    if abs(contract.control_frequency - suite.control_frequency) > 1e-6:
        raise ValueError(
            f"control_frequency: the policy's contract says {contract.control_frequency} Hz, "
            f"suite {suite.name!r} runs at {suite.control_frequency} Hz"
        )
    if unlike := suite.conventions.unlike(contract):
        raise ValueError(f"the policy was made for other actions than suite {suite.name!r}: {'; '.join(unlike)}")


def _check_distinct(part: str, episodes: Sequence[Episode], seeds: Sequence[int]) -> None:
    """A suite whose episodes follow from less than the seed, or seeds close together, would count episodes twice."""
    starts = Counter((episode.task, episode.seed) for episode in episodes)
    twice = [start for start, count in starts.items() if count > 1]
    if twice:
        raise ValueError(
            f"seeds: {list(seeds)} give {len(twice)} episodes of {part!r} twice, first {twice[0]}. Put the seeds further "
            "apart; a suite with a fixed list of episodes has one seed only."
        )


def _check_known(field_name: str, asked: Iterable[str], known: Iterable[str]) -> None:
    unknown = [name for name in asked if name not in known]
    if unknown:
        raise ValueError(f"{field_name}: unknown {unknown}, there are {list(known)}")
