"""`robovlms study`: the framework's questions in miniature, on the embedded simulator.

Structure, history, action space, and a pre-trained against a random backbone: every variant is trained on the same
demonstrations for the same number of steps and evaluated on the same unseen scenes. What is done is not done again.
"""

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path

from transformers import set_seed

from robovlms.commands import CommandParser, train
from robovlms.commands.collect import collect_demonstrations
from robovlms.commands.eval import evaluate_checkpoint
from robovlms.commands.quickstart import Stages
from robovlms.commands.resume import add_resume
from robovlms.data import LeRobotDataset
from robovlms.evaluation import EvaluationRecord
from robovlms.evaluation.study import Outcome, Variant, study_dict, study_table, write_study
from robovlms.simulators.tabletop import BASE_TASKS
from robovlms.simulators.tabletop.tasks import GROUNDING_NAMES
from robovlms.training import ScratchTrainingArguments, write_scratch_backbone
from robovlms.training.arguments import SCRATCH_DEFAULTS
from robovlms.training.scene_questions import SceneQuestions, pretrain, sentences, things_of

STRUCTURES = (
    ("one_step_discrete", 1),
    ("one_step_continuous", 1),
    ("interleaved_continuous", 2),
    ("interleaved_continuous", 4),
    ("policy_head_continuous", 2),
    ("policy_head_continuous", 4),
)
BACKBONES = ("pretrained", "random")
CAVEATS = (
    "Success in a small simulated kitchen corner is not CALVIN's chains of five; compare directions, not sizes.",
    "The backbone is a million parameters, pre-trained (where it is) on where things are in the same simulator's scenes, "
    "not on the web.",
    "Intervals are of the episodes. They do not hold the chance of training, for which more --seeds are needed.",
    "Every variant has the same demonstrations, training steps, learning rate and image; none was tuned.",
)


@dataclass(frozen=True)
class StudyRecipe:
    """How much of everything."""

    tasks: tuple[str, ...] = BASE_TASKS
    demonstrations: int = 1500
    pretraining_demonstrations: int = 1500
    pretraining_steps: int = 6000
    max_steps: int = 1500
    batch_size: int = 16
    episodes: int = 104
    seeds: int = 1
    processes: int = 2


FULL = StudyRecipe()
FAST = StudyRecipe(
    tasks=("open_drawer", "close_drawer"),
    demonstrations=4,
    pretraining_demonstrations=2,
    pretraining_steps=3,
    max_steps=3,
    batch_size=2,
    episodes=2,
    processes=1,
)


def make_parser(prog: str) -> CommandParser:
    parser = CommandParser(prog=prog, description=__doc__)
    parser.add_argument("--output", type=Path, required=True, help="folder of the study")
    parser.add_argument("--seeds", type=int, default=1, help="trainings of every variant")
    parser.add_argument("--fast", action="store_true", help="every stage in miniature, to see that it works")
    add_resume(parser)
    return parser


def run(prog: str, arguments: Sequence[str]) -> None:
    options = make_parser(prog).parse_args(arguments)
    if options.seeds < 1:
        raise ValueError(f"--seeds must be at least 1, got {options.seeds}.")
    recipe = StudyRecipe(**(asdict(FAST if options.fast else FULL) | {"seeds": options.seeds}))
    outcomes = study(options.output, recipe)
    print(study_table(outcomes))
    print(f"{options.output / 'study.html'}: the same with its picture")


def variants(recipe: StudyRecipe) -> list[Variant]:
    """All that is trained, in the order in which it is."""
    return [
        Variant(structure, window, backbone, seed)
        for seed, (structure, window), backbone in product(range(recipe.seeds), STRUCTURES, BACKBONES)
    ]


def study(folder: Path, recipe: StudyRecipe) -> list[Outcome]:
    """Run what is not yet done of the study in `folder`, and write its tables and pictures."""
    folder.mkdir(parents=True, exist_ok=True)
    stages = Stages(folder, recipe)
    demonstrations, images = folder / "demonstrations", folder / "pretraining_demonstrations"
    collecting = (recipe.tasks, recipe.processes)
    stages.run("collect", lambda: _collect(demonstrations, recipe.demonstrations, 0, *collecting))
    stages.run("collect for pre-training", lambda: _collect(images, recipe.pretraining_demonstrations, 1, *collecting))
    stages.run("pre-train", lambda: _backbones(folder, demonstrations, images, recipe))
    outcomes = []
    for number, variant in enumerate(variants(recipe), start=1):
        print(f"-- variant {number} of {len(variants(recipe))}")
        own = folder / "runs" / variant.name
        stages.run(f"train {variant.name}", lambda own=own, v=variant: _train(own, demonstrations, folder, v, recipe))
        stages.run(f"evaluate {variant.name}", lambda own=own: _evaluate(own, recipe))
        record = EvaluationRecord.load(own / "evaluation.json")
        outcomes.append(Outcome(variant, record.successes, record.episodes))
        protocol = asdict(recipe) | {"vl_pretraining": json.loads((folder / "vl_pretraining.json").read_text())}
        (folder / "study.json").write_text(json.dumps(study_dict(outcomes, protocol), indent=2) + "\n")
        write_study(outcomes, folder, CAVEATS)
    return outcomes


def _collect(folder: Path, episodes: int, seed: int, tasks: Sequence[str], processes: int) -> None:
    collect_demonstrations(folder, tasks, episodes, seed, processes, 64)


def _backbones(folder: Path, demonstrations: Path, images: Path, recipe: StudyRecipe) -> None:
    """Two backbones that differ in their weights alone."""
    things = things_of(GROUNDING_NAMES)
    instructions = sorted(LeRobotDataset(demonstrations).metadata.tasks.values())
    random = write_scratch_backbone(folder / "backbones" / "random", [*instructions, *sentences(things)])
    windows = LeRobotDataset(images, window_size=1, chunk_size=1, cameras=["static"], cache_bytes=2**32)
    set_seed(0)
    training = ScratchTrainingArguments(
        output_dir=str(folder / "backbones" / "training"),
        max_steps=recipe.pretraining_steps,
        per_device_train_batch_size=2 * recipe.batch_size,
        save_strategy="no",
    )
    right = pretrain(
        random, SceneQuestions(windows, GROUNDING_NAMES, things), folder / "backbones" / "pretrained", training
    )
    (folder / "vl_pretraining.json").write_text(json.dumps({"answers_right": right}) + "\n")
    print(f"the pre-trained backbone answers {right:.0%} of questions about where things are right")


def _train(own: Path, demonstrations: Path, folder: Path, variant: Variant, recipe: StudyRecipe) -> None:
    options = SCRATCH_DEFAULTS | {
        "dataset": demonstrations,
        "cameras": "static",
        "backbone": folder / "backbones" / variant.backbone,
        "structure": variant.structure,
        "window_size": variant.window_size,
        "use_state": False,  # the discrete structure has none
        "grounding_loss_weight": 0,
        "num_action_tokens": 1,
        "output_dir": own / "training",
        "resume": True,  # whose run it is, the stages know
        "checkpoint": own,
        "max_steps": recipe.max_steps,
        "per_device_train_batch_size": recipe.batch_size,
        "logging_steps": max(1, recipe.max_steps // 50),
        "learning_rate": 1e-3,
        "seed": variant.seed,
    }
    if variant.structure == "one_step_discrete":
        options |= {"action_bins": 256, "action_token_placement": "new"}
    else:
        options["head_options"] = '{"hidden_size": 256, "decoder_sizes": [256], "gripper_loss_weight": 0.1}'
    flags = [part for name, value in options.items() for part in (f"--{name}", str(value))]
    if recipe.processes == 1:
        train.run("robovlms train", flags)
        return
    launch = ["-m", "torch.distributed.run", "--standalone", f"--nproc_per_node={recipe.processes}"]
    subprocess.run([sys.executable, *launch, "-m", "robovlms.cli", "train", *flags], check=True)


def _evaluate(own: Path, recipe: StudyRecipe) -> None:
    evaluate_checkpoint(own, own, tasks=list(recipe.tasks), episodes=recipe.episodes, controls=False)
