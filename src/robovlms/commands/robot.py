"""`robovlms robot evaluate`: a policy on a robot, tasks x settings x rollouts, judged by a person."""

import argparse
import importlib
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from robovlms.commands import CommandParser
from robovlms.commands.resume import add_resume
from robovlms.configuration import SafetyLimits
from robovlms.evaluation.generalization import GENERALIZATION_SETTINGS
from robovlms.evaluation.robot_evaluation import RobotEvaluator, RobotTask, ask_to_judge, ask_to_prepare
from robovlms.serving import ChunkPredictor, PolicyClient
from robovlms.serving.realtime import AsynchronousController, SynchronousController
from robovlms.serving.robots import RobotMapping, RobotRunner
from robovlms.serving.safety import SafetyEnvelope
from robovlms.simulators.tabletop.simulated_robot import SimulatedRobot

SIMULATED = "simulated"


def make_parser(prog: str) -> CommandParser:
    parser = CommandParser(prog=prog, description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    commands.add_parser("settings", help="print the checklists of the five settings")
    add_arguments(commands.add_parser("evaluate", help="run and judge rollouts; an interrupted session is resumed"))
    return parser


def run(prog: str, arguments: Sequence[str]) -> None:
    options = make_parser(prog).parse_args(arguments)
    if options.command == "settings":
        print(checklists())
    else:
        evaluate(options)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("policy", help="folder, Hub id, or the address of a policy server (ws://host:port)")
    parser.add_argument("--robot", required=True, help=f"MODULE:FUNCTION that returns the robot, or {SIMULATED!r}")
    parser.add_argument("--output", type=Path, required=True, help="folder of the record, the rollouts and the films")
    add_resume(parser)
    parser.add_argument("--task", action="append", default=[], help="an instruction; repeat for more (default: none)")
    parser.add_argument(
        "--tasks",
        type=Path,
        default=None,
        help='JSON: [{"name": ..., "instruction": ..., "otherwise": {setting: instruction}}, ...] (default: those of --task)',
    )
    parser.add_argument(
        "--settings", nargs="+", default=["simple"], choices=list(GENERALIZATION_SETTINGS), help="what is unseen"
    )
    parser.add_argument("--num-rollouts", type=int, default=5, help="rollouts of each task in each setting")
    parser.add_argument("--seconds", type=float, default=30.0, help="length of one rollout")
    parser.add_argument(
        "--embodiment", default=None, help="which contract, where the checkpoint has several (default: its only one)"
    )
    parser.add_argument(
        "--token", default=None, help="secret of the policy server (default: ROBOVLMS_TOKEN of the environment)"
    )
    parser.add_argument("--synchronous", action="store_true", help="make the robot wait while the policy thinks")
    parser.add_argument(
        "--n-action-steps", type=int, default=None, help="actions executed of each chunk (default: the contract's)"
    )
    parser.add_argument(
        "--on-miss",
        choices=("hold", "repeat", "stop"),
        default="stop",
        help="what the robot does where no action is ready",
    )
    parser.add_argument("--safety", type=Path, default=None, help="JSON of SafetyLimits (default: the contract's)")
    parser.add_argument("--dry-run", action="store_true", help="do everything but move the robot")
    parser.add_argument(
        "--resize",
        choices=("refuse", "stretch", "pad"),
        default="refuse",
        help="what is done with images of another size than the contract's",
    )
    parser.add_argument(
        "--name",
        action="append",
        default=[],
        metavar="NAME=FEATURE",
        help="the robot's feature for a name of the contract, where they differ (default: none)",
    )


def evaluate(options: argparse.Namespace) -> None:
    robot = make_robot(options.robot)
    simulated = isinstance(robot, SimulatedRobot)
    tasks = read_tasks(options, robot)
    policy: Any
    if "://" in options.policy:
        token = options.token or os.environ.get("ROBOVLMS_TOKEN")
        policy = PolicyClient(options.policy, port=None, token=token)
    else:
        policy = ChunkPredictor.from_pretrained(options.policy, options.embodiment)
    if options.synchronous:
        controller: Any = SynchronousController(policy, options.n_action_steps)
    else:
        controller = AsynchronousController(policy, options.n_action_steps, on_miss=options.on_miss)
    names = dict(entry.partition("=")[::2] for entry in options.name)
    mapping = RobotMapping(controller.contract, robot, names, options.resize)
    limits = SafetyLimits.from_dict(json.loads(options.safety.read_text(encoding="utf-8"))) if options.safety else None
    needed = limits is not None or controller.contract.safety is not None or not simulated
    safety = SafetyEnvelope(controller.contract, limits) if needed else None
    runner = RobotRunner(robot, controller, safety, mapping, options.dry_run)
    evaluator = RobotEvaluator(
        runner,
        tasks,
        options.output,
        options.settings,
        options.num_rollouts,
        options.seconds,
        prepare=(lambda planned: robot.prepare(planned.task.name, planned.setting, planned.number))
        if simulated
        else ask_to_prepare,
        judge=(lambda planned, rollout: "success" if robot.judge() else "failure") if simulated else ask_to_judge,
        ended=robot.judge if simulated else None,
        policy_name=options.policy.rstrip("/").rpartition("/")[2],
    )
    with runner:
        record = evaluator.run()
    print(record.summary())
    print(controller.times.summary())
    if safety is not None:
        print(f"safety violations: {dict(safety.counts) or 'none'}")
    print(f"{options.output}: evaluation.json, rollouts.jsonl, videos/")
    if remaining := record.protocol["remaining"]:
        print(f"{remaining} rollouts remain: the same command goes on with them.")


def make_robot(name: str) -> Any:
    """The robot that MODULE:FUNCTION returns; raises ValueError."""
    if name == SIMULATED:
        return SimulatedRobot()
    module, colon, function = name.partition(":")
    if not colon:
        raise ValueError(
            f"--robot {name!r}: write MODULE:FUNCTION, a function without arguments that returns the robot."
        )
    try:
        return getattr(importlib.import_module(module), function)()
    except (ImportError, AttributeError) as error:
        raise ValueError(f"--robot {name!r}: {error}") from error


def read_tasks(options: argparse.Namespace, robot: Any) -> list[RobotTask]:
    """The tasks of `--task` and `--tasks`; the simulated robot's are its simulator's, by name."""
    if isinstance(robot, SimulatedRobot):
        return [RobotTask(name, said["simple"], said) for name in options.task if (said := robot.instructions(name))]
    tasks = [RobotTask("_".join(text.lower().split()), text) for text in options.task]
    if options.tasks is not None:
        tasks += [RobotTask(**entry) for entry in json.loads(options.tasks.read_text(encoding="utf-8"))]
    return tasks


def checklists() -> str:
    lines = []
    for setting in GENERALIZATION_SETTINGS.values():
        lines.append(f"{setting.name}: {setting.summary}")
        lines += [f"  [ ] {line}" for line in setting.checklist]
    return "\n".join(lines)
