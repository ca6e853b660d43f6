"""`robovlms eval`: a checkpoint in a simulator; writes an evaluation record, plots and films."""

import argparse
from collections.abc import Sequence
from pathlib import Path

import torch

from robovlms.evaluation import EvaluationRecord, evaluate
from robovlms.evaluation.pictures import contact_sheet, plot_controls, plot_success, rollout_gif
from robovlms.serving import Policy

EPISODES = 130
CONTROL_EPISODES = 65


def parser(prog: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=prog, description=__doc__)
    parser.add_argument("checkpoint", help="folder or Hub id")
    parser.add_argument("--output", type=Path, required=True, help="folder of the record and the pictures")
    parser.add_argument("--suite", default="tabletop")
    parser.add_argument("--embodiment", default=None, help="which contract, where the checkpoint has several")
    parser.add_argument("--tasks", nargs="+", default=None, metavar="TASK", help="default: those it was trained on")
    parser.add_argument("--episodes", type=int, default=EPISODES, help="over all tasks; 0 for chains alone")
    parser.add_argument("--control-episodes", type=int, default=CONTROL_EPISODES, help="per control; 0 for none")
    parser.add_argument("--settings", nargs="*", default=[], metavar="SETTING", help="held-out settings to run too")
    parser.add_argument("--chains", type=int, default=0, help="long-horizon chains of five instructions")
    parser.add_argument("--num-envs", type=int, default=8, help="environments at once")
    parser.add_argument("--seed", type=int, default=None, help="first seed of the episodes")
    return parser


def run(prog: str, arguments: Sequence[str]) -> None:
    options = parser(prog).parse_args(arguments)
    seed = {} if options.seed is None else {"seed": options.seed}
    record = evaluate_checkpoint(
        options.checkpoint,
        options.output,
        embodiment=options.embodiment,
        suite=options.suite,
        tasks=options.tasks,
        episodes=options.episodes,
        controls=options.control_episodes > 0,
        control_episodes=options.control_episodes,
        settings=options.settings,
        chains=options.chains,
        num_envs=options.num_envs,
        **seed,
    )
    print(record.summary())


def evaluate_checkpoint(
    checkpoint: str | Path, output: Path, embodiment: str | None = None, **options
) -> EvaluationRecord:
    """Evaluate, and write `evaluation.json` and `pictures/` into `output`. `options` are those of `evaluate`."""
    output.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)  # the environments' processes need the other cores
    policy = Policy.from_pretrained(str(checkpoint), embodiment=embodiment)
    record, results = evaluate(policy, policy_name=Path(checkpoint).name, **options)
    record.save(output / "evaluation.json")
    pictures = output / "pictures"
    pictures.mkdir(exist_ok=True)
    if record.episodes:
        plot_success(record, pictures / "success.png")
    if record.controls or record.chains is not None:
        plot_controls(record, pictures / "controls.png")
    if any(result.frames for result in results):
        contact_sheet(results, pictures / "contact_sheet.png")
        rollout_gif(results, pictures / "rollouts.gif")
    return record
