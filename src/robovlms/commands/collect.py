"""`robovlms collect`: demonstrations of the tabletop's scripted expert as a LeRobot dataset."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from robovlms.data import LeRobotWriter
from robovlms.evaluation.tabletop import (
    ACTION_NAMES,
    ACTION_UNITS,
    BASE_TASKS,
    CONTROL_FREQUENCY,
    STATE_NAMES,
    STATE_UNITS,
    TASKS,
    collect,
)

EPISODES = 5000
FLUSH_EVERY = 200


def parser(prog: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=prog, description=__doc__)
    parser.add_argument("--output", type=Path, required=True, help="folder of the dataset")
    parser.add_argument(
        "--tasks", nargs="+", default=list(BASE_TASKS), metavar="TASK", help=f"among {', '.join(TASKS)}"
    )
    parser.add_argument("--episodes", type=int, default=EPISODES)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--processes", type=int, default=2, help="simulators at once")
    parser.add_argument("--image-size", type=int, default=64, help="width and height in pixels")
    return parser


def run(prog: str, arguments: Sequence[str]) -> None:
    options = parser(prog).parse_args(arguments)
    collect_demonstrations(
        options.output, options.tasks, options.episodes, options.seed, options.processes, options.image_size
    )


def collect_demonstrations(
    folder: Path, tasks: Sequence[str], episodes: int, seed: int, processes: int, image_size: int
) -> None:
    """Write the dataset; an interrupted one is continued where it was last safe on disk."""
    writer = LeRobotWriter(
        folder,
        fps=CONTROL_FREQUENCY,
        robot_type="tabletop",
        names={"state": list(STATE_NAMES), "action": list(ACTION_NAMES)},
        units={"state": list(STATE_UNITS), "action": list(ACTION_UNITS)},
        resume=(folder / "meta").exists(),
    )
    with writer:
        done = writer.num_episodes
        for number, episode in enumerate(
            collect(tasks, episodes, seed=seed, processes=processes, image_size=image_size, first=done), start=done + 1
        ):
            columns = {
                "images": episode.images,
                "state": episode.state,
                "action": episode.actions,
                "grounding": episode.grounding,
            }
            writer.add_episode(columns, task=episode.instruction)
            if number % FLUSH_EVERY == 0:
                writer.flush()
    print(f"{folder}: {writer.num_episodes} episodes, {writer.num_frames} frames")
