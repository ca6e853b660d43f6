"""Whether one evaluation record is better than another, or only luckier.

Episodes that both records ran from the same start (task, seed, reset options) are compared in pairs, which tells smaller
differences apart than two rates on their own do.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from math import sqrt
from typing import Any, Literal

import numpy as np
from scipy import stats

from .intervals import Z_95, difference_interval
from .record import EvaluationRecord

ALPHA = 0.05
PROTOCOL = ("suite_version", "suite_facts", "termination", "control_frequency")

Outcomes = dict[str, bool]
"""How an episode began -> whether it was a success."""


@dataclass(frozen=True)
class Difference:
    """Second record minus first.

    Attributes:
        name: "success", a task, or "average length" of chains.
        first, second: success rates (average lengths).
        episodes: (in the first, in the second record) that were compared; pairs count in both.
        difference: second minus first.
        interval: of the difference, 95 %.
        p_value: of a two-sided test against no difference; of tasks, corrected for the number of tasks (Holm).
        test: which test.
    """

    name: str
    first: float
    second: float
    episodes: tuple[int, int]
    difference: float
    interval: tuple[float, float]
    p_value: float
    test: str

    @property
    def verdict(self) -> Literal["better", "worse", "no significant difference"]:
        if self.p_value >= ALPHA:
            return "no significant difference"
        return "better" if self.difference > 0 else "worse"


@dataclass(frozen=True)
class Comparison:
    """Two records beside each other.

    Attributes:
        suite: that both were run on.
        names: of the policies.
        overall: success over all episodes; None where a record has none.
        per_task: tasks that both records have.
        chains: average lengths, where both records have chains.
        remarks: what makes the records less comparable than they look.
    """

    suite: str
    names: tuple[str, str]
    overall: Difference | None
    per_task: list[Difference] = field(default_factory=list)
    chains: Difference | None = None
    remarks: list[str] = field(default_factory=list)

    @property
    def differences(self) -> list[Difference]:
        """All of them, those over everything first."""
        return [one for one in (self.overall, self.chains) if one is not None] + self.per_task

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain JSON types."""
        return {
            "suite": self.suite,
            "policies": list(self.names),
            "differences": [
                json.loads(json.dumps(asdict(one) | {"verdict": one.verdict})) for one in self.differences
            ],
            "remarks": self.remarks,
        }

    def summary(self) -> str:
        """Return a table for people, with a sentence that says what it comes to."""
        lines = [f"{self.suite}: A is {self.names[0]}, B is {self.names[1]}"]
        width = max(len(one.name) for one in self.differences)
        lines.append(f"  {'':{width}}       A       B   B - A   95 % interval    p      ")
        for one in self.differences:
            lines.append(
                f"  {one.name:{width}}  {_numbers(one)}  {one.verdict.replace('no significant difference', '-')}"
            )
        lines += [f"  test of {one.name}: {one.test}" for one in (self.overall, self.chains) if one is not None]
        if self.per_task:
            lines.append(f"  p of tasks is corrected for their number ({len(self.per_task)}, Holm)")
        lines += [f"ATTENTION: {remark}" for remark in self.remarks]
        return "\n".join([*lines, *(sentence(self, one) for one in (self.overall, self.chains) if one is not None)])


def sentence(comparison: Comparison, one: Difference) -> str:
    """Return a difference in words."""
    if one.verdict == "no significant difference":
        return f"{one.name}: no significant difference between A and B (p = {one.p_value:.2g})."
    better, worse = ("B", "A") if one.difference > 0 else ("A", "B")
    return f"{one.name}: {better} is significantly better than {worse} (p = {one.p_value:.2g})."


def _numbers(one: Difference) -> str:
    low, high = one.interval
    if one.name == "average length":
        values = f"{one.first:7.2f} {one.second:7.2f}  {one.difference:+6.2f}  [{low:+6.2f}, {high:+6.2f}]"
    else:
        values = f"{one.first:7.1%} {one.second:7.1%}  {100 * one.difference:+6.1f}  [{100 * low:+6.1f}, {100 * high:+6.1f}]"
    return f"{values}  {one.p_value:<7.2g}"


def compare(first: EvaluationRecord, second: EvaluationRecord) -> Comparison:
    """Compare two records of one suite.

    Success rates by McNemar's exact test on paired episodes with Agresti and Min's interval (2005); where fewer than half
    of the smaller record's episodes have a partner, by Fisher's exact test on all episodes with Newcombe's interval.
    Average lengths by a sign-flipping permutation test on paired chains (a permutation test where chains differ) with
    bootstrap intervals.

    Raises:
        ValueError: the records are of different suites, or have nothing in common.
    """
    if first.suite != second.suite:
        raise ValueError(f"suite: the records are of {first.suite!r} and {second.suite!r}")
    mine, theirs = _outcomes(first), _outcomes(second)
    remarks = _remarks(first, second)
    shared = sum(len(outcomes.keys() & theirs.get(task, {}).keys()) for task, outcomes in mine.items())
    fewer = min(sum(map(len, mine.values())), sum(map(len, theirs.values())))
    paired = bool(fewer) and shared >= fewer / 2
    if fewer and shared < max(first.episodes, second.episodes):
        used = f"the {shared} shared ones are compared" if paired else "they are compared as independent samples"
        remarks.append(
            f"of {first.episodes} and {second.episodes} episodes, {shared} began alike (task, seed, start); {used}"
        )
    tasks = [task for task in mine if task in theirs]
    if set(mine) != set(theirs):
        remarks.append(f"only one record has the tasks {sorted(set(mine) ^ set(theirs))}")
    overall = _difference("success", [mine[task] for task in tasks], [theirs[task] for task in tasks], paired)
    per_task = [_difference(task, [mine[task]], [theirs[task]], paired) for task in tasks] if len(tasks) > 1 else []
    chains = _chain_difference(first, second) if first.chains is not None and second.chains is not None else None
    if overall is None and chains is None:
        raise ValueError("the records have no task and no chains in common")
    names = (first.policy or "the first policy", second.policy or "the second policy")
    return Comparison(
        first.suite, names, overall, _holm([one for one in per_task if one is not None]), chains, remarks
    )


def _outcomes(record: EvaluationRecord) -> dict[str, Outcomes]:
    """Sort the outcomes by task."""
    found: dict[str, Outcomes] = {}
    for episode in record.episode_list:
        start = json.dumps([episode["seed"], episode.get("options", {})], sort_keys=True)
        found.setdefault(episode["task"], {})[start] = episode["success"]
    return found


def _remarks(first: EvaluationRecord, second: EvaluationRecord) -> list[str]:
    differing = [
        f"{name} is {getattr(first, name)!r} and {getattr(second, name)!r}"
        for name in PROTOCOL
        if getattr(first, name) != getattr(second, name)
    ]
    limits = [record.protocol.get("max_steps") for record in (first, second)]
    if limits[0] != limits[1]:
        differing.append(f"max_steps is {limits[0]} and {limits[1]}")
    remarks = [f"the protocols differ: {'; '.join(differing)}"] if differing else []
    for name, record in zip("AB", (first, second), strict=True):
        if record.crashed_episodes:
            remarks.append(f"{record.crashed_episodes} episodes of {name} failed because their environment did")
    return remarks


def _difference(name: str, first: list[Outcomes], second: list[Outcomes], paired: bool) -> Difference | None:
    if paired:
        pairs = [
            (mine[start], theirs[start])
            for mine, theirs in zip(first, second, strict=True)
            for start in mine
            if start in theirs
        ]
        return _paired(name, pairs) if pairs else None
    counts = [(sum(sum(one.values()) for one in side), sum(map(len, side))) for side in (first, second)]
    if min(episodes for _, episodes in counts) == 0:
        return None
    table = [[successes, episodes - successes] for successes, episodes in counts]
    rates = [successes / episodes for successes, episodes in counts]
    return Difference(
        name=name,
        first=rates[0],
        second=rates[1],
        episodes=(counts[0][1], counts[1][1]),
        difference=rates[1] - rates[0],
        interval=difference_interval(counts[0], counts[1]),
        p_value=float(np.asarray(stats.fisher_exact(table))[1]),
        test="Fisher's exact test, independent episodes",
    )


def _paired(name: str, pairs: Sequence[tuple[bool, bool]]) -> Difference:
    count = len(pairs)
    lost = sum(mine and not theirs for mine, theirs in pairs)
    won = sum(theirs and not mine for mine, theirs in pairs)
    p_value = float(stats.binomtest(won, won + lost).pvalue) if won + lost else 1.0
    # Agresti and Min: Wald's interval with half a pair added to each cell of the table
    padded = count + 2
    middle = (won - lost) / padded
    half = Z_95 * sqrt(max(won + lost + 1 - (won - lost) ** 2 / padded, 0.0)) / padded
    rates = [sum(pair[side] for pair in pairs) / count for side in (0, 1)]
    return Difference(
        name=name,
        first=rates[0],
        second=rates[1],
        episodes=(count, count),
        difference=(won - lost) / count,
        interval=(max(middle - half, -1.0), min(middle + half, 1.0)),
        p_value=p_value,
        test=f"McNemar's exact test, {count} paired episodes, {won} won and {lost} lost",
    )


def _chain_difference(first: EvaluationRecord, second: EvaluationRecord) -> Difference:
    sides = [
        {(seed, *tasks): done for seed, tasks, done in zip(c.seeds, c.chains, c.completed, strict=True)}
        for c in (first.chains, second.chains)
        if c is not None
    ]
    shared = [key for key in sides[0] if key in sides[1]]
    paired = len(shared) >= min(map(len, sides)) / 2
    if paired:
        samples = [np.array([side[key] for key in shared], float) for side in sides]
    else:
        samples = [np.array(list(side.values()), float) for side in sides]
    rng = np.random.default_rng(0)

    def gain(mine: np.ndarray, theirs: np.ndarray, axis: int = -1) -> np.ndarray:
        return theirs.mean(axis) - mine.mean(axis)

    test = stats.permutation_test(
        samples, gain, permutation_type="samples" if paired else "independent", vectorized=True, rng=rng
    )
    difference = float(gain(samples[0], samples[1]))
    if len(set(samples[1] - samples[0] if paired else np.concatenate(samples))) > 1:
        ends = stats.bootstrap(samples, gain, paired=paired, vectorized=True, method="percentile", rng=rng)
        interval = (float(ends.confidence_interval.low), float(ends.confidence_interval.high))
    else:
        interval = (difference, difference)
    kind = f"{len(shared)} paired chains" if paired else "independent chains"
    return Difference(
        "average length", float(samples[0].mean()), float(samples[1].mean()), (len(samples[0]), len(samples[1])),
        difference, interval, float(test.pvalue), f"permutation test, {kind}",
    )  # fmt: skip


def _holm(differences: list[Difference]) -> list[Difference]:
    """Holm's step-down correction of p-values."""
    corrected, highest = {}, 0.0
    order = sorted(range(len(differences)), key=lambda index: differences[index].p_value)
    for rank, index in enumerate(order):
        highest = max(highest, min(1.0, (len(order) - rank) * differences[index].p_value))
        corrected[index] = highest
    return [
        Difference(**(vars(difference) | {"p_value": corrected[index]}))
        for index, difference in enumerate(differences)
    ]
