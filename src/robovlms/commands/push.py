"""`robovlms push`: publish a checkpoint, an adapter or a dataset on the Hub, in one commit."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from robovlms.commands.card import add_metadata_options
from robovlms.publishing.push import push


def run(prog: str, arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(prog=prog, description=__doc__)
    parser.add_argument("folder", type=Path, help="checkpoint, adapter or LeRobotDataset")
    parser.add_argument("repo_id", help="for example me/my_vla; created if needed")
    parser.add_argument("--private", action="store_true", default=None, help="if the repository is created")
    parser.add_argument("--revision", default=None, help="branch to push to")
    parser.add_argument("--message", default=None, help="commit message")
    parser.add_argument("--base-model", default=None, metavar="ID", help="Hub id of an adapter's base")
    add_metadata_options(parser)
    options = parser.parse_args(arguments)
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
