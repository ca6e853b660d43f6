"""`robovlms push`: publish a checkpoint, an adapter or a dataset on the Hub, in one commit."""

from collections.abc import Sequence
from pathlib import Path

from robovlms.commands import CommandParser
from robovlms.commands.card import add_metadata_options
from robovlms.publishing.push import push


def make_parser(prog: str) -> CommandParser:
    parser = CommandParser(prog=prog, description=__doc__)
    parser.add_argument("folder", type=Path, help="checkpoint, adapter or LeRobotDataset")
    parser.add_argument("repo_id", help="for example me/my_vla; created if needed")
    parser.add_argument(
        "--private", action="store_true", default=None, help="make the repository private, if it is created"
    )
    parser.add_argument("--revision", default=None, help="branch to push to (default: main)")
    parser.add_argument("--message", default=None, help="commit message (default: Upload FOLDER)")
    parser.add_argument(
        "--base-model", default=None, metavar="ID", help="Hub id of an adapter's base (default: the one that it names)"
    )
    add_metadata_options(parser)
    return parser


def run(prog: str, arguments: Sequence[str]) -> None:
    options = make_parser(prog).parse_args(arguments)
    commit = push(
        options.folder,
        options.repo_id,
        private=options.private,
        revision=options.revision,
        commit_message=options.message,
        license=options.license,
        datasets=options.datasets,
        base_model=options.base_model,
    )
    print(f"{commit.commit_url}\nload it with revision={commit.oid!r}")
