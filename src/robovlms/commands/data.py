"""`robovlms data`: look at a dataset and find what is wrong with it; repair one whose writer never finished it."""

from collections.abc import Sequence
from pathlib import Path

from robovlms.commands import CommandParser
from robovlms.data import inspect, repair_dataset


def make_parser(prog: str) -> CommandParser:
    parser = CommandParser(prog=prog, description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    inspect.add_arguments(commands.add_parser("inspect", help="print a summary and write an HTML page"))
    repair = commands.add_parser(
        "repair", help="a copy of a LeRobotDataset v3.0 with its episode table rebuilt from the rows"
    )
    repair.add_argument("dataset", type=Path, help="the folder; it is only read")
    repair.add_argument("--output", type=Path, required=True, help="the folder to write, which must not exist")
    return parser


def run(prog: str, arguments: Sequence[str]) -> int:
    options = make_parser(prog).parse_args(arguments)
    if options.command == "inspect":
        return inspect.run(options)
    print(f"{repair_dataset(options.dataset, options.output)}\n{options.output}: what could be rebuilt")
    return 0
