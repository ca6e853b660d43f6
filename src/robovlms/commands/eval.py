"""`robovlms eval`: a checkpoint in a simulator; leaves a record, a report page, films and plots.

Finished episodes are kept: the same command goes on where it was interrupted.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import yaml

from robovlms.checkpoint.revision import revision_of
from robovlms.commands import CommandParser
from robovlms.commands.resume import add_resume
from robovlms.evaluation import EvaluationRecord, evaluate, get_suite, suite_names, write_report
from robovlms.evaluation.evaluation import FIRST_SEED
from robovlms.evaluation.filmstrips import contact_sheet, rollout_gif
from robovlms.evaluation.pictures import plot_controls, plot_success
from robovlms.serving import Policy


def make_parser(prog: str) -> CommandParser:
    parser = CommandParser(prog=prog, description=__doc__)
    parser.add_argument("checkpoint", help="folder or Hub id")
    parser.add_argument("--output", type=Path, required=True, help="folder of the record, the report and the films")
    parser.add_argument("--suite", default="tabletop", help=f"one of {', '.join(suite_names())}")
    parser.add_argument(
        "--suite-options",
        nargs="+",
        default=[],
        metavar="NAME=VALUE",
        help="options of the suite, for example scene=D (default: none)",
    )
    parser.add_argument(
        "--cameras",
        nargs="+",
        default=[],
        metavar="POLICYS=SUITES",
        help="cameras' names, where policy and suite differ (default: none)",
    )
    parser.add_argument(
        "--embodiment", default=None, help="which contract, where the checkpoint has several (default: its only one)"
    )
    parser.add_argument(
        "--tasks", nargs="+", default=None, metavar="TASK", help="names of tasks (default: the suite's own choice)"
    )
    parser.add_argument(
        "--episodes", type=int, default=None,
        help="episodes in all (not per task), for each seed; the tasks take turns. 0 for chains alone "
        "(default: 10 of each task, or the whole of a fixed list)",
    )  # fmt: skip
    parser.add_argument(
        "--control-episodes", type=int, default=None,
        help="episodes in all for each control and seed, 0 for none "
        "(default: 5 of each task, none where there is a fixed list)",
    )  # fmt: skip
    parser.add_argument(
        "--settings", nargs="*", default=[], metavar="SETTING", help="held-out settings to run too (default: none)"
    )
    parser.add_argument("--chains", type=int, default=0, help="long-horizon chains of five instructions, per seed")
    parser.add_argument("--max-steps", type=int, default=None, help="actions per task (default: the suite's limit)")
    parser.add_argument(
        "--seeds", type=int, nargs="+", default=None, metavar="SEED",
        help="where the episodes' seeds start; several repeat everything with other scenes "
        f"(default: {FIRST_SEED})",
    )  # fmt: skip
    parser.add_argument("--envs", type=int, default=8, help="environments at once, each in its own process")
    parser.add_argument("--films", type=int, default=1, help="films of successes and of failures, per task")
    add_resume(parser)
    parser.add_argument("--restart", action="store_true", help="forget the finished episodes in the output folder")
    parser.add_argument("--retry-crashed", action="store_true", help="run episodes again whose environment failed")
    return parser


def run(prog: str, arguments: Sequence[str]) -> None:
    options = make_parser(prog).parse_args(arguments)
    suite_options = dict(parse_option("--suite-options", option) for option in options.suite_options)
    record = evaluate_checkpoint(
        options.checkpoint,
        options.output,
        embodiment=options.embodiment,
        suite=options.suite,
        suite_options=suite_options,
        cameras=dict(parse_option("--cameras", option) for option in options.cameras) or None,
        tasks=options.tasks,
        episodes=options.episodes,
        control_episodes=options.control_episodes,
        settings=options.settings,
        chains=options.chains,
        max_steps=options.max_steps,
        num_envs=options.envs,
        films=options.films,
        restart=options.restart,
        retry_crashed=options.retry_crashed,
        **({} if options.seeds is None else {"seeds": options.seeds}),
    )
    print(record.summary())
    print(f"\n{options.output / 'report.html'}: the same with films; {options.output / 'evaluation.json'}: the record")


def parse_option(flag: str, text: str) -> tuple[str, Any]:
    """NAME=VALUE, the value as YAML reads it."""
    name, equals, value = text.partition("=")
    if not equals:
        raise ValueError(f"{flag}: {text!r} must be NAME=VALUE.")
    return name, yaml.safe_load(value)


def evaluate_checkpoint(
    checkpoint: str | Path,
    output: Path,
    embodiment: str | None = None,
    suite: str = "tabletop",
    suite_options: dict[str, Any] | None = None,
    **options: Any,
) -> EvaluationRecord:
    """Evaluate, and write `evaluation.json`, `report.html`, `films/` and `pictures/` into `output`. `options` are those
    of `evaluate`."""
    built = get_suite(suite, **(suite_options or {}))  # before the checkpoint: missing assets show at once
    torch.set_num_threads(1)  # the environments' processes need the other cores
    policy = Policy.from_pretrained(str(checkpoint), embodiment=embodiment)
    record, results = evaluate(
        policy,
        built,
        policy_name=Path(checkpoint).resolve().name if Path(checkpoint).exists() else str(checkpoint),
        policy_revision=revision_of(checkpoint, policy.model),
        output=output,
        **options,
    )
    record.save(output / "evaluation.json")
    pictures = output / "pictures"
    pictures.mkdir(exist_ok=True)
    if record.episodes:
        plot_success(record, pictures / "success.png")
    if record.controls or record.unseen or record.chains is not None:
        plot_controls(record, pictures / "controls.png")
    if any(result.frames for result in results):
        contact_sheet(results, pictures / "contact_sheet.png")
        rollout_gif(results, pictures / "rollouts.gif")
    write_report(record, results, output, checkpoint=_say(checkpoint))
    return record


def _say(checkpoint: str | Path) -> str:
    """What a checkpoint is called in the report's command: an id, or enough of a folder's path to find it, not all of it."""
    folder = Path(checkpoint)
    return "/".join(folder.resolve().parts[-2:]) if folder.exists() else str(checkpoint)
