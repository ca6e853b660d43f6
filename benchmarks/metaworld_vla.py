"""A small VLA on tasks of Meta-World: demonstrations of the scripted experts, training from scratch, evaluation.

    pip install "robovlms[metaworld]"
    python benchmarks/metaworld_vla.py FOLDER
    python benchmarks/metaworld_vla.py FOLDER --tasks plate-slide-v3 dial-turn-v3 --demonstrations 200 --max-steps 1500

Five tasks of MT10 by default, one camera (corner4) at 96 pixels, tuned rendering, two data-parallel processes. Stages that are
complete are not run again, an interrupted one goes on where it was. docs/metaworld.md has the figures.
"""

import argparse
from dataclasses import dataclass
from pathlib import Path

from robovlms.commands.collect import collect_metaworld
from robovlms.commands.eval import evaluate_checkpoint
from robovlms.commands.quickstart import Stages, train_in_processes
from robovlms.evaluation import EvaluationRecord
from robovlms.evaluation.pictures import plot_losses

CAMERA, IMAGE_SIZE = "corner4", 96


@dataclass(frozen=True)
class Recipe:
    """How much of everything."""

    tasks: tuple[str, ...] = (
        "button-press-topdown-v3",
        "drawer-close-v3",
        "drawer-open-v3",
        "window-close-v3",
        "window-open-v3",
    )
    demonstrations: int = 500
    max_steps: int = 3000
    batch_size: int = 32
    chunk_size: int = 16
    n_action_steps: int = 8
    episodes: int = 100
    control_episodes: int = 25
    processes: int = 2


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--tasks", nargs="+", default=Recipe.tasks, metavar="TASK")
    parser.add_argument("--demonstrations", type=int, default=Recipe.demonstrations, help="over all tasks")
    parser.add_argument("--max-steps", type=int, default=Recipe.max_steps, help="of training")
    parser.add_argument("--episodes", type=int, default=Recipe.episodes, help="of the evaluation, over all tasks")
    options = parser.parse_args()
    folder = options.folder
    recipe = Recipe(tuple(options.tasks), options.demonstrations, options.max_steps, episodes=options.episodes)
    folder.mkdir(parents=True, exist_ok=True)
    stages = Stages(folder, recipe)
    demonstrations, checkpoint = folder / "demonstrations", folder / "checkpoint"

    def collect() -> None:
        collect_metaworld(
            demonstrations,
            recipe.tasks,
            episodes=recipe.demonstrations,
            processes=recipe.processes,
            cameras=(CAMERA,),
            image_size=IMAGE_SIZE,
            render="tuned",
        )

    def learn() -> None:
        options = {
            "dataset": demonstrations,
            "checkpoint": checkpoint,
            "output_dir": folder / "training",
            "window_size": 1,
            "chunk_size": recipe.chunk_size,
            "n_action_steps": recipe.n_action_steps,
            "max_steps": recipe.max_steps,
            "per_device_train_batch_size": recipe.batch_size,
        }
        train_in_processes(options, recipe.processes)

    def score() -> None:
        evaluate_checkpoint(
            checkpoint,
            folder / "evaluation",
            suite="metaworld",
            suite_options={"cameras": [CAMERA], "image_size": IMAGE_SIZE, "render": "tuned"},
            tasks=recipe.tasks,
            episodes=recipe.episodes,
            control_episodes=recipe.control_episodes,
            num_envs=recipe.processes,
        )
        plot_losses(checkpoint / "trainer_state.json", folder / "evaluation" / "pictures" / "losses.png")

    stages.run("collect", collect)
    stages.run("train", learn)
    stages.run("evaluate", score)
    print(EvaluationRecord.load(folder / "evaluation" / "evaluation.json").summary())
    print("minutes:", {name: round(minutes, 1) for name, minutes in stages.minutes.items()})


if __name__ == "__main__":
    main()
