"""`robovlms compare`: whether the difference between two evaluation records is more than luck."""

import json
from collections.abc import Sequence
from pathlib import Path

from robovlms.commands import CommandParser
from robovlms.evaluation import EvaluationRecord, compare


def make_parser(prog: str) -> CommandParser:
    parser = CommandParser(prog=prog, description=__doc__)
    parser.add_argument("first", type=Path, metavar="A.json", help="record, or the folder of an evaluation")
    parser.add_argument("second", type=Path, metavar="B.json", help="the record that it is compared with")
    parser.add_argument(
        "--output", type=Path, default=None, help="folder for comparison.json and comparison.png (default: only print)"
    )
    return parser


def run(prog: str, arguments: Sequence[str]) -> None:
    options = make_parser(prog).parse_args(arguments)
    comparison = compare(*(EvaluationRecord.load(record_file(path)) for path in (options.first, options.second)))
    print(comparison.summary())
    if options.output is not None:
        from robovlms.evaluation.pictures import plot_comparison  # matplotlib takes a second

        options.output.mkdir(parents=True, exist_ok=True)
        text = json.dumps(comparison.to_dict(), indent=2) + "\n"
        (options.output / "comparison.json").write_text(text, encoding="utf-8")
        plot_comparison(comparison, options.output / "comparison.png")
        print(f"{options.output}: comparison.json and comparison.png")


def record_file(path: Path) -> Path:
    """Return a record's file; of a folder its `evaluation.json`.

    Raises:
        FileNotFoundError: there is none.
    """
    file = path / "evaluation.json" if path.is_dir() else path
    if not file.is_file():
        raise FileNotFoundError(
            f"{file} is not there. A record is written when an evaluation is finished; the same `robovlms eval` goes on."
        )
    return file
