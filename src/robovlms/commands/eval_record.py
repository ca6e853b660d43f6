"""`robovlms eval-record`: the record and the report of an evaluation that a worker ran in a simulator's own Python."""

from collections.abc import Sequence
from pathlib import Path

from robovlms.commands import CommandParser
from robovlms.evaluation import write_report
from robovlms.evaluation.outside_results import record_of_folder
from robovlms.evaluation.pictures import plot_controls, plot_success


def make_parser(prog: str) -> CommandParser:
    parser = CommandParser(prog=prog, description=__doc__)
    parser.add_argument("folder", type=Path, help="the worker's --output; the record goes there, too")
    parser.add_argument("--policy", default=None, help="name for the record (default: what the server called it)")
    return parser


def run(prog: str, arguments: Sequence[str]) -> None:
    options = make_parser(prog).parse_args(arguments)
    record = record_of_folder(options.folder, options.policy)
    record.save(options.folder / "evaluation.json")
    pictures = options.folder / "pictures"
    pictures.mkdir(exist_ok=True)
    if record.episodes:
        plot_success(record, pictures / "success.png")
    if record.chains is not None:
        plot_controls(record, pictures / "controls.png")
    write_report(record, [], options.folder)
    print(record.summary())
    print(f"\n{options.folder / 'evaluation.json'}: the record; {options.folder / 'report.html'}: the same as a page")
