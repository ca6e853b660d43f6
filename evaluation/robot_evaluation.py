"""Evaluation on a real robot: tasks x settings x rollouts, judged by a person or a program, resumable."""

import json
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from ..serving.robots import RobotRollout, RobotRunner
from .generalization import GENERALIZATION_SETTINGS
from .record import EvaluationRecord, Score, TaskScores
from .rollout import EpisodeResult

Verdict = Literal["success", "failure", "again", "quit"]
PICTURES_PER_SECOND = 5.0


@dataclass(frozen=True)
class RobotTask:
    """Something to ask a robot for.

    Args:
        name: for records and file names.
        instruction: what the policy is told.
        otherwise: setting -> what it is told there instead; the settings "unseen_object" and "novel_skill_description" need
            it.
    """

    name: str
    instruction: str
    otherwise: Mapping[str, str] = field(default_factory=dict)

    def told(self, setting: str) -> str:
        """Return the instruction in a setting; raises ValueError where the setting needs one of its own."""
        if GENERALIZATION_SETTINGS[setting].told_otherwise and setting not in self.otherwise:
            raise ValueError(
                f"task {self.name!r}: setting {setting!r} needs an instruction of its own, in otherwise[{setting!r}]."
            )
        return self.otherwise.get(setting, self.instruction)


@dataclass(frozen=True)
class PlannedRollout:
    """One rollout that is to be run."""

    task: RobotTask
    setting: str
    number: int

    @property
    def key(self) -> str:
        return f"{self.setting}-{self.task.name}-{self.number}"

    @property
    def instruction(self) -> str:
        return self.task.told(self.setting)


def ask_to_prepare(planned: PlannedRollout) -> None:
    """Show a person the checklist and wait until everything is arranged."""
    setting = GENERALIZATION_SETTINGS[planned.setting]
    print(f"\n== {planned.task.name}, {setting.name}, rollout {planned.number + 1}: {planned.instruction!r}")
    for line in setting.checklist:
        print(f"  [ ] {line}")
    input("Enter to start ")


def ask_to_judge(planned: PlannedRollout, rollout: RobotRollout) -> Verdict:
    """Ask a person how it went."""
    answers: dict[str, Verdict] = {"y": "success", "n": "failure", "r": "again", "q": "quit"}
    if rollout.stopped:
        print(f"The robot was stopped: {rollout.stopped}")
    while True:
        answer = input("Did it succeed? [y]es, [n]o, [r]un it again, [q]uit for now: ").strip().lower()[:1]
        if answer in answers:
            return answers[answer]


class RobotEvaluator:
    """Runs what is not yet done of an evaluation, and keeps everything in one folder.

    `rollouts.jsonl` gets a line as each rollout has been judged; `evaluation.json` is the record of all so far,
    `videos/` has a film of each. A session that was broken off is taken up where it was.

    Args:
        runner: robot, controller, safety.
        tasks: with different names.
        output: the folder.
        settings: names of `GENERALIZATION_SETTINGS`; scores of the first are the record's main ones, of the others its
            `unseen`.
        num_rollouts: of each task in each setting.
        seconds: how long a rollout may last.
        prepare: called before each rollout.
        judge: called after each.
        ended: asked after every action whether the rollout is over.
        policy_name: for the record.

    Raises:
        ValueError: unknown settings, tasks of one name, or a folder with an evaluation of something else.
    """

    def __init__(
        self,
        runner: RobotRunner,
        tasks: Sequence[RobotTask],
        output: str | Path,
        settings: Sequence[str] = ("simple",),
        num_rollouts: int = 5,
        seconds: float = 30.0,
        prepare: Callable[[PlannedRollout], None] = ask_to_prepare,
        judge: Callable[[PlannedRollout, RobotRollout], Verdict] = ask_to_judge,
        ended: Callable[[], bool] | None = None,
        policy_name: str | None = None,
    ):
        if unknown := [name for name in settings if name not in GENERALIZATION_SETTINGS]:
            raise ValueError(f"settings: unknown {unknown}, there are {list(GENERALIZATION_SETTINGS)}.")
        if len({task.name for task in tasks}) != len(tasks) or not tasks or not settings or num_rollouts < 1:
            raise ValueError("an evaluation needs tasks of different names, settings, and at least one rollout.")
        self.runner, self.output = runner, Path(output)
        self.settings, self.num_rollouts, self.seconds = list(settings), num_rollouts, seconds
        self.prepare, self.judge, self.ended, self.policy_name = prepare, judge, ended, policy_name
        self.planned = [
            PlannedRollout(task, setting, number)
            for setting in settings
            for task in tasks
            for number in range(num_rollouts)
        ]
        self._session = {
            "instructions": {planned.key: planned.instruction for planned in self.planned},
            "contract_hash": runner.contract.hash,
            "seconds": seconds,
            "dry_run": runner.dry_run,
        }

    def run(self) -> EvaluationRecord:
        """Run the remaining rollouts; returns the record of all that have been judged."""
        self._open()
        done = self._lines()
        start = time.monotonic()
        minutes = sum(line["seconds"] for line in done.values()) / 60
        for planned in self.planned:
            while planned.key not in done:
                verdict, line = self._rollout(planned)
                if verdict == "quit":
                    return self._save(done, minutes + (time.monotonic() - start) / 60)
                if verdict != "again":
                    self._append(line)
                    done[planned.key] = line
                    self._save(done, minutes + (time.monotonic() - start) / 60)
        return self._save(done, minutes + (time.monotonic() - start) / 60)

    def _rollout(self, planned: PlannedRollout) -> tuple[Verdict, dict[str, Any]]:
        self.prepare(planned)
        start = time.monotonic()
        every = max(1, round(self.runner.contract.control_frequency / PICTURES_PER_SECOND))
        rollout = self.runner.run(planned.instruction, self.seconds, self.ended, record_every=every)
        verdict = self.judge(planned, rollout)
        success = verdict == "success"
        result = EpisodeResult(
            task=planned.task.name,
            instruction=planned.instruction,
            seed=planned.number,
            success=success,
            steps=rollout.steps,
            reason=None if success else rollout.stopped or "judged a failure",
            completed=int(success),
            options={"setting": planned.setting},
            frames=rollout.frames,
            frame_instructions=[planned.instruction] * len(rollout.frames),
        )
        if rollout.frames and verdict in ("success", "failure"):
            from .filmstrips import rollout_video

            rollout_video([result], self.output / "videos" / f"{planned.key}.mp4", fps=PICTURES_PER_SECOND)
        safety = self.runner.safety
        line = {
            "key": planned.key,
            "setting": planned.setting,
            "result": {
                name: value
                for name, value in asdict(result).items()
                if name not in ("frames", "frame_instructions", "chain")
            },
            "stopped": rollout.stopped,
            "violations": dict(safety.counts) if safety is not None else None,
            "times_so_far": self.runner.controller.times.to_dict(),
            "seconds": time.monotonic() - start,
        }
        return verdict, line

    def _open(self) -> None:
        (self.output / "videos").mkdir(parents=True, exist_ok=True)
        file = self.output / "session.json"
        if not file.exists():
            file.write_text(json.dumps(self._session, indent=2) + "\n", encoding="utf-8")
        elif (found := json.loads(file.read_text(encoding="utf-8"))) != self._session:
            different = [name for name, value in self._session.items() if found.get(name) != value]
            raise ValueError(
                f"{self.output} holds an evaluation with other {different}: choose another folder, or go on with the same "
                "tasks, settings, policy and durations."
            )

    def _lines(self) -> dict[str, dict[str, Any]]:
        """Judged rollouts by key; a last line that was cut off is one that never was."""
        file, lines = self.output / "rollouts.jsonl", {}
        if file.exists():
            whole = file.read_text(encoding="utf-8").rpartition("\n")[0]
            file.write_text(whole + "\n" if whole else "", encoding="utf-8")
            for text in whole.splitlines():
                line = json.loads(text)
                lines[line["key"]] = line
        return lines

    def _append(self, line: dict[str, Any]) -> None:
        with (self.output / "rollouts.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
            file.flush()
            os.fsync(file.fileno())

    def _save(self, done: Mapping[str, dict[str, Any]], minutes: float) -> EvaluationRecord:
        results = {
            setting: [EpisodeResult(**line["result"]) for line in done.values() if line["setting"] == setting]
            for setting in self.settings
        }
        main, *others = self.settings
        contract = self.runner.contract
        record = EvaluationRecord.of_results(
            results[main],
            minutes=minutes,
            controls={},
            unseen={setting: TaskScores.of_results(results[setting]) for setting in others if results[setting]},
            suite="real robot" if not hasattr(self.runner.robot, "judge") else "simulated robot",
            protocol={
                "main_setting": main,
                "num_rollouts": self.num_rollouts,
                "seconds": self.seconds,
                "remaining": len(self.planned) - len(done),
            },
            termination="a rollout ends when its time is up, when it is judged over or when the robot is stopped; success is "
            "judged afterwards",
            control_frequency=contract.control_frequency,
            n_action_steps=getattr(self.runner.controller, "n_action_steps", contract.n_action_steps),
            contract_hash=contract.hash,
            policy=self.policy_name,
        )
        every = [result for setting in self.settings for result in results[setting]]
        record.protocol["all_settings"] = asdict(Score.of_results(every))
        record.save(self.output / "evaluation.json")
        return record
