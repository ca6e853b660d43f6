"""`robovlms doctor`: examine a checkpoint; exit status 1 if something is wrong with it."""

import json
from collections.abc import Sequence
from pathlib import Path

from robovlms.commands import CommandParser
from robovlms.publishing.doctor import examine


def make_parser(prog: str) -> CommandParser:
    parser = CommandParser(prog=prog, description=__doc__)
    parser.add_argument("checkpoint", help="folder or Hub id")
    parser.add_argument("--revision", default=None, help="branch, tag or commit of a Hub id (default: main)")
    parser.add_argument(
        "--json", type=Path, default=None, metavar="FILE", help="write the findings as JSON, too (default: only print)"
    )
    return parser


def run(prog: str, arguments: Sequence[str]) -> int:
    options = make_parser(prog).parse_args(arguments)
    examination = examine(options.checkpoint, options.revision)
    print(examination.summary())
    if options.json is not None:
        options.json.write_text(json.dumps(examination.to_dict(), indent=2) + "\n", encoding="utf-8")
    return 1 if examination.problems else 0
