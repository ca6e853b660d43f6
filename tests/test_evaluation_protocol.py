"""Evaluations that are interrupted, repeated and compared; the report page."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from robovlms.evaluation import ChainScores, EpisodeResult, EvaluationRecord, TaskScores, compare, evaluate
from robovlms.evaluation.films import read_film
from robovlms.evaluation.report import repeat_command

# An evaluation in a process of its own, with the environment of `test_evaluation`, that can be killed.
SCRIPT = """
import json, os, sys
import numpy as np
from test_evaluation import Seeker, dots_suite
from robovlms.evaluation import evaluate

class Clumsy(Seeker):  # misses the yellow square
    def act(self, row, observation, instruction):
        return super().act(row, observation, instruction.replace("yellow", "purple and red"))

if __name__ == "__main__":
    output, envs, *rest = sys.argv[1:]
    record, _ = evaluate(
        Clumsy(), dots_suite(rest[0] if rest else None), episodes=40, seeds=[5, 900], num_envs=int(envs), chains=3,
        controls=["random_policy"], control_episodes=8, output=output, policy_name="clumsy", progress=False,
    )
    record.save(os.path.join(output, "evaluation.json"))
"""


def run(output: Path, envs: int, *rest: str) -> subprocess.Popen:
    script = output.with_suffix(".py")
    script.write_text(SCRIPT)
    paths = os.pathsep.join([str(Path(__file__).parent), *filter(None, [os.environ.get("PYTHONPATH")])])
    command = [sys.executable, str(script), str(output), str(envs), *rest]
    return subprocess.Popen(command, env=os.environ | {"PYTHONPATH": paths})


def content(output: Path) -> dict:
    return {k: v for k, v in json.loads((output / "evaluation.json").read_text()).items() if k != "minutes"}


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    output = tmp_path_factory.mktemp("whole") / "run"
    assert run(output, 4).wait(timeout=120) == 0
    return output


def test_a_killed_evaluation_goes_on_and_ends_with_the_same_record(whole, tmp_path):
    output = tmp_path / "run"
    process = run(output, 1)
    journal = output / "episodes.jsonl"
    deadline = time.monotonic() + 90
    while not (journal.exists() and len(journal.read_bytes().split(b"\n")) > 12):
        assert time.monotonic() < deadline and process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    with journal.open("a") as file:
        file.write('{"part": "policy", "se')  # as if it had been killed while it wrote
    before = journal.read_text().splitlines()[:-1]
    assert run(output, 4).wait(timeout=120) == 0
    assert journal.read_text().splitlines()[: len(before)] == before  # nothing was run again
    assert content(output) == content(whole)
    assert 0 < content(output)["success_rate"] < 1 and content(output)["episodes"] == 80


def test_films_of_successes_and_of_failures(whole):
    films = sorted(file.name for file in (whole / "films").glob("policy-*.mp4"))
    assert len([name for name in films if name.endswith("-success.mp4")]) >= 3
    assert any(name.startswith("policy-reach_yellow") and name.endswith("-failure.mp4") for name in films)
    frames = read_film(whole / "films" / films[0])
    assert frames[0].shape == (64, 64, 3) and (frames[0] != frames[-1]).any()


def test_another_protocol_does_not_go_on(whole):
    from test_evaluation import Seeker, dots_suite

    options = {"episodes": 4, "seeds": [5, 900], "controls": False, "policy_name": "clumsy", "progress": False}
    with pytest.raises(ValueError, match=r"max_steps was 30 and is 9.*restart"):
        evaluate(Seeker(), dots_suite(), output=whole, max_steps=9, **options)
    record, _ = evaluate(Seeker(), replace(dots_suite(), make_env=None), output=whole, **options)
    assert record.episodes == 8  # all of them were finished: nothing is run, no environment is built


def test_no_episode_counts_twice():
    from test_evaluation import Seeker, dots_suite

    with pytest.raises(ValueError, match=r"seeds: \[0, 4\] give 4 episodes of 'policy' twice"):
        evaluate(Seeker(), dots_suite(), episodes=8, seeds=[0, 4], progress=False)


def test_crashed_episodes_are_told_of_and_can_be_run_again(tmp_path):
    from test_evaluation import Seeker, dots_suite

    options = {"episodes": 8, "controls": False, "output": tmp_path, "progress": False, "num_envs": 2}
    record, _ = evaluate(Seeker(), dots_suite("dies"), **options)
    assert record.crashed_episodes == 2 and "ATTENTION: 2 episodes" in record.summary()
    again, _ = evaluate(Seeker(), dots_suite(), **options)
    assert again.crashed_episodes == 2  # crashes are results until somebody says otherwise
    mended, _ = evaluate(Seeker(), dots_suite(), retry_crashed=True, **options)
    assert mended.crashed_episodes == 0 and mended.success_rate == 1.0


def made(outcomes, seeds=None, chains=None, **fields) -> EvaluationRecord:
    seeds = range(len(outcomes)) if seeds is None else seeds
    results = [
        EpisodeResult("lift" if index % 2 else "push", "do it", seed, bool(success), steps=1)
        for index, (success, seed) in enumerate(zip(outcomes, seeds, strict=True))
    ]
    return EvaluationRecord.of_results(results, minutes=0.0, controls={}, suite="s", chains=chains, **fields)


def test_controls_that_succeed_and_tasks_without_an_episode_are_remarked_on():
    blind = TaskScores.of_results(EpisodeResult("lift", "do it", seed, seed % 2 == 0, 1) for seed in range(40))
    failing = TaskScores.of_results(EpisodeResult("lift", "do it", seed, False, 1) for seed in range(40))
    record = made([1] * 36 + [0] * 4, protocol={"tasks": ["push", "lift", "pour"]})
    record.controls = {"black_images": blind, "random_policy": failing}
    first, second = record.remarks
    assert "the control black_images succeeds in 50%" in first and "without seeing" in first
    assert second == "no episode of the tasks pour"
    assert f"ATTENTION: {first}" in record.summary()


def test_records_of_older_versions_are_read():
    record = made([1, 0], protocol={"tasks": ["push", "lift"]})
    content = record.to_dict()
    content["settings"] = content.pop("protocol")
    assert EvaluationRecord.from_dict(content) == record


def test_the_reports_command_is_wrapped_and_can_be_run():
    record = made([1, 0], protocol={"tasks": ["push the block", "lift the block"] * 4})
    command = repeat_command(record, "runs/my vla")
    assert all(len(line) < 120 for line in command.splitlines()) and len(command.splitlines()) > 1
    said = command.replace("robovlms", "printf '%s\\n'", 1)
    words = subprocess.run(["sh", "-c", said], check=True, capture_output=True, text=True).stdout.splitlines()
    assert words[:4] == ["eval", "runs/my vla", "--suite", "s"] and words[-2:] == ["--output", "results"]
    assert words.count("lift the block") == 4


def test_pairs_tell_what_rates_alone_do_not():
    rng = np.random.default_rng(0)
    first = rng.random(200) < 0.5
    second = first | (rng.random(200) < 0.08)  # never worse on the same episode
    paired = compare(made(first), made(second)).overall
    apart = compare(made(first), made(second, seeds=range(1000, 1200))).overall
    won = int((second & ~first).sum())
    assert paired.p_value == pytest.approx(stats.binomtest(won, won).pvalue) and paired.verdict == "better"
    assert paired.interval[0] > 0 and paired.difference == pytest.approx(won / 200)
    table = [[first.sum(), 200 - first.sum()], [second.sum(), 200 - second.sum()]]
    assert apart.p_value == pytest.approx(stats.fisher_exact(table).pvalue)
    assert apart.verdict == "no significant difference" and apart.interval[0] < 0 < apart.interval[1]
    swapped = compare(made(second), made(first)).overall
    assert swapped.verdict == "worse" and swapped.interval == pytest.approx([-end for end in paired.interval[::-1]])


def test_under_no_difference_few_comparisons_are_significant():
    rng = np.random.default_rng(1)
    verdicts = [compare(made(rng.random(40) < 0.6), made(rng.random(40) < 0.6)).overall.verdict for _ in range(100)]
    assert sum(verdict != "no significant difference" for verdict in verdicts) <= 7


def test_chains_and_remarks():
    def chains(lengths):
        results = [
            EpisodeResult("a", "do it", seed, done == 5, 1, completed=done, chain=("a", "b", "c", "d", "e"))
            for seed, done in enumerate(lengths)
        ]
        return ChainScores.of_results(results)

    rng = np.random.default_rng(2)
    lengths = rng.integers(0, 5, 60)
    first = made([1, 0], chains=chains(lengths), termination="first success")
    second = made([1, 0, 1], chains=chains(lengths + 1), termination="success at the end")
    comparison = compare(first, second)
    assert comparison.chains.difference == pytest.approx(1.0) and comparison.chains.verdict == "better"
    assert comparison.overall.p_value == 1.0
    assert any("termination" in remark for remark in comparison.remarks)
    assert any("2 began alike" in remark for remark in comparison.remarks)
    assert "average length: B is significantly better than A" in comparison.summary()
    with pytest.raises(ValueError, match="suite: the records are of 's' and 'other'"):
        compare(first, replace(first, suite="other"))
