"""`robovlms collect`: demonstrations of a simulator's scripted experts as a LeRobot dataset."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from robovlms.commands import CommandParser
from robovlms.commands.resume import add_resume
from robovlms.data import LeRobotWriter
from robovlms.data.lerobot_metadata import WRITING_MARKER
from robovlms.simulators.metaworld import demonstrations as metaworld
from robovlms.simulators.metaworld import interface as metaworld_interface
from robovlms.simulators.metaworld.package import mt10
from robovlms.simulators.tabletop import BASE_TASKS, collect
from robovlms.simulators.tabletop import interface as tabletop_interface

EPISODES = 5000
FLUSH_EVERY = 200


def make_parser(prog: str) -> CommandParser:
    parser = CommandParser(prog=prog, description=__doc__)
    parser.add_argument("--output", type=Path, required=True, help="folder of the dataset")
    parser.add_argument("--suite", default="tabletop", choices=("tabletop", "metaworld"), help="the simulator")
    parser.add_argument(
        "--tasks",
        nargs="+",
        default=None,
        metavar="TASK",
        help="names of tasks (default: the suite's own; of Meta-World, MT10)",
    )
    parser.add_argument("--episodes", type=int, default=EPISODES, help="episodes in all, the tasks taking turns")
    add_resume(parser, "appends also to a dataset that was finished with fewer episodes")
    parser.add_argument("--seed", type=int, default=0, help="where the scenes' seeds start")
    parser.add_argument("--processes", type=int, default=2, help="simulators at once")
    parser.add_argument(
        "--image-size", type=int, default=None, help="width and height in pixels (default: 64, of Meta-World 128)"
    )
    only = parser.add_argument_group("of Meta-World")
    only.add_argument(
        "--cameras",
        nargs="*",
        default=None,
        metavar="CAMERA",
        help="cameras to record, none if nothing follows (default: corner2)",
    )
    only.add_argument(
        "--render",
        default=None,
        choices=("default", "tuned"),
        help="tuned: no shadows, much faster (default: default)",
    )
    return parser


def run(prog: str, arguments: Sequence[str]) -> None:
    options = make_parser(prog).parse_args(arguments)
    common = {name: getattr(options, name) for name in ("episodes", "seed", "processes", "resume")}
    if options.suite == "metaworld":
        chosen = {"cameras": options.cameras, "render": options.render, "image_size": options.image_size}
        chosen = {name: value for name, value in chosen.items() if value is not None}
        collect_metaworld(options.output, options.tasks or mt10(), **common, **chosen)
        return
    if options.cameras is not None or options.render is not None:
        raise ValueError("--cameras and --render are for --suite metaworld, got the suite tabletop")
    collect_demonstrations(options.output, options.tasks or BASE_TASKS, image_size=options.image_size or 64, **common)


def collect_demonstrations(
    folder: Path, tasks: Sequence[str], episodes: int, seed: int, processes: int, image_size: int, resume: bool = True
) -> None:
    """Write demonstrations of the tabletop's expert; an interrupted dataset is continued where it was last safe, a finished one
    only with `resume` (ValueError)."""

    def demonstrate(first: int) -> Iterator[Any]:
        return collect(tasks, episodes, seed=seed, processes=processes, image_size=image_size, first=first)

    _write(folder, "tabletop", tabletop_interface, demonstrate, episodes, resume)


def collect_metaworld(folder: Path, tasks: Sequence[str], episodes: int, resume: bool = True, **options: Any) -> None:
    """Write demonstrations of Meta-World's experts; `options` are those of `metaworld.demonstrations.collect`."""

    def demonstrate(first: int) -> Iterator[Any]:
        return metaworld.collect(tasks, episodes=episodes, first=first, **options)

    _write(folder, "sawyer", metaworld_interface, demonstrate, episodes, resume)


def _write(
    folder: Path,
    robot: str,
    interface: Any,
    demonstrate: Callable[[int], Iterator[Any]],
    episodes: int,
    resume: bool,
) -> None:
    """Write the episodes that `demonstrate` yields, given how many are there already."""
    demonstrate(0)  # says what is wrong before the folder is begun; nothing is collected until it is iterated
    writer = LeRobotWriter(
        folder,
        fps=interface.CONTROL_FREQUENCY,
        robot_type=robot,
        names={"state": list(interface.STATE_NAMES), "action": list(interface.ACTION_NAMES)},
        units={"state": list(interface.STATE_UNITS), "action": list(interface.ACTION_UNITS)},
        resume=(folder / "meta").exists(),
    )
    done = writer.num_episodes
    if 0 < done < episodes and not resume and not (folder / WRITING_MARKER).exists():
        raise ValueError(
            f"{folder} holds a dataset that was finished with {done} episodes: give --resume to append {episodes - done}, or "
            "another --output."
        )
    with writer:
        for number, episode in enumerate(demonstrate(done), start=done + 1):
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
