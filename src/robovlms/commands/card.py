"""`robovlms card`: write a checkpoint's README.md and `.eval_results/` from its files and evaluation records."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from robovlms.commands import CommandParser
from robovlms.publishing.cards import write_cards


def make_parser(prog: str) -> CommandParser:
    parser = CommandParser(prog=prog, description=__doc__)
    parser.add_argument("checkpoint", type=Path, help="folder of a checkpoint or an adapter")
    parser.add_argument("--repo-id", default=None, help="its name on the Hub (default: the folder's name)")
    add_metadata_options(parser)
    return parser


def run(prog: str, arguments: Sequence[str]) -> None:
    options = make_parser(prog).parse_args(arguments)
    for file in write_cards(
        options.checkpoint, repo_id=options.repo_id, license=options.license, datasets=options.datasets
    ):
        print(file)


def add_metadata_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--license", default=None, help="for example apache-2.0 (default: what the card that is there says)"
    )
    parser.add_argument(
        "--datasets",
        nargs="+",
        default=None,
        metavar="ID",
        help="Hub ids of the training data (default: those of the card that is there, and of the contracts)",
    )
