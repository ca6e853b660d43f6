"""`robovlms quickstart`: demonstrations, training, evaluation and a checkpoint that loads elsewhere, in one folder.

Stages that are complete are not run again, an interrupted one goes on where it was.
"""

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from robovlms.commands import CommandParser
from robovlms.commands.collect import EPISODES, collect_demonstrations
from robovlms.commands.eval import evaluate_checkpoint
from robovlms.commands.resume import add_resume
from robovlms.evaluation import EvaluationRecord
from robovlms.evaluation.pictures import plot_losses
from robovlms.hub_cards import write_model_card
from robovlms.serving import Policy, random_observation
from robovlms.simulators.tabletop import BASE_TASKS
from robovlms.training import ScratchTrainingArguments


@dataclass(frozen=True)
class Recipe:
    """How much of everything."""

    tasks: tuple[str, ...] = BASE_TASKS
    demonstrations: int = EPISODES
    max_steps: int = ScratchTrainingArguments.max_steps
    save_steps: int = 500
    episodes: int = 130
    control_episodes: int = 65
    chains: int = 20
    processes: int = 2


FULL = Recipe()
FAST = Recipe(demonstrations=26, max_steps=10, save_steps=5, episodes=13, control_episodes=13, chains=1)


def make_parser(prog: str) -> CommandParser:
    parser = CommandParser(prog=prog, description=__doc__)
    parser.add_argument("--output", type=Path, required=True, help="folder of the run")
    parser.add_argument("--fast", action="store_true", help="every stage in miniature, to see that it works")
    add_resume(parser)
    return parser


def run(prog: str, arguments: Sequence[str]) -> None:
    options = make_parser(prog).parse_args(arguments)
    record = quickstart(options.output, FAST if options.fast else FULL)
    print(record.summary())
    print(f"\n{options.output / 'checkpoint'}: the policy; {options.output / 'evaluation.json'}: the record")


def quickstart(folder: Path, recipe: Recipe) -> EvaluationRecord:
    """Run what is not yet done of `recipe` in `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    stages = Stages(folder, recipe)
    demonstrations, checkpoint = folder / "demonstrations", folder / "checkpoint"

    def collect() -> None:
        collect_demonstrations(demonstrations, recipe.tasks, recipe.demonstrations, 0, recipe.processes, 64)

    def learn() -> None:
        options = {
            "dataset": demonstrations,
            "cameras": "static",
            "checkpoint": checkpoint,
            "output_dir": folder / "training",
            "resume": True,  # whose run it is, the stages know
            "max_steps": recipe.max_steps,
            "save_steps": recipe.save_steps,
            "logging_steps": max(1, recipe.max_steps // 90),
        }
        train_in_processes(options, recipe.processes)

    def score() -> None:
        evaluate_checkpoint(
            checkpoint,
            checkpoint,
            tasks=recipe.tasks,
            episodes=recipe.episodes,
            control_episodes=recipe.control_episodes,
            chains=recipe.chains,
        )
        plot_losses(checkpoint / "trainer_state.json", checkpoint / "pictures" / "losses.png")

    stages.run("collect", collect)
    stages.run("train", learn)
    stages.run("evaluate", score)
    stages.run("verify", lambda: verify_in_fresh_process(checkpoint))
    record = EvaluationRecord.load(checkpoint / "evaluation.json")
    record.minutes = round(sum(stages.minutes.values()), 2)
    record.save(checkpoint / "evaluation.json")
    shutil.copy(checkpoint / "evaluation.json", folder / "evaluation.json")
    write_model_card(checkpoint)
    return record


def train_in_processes(options: dict[str, Any], processes: int) -> None:
    """`robovlms train` with these options, data-parallel over processes of this machine.

    Raises:
        subprocess.CalledProcessError: if it fails; what went wrong has been printed by then.
    """
    flags = [part for name, value in options.items() for part in (f"--{name}", str(value))]
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc_per_node={processes}"]
    subprocess.run([*launch, "-m", "robovlms.cli", "train", *flags], check=True)


class Stages:
    """Remembers in `stages.json` which stages of a recipe (a dataclass) are complete, and how long they took."""

    def __init__(self, folder: Path, recipe: Any):
        self._file = folder / "stages.json"
        self._state = {"recipe": json.loads(json.dumps(asdict(recipe))), "minutes": {}}
        if self._file.exists():
            found = json.loads(self._file.read_text())
            if found["recipe"] != self._state["recipe"]:
                raise ValueError(f"{folder} holds a run of another recipe: choose another --output, or delete it.")
            self._state = found
        self._save()

    @property
    def minutes(self) -> dict[str, float]:
        """Minutes of each complete stage."""
        return self._state["minutes"]

    def run(self, name: str, stage: Callable[[], None]) -> None:
        """Run a stage, unless it is complete."""
        if name in self.minutes:
            print(f"== {name}: done before, in {self.minutes[name]:.1f} minutes")
            return
        print(f"== {name}")
        start = time.monotonic()
        stage()
        self.minutes[name] = (time.monotonic() - start) / 60
        self._save()

    def _save(self) -> None:
        self._file.write_text(json.dumps(self._state, indent=2) + "\n")


RELOAD = """
import sys
import robovlms
from transformers import AutoModel, AutoProcessor
from robovlms.serving import random_observation
folder = sys.argv[1]
policy = robovlms.Policy(AutoModel.from_pretrained(folder), AutoProcessor.from_pretrained(folder))
print("ACTION", policy.select_action(random_observation(policy.contract), "lift the red block").tolist())
"""


def verify_in_fresh_process(checkpoint: Path) -> None:
    """Load the checkpoint through the Auto classes in another process and compare one action with this one's.

    Raises:
        RuntimeError: if the process fails or the action differs.
    """
    torch.set_num_threads(1)
    policy = Policy.from_pretrained(str(checkpoint))
    ours = policy.select_action(random_observation(policy.contract), "lift the red block")
    fresh = subprocess.run(
        [sys.executable, "-c", RELOAD, str(checkpoint)], capture_output=True, text=True, check=False
    )
    lines = [line for line in fresh.stdout.splitlines() if line.startswith("ACTION")]
    if fresh.returncode or not lines:
        raise RuntimeError(f"The checkpoint does not load in a fresh process:\n{fresh.stderr[-2000:]}")
    theirs = np.array(json.loads(lines[-1].removeprefix("ACTION")))
    if not np.allclose(ours, theirs, atol=1e-5):
        raise RuntimeError(f"A fresh process computes another action: {theirs.tolist()} instead of {ours.tolist()}.")
    print(f"a fresh process loads the checkpoint and computes the same action: {np.round(theirs, 3).tolist()}")
