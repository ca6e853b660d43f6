"""`robovlms data inspect`: look at a dataset and find what is wrong with it."""

import argparse
from collections.abc import Sequence

from robovlms.data import inspect


def run(prog: str, arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog=prog, description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    inspect.add_arguments(commands.add_parser("inspect", help="print a summary and write an HTML page"))
    return inspect.run(parser.parse_args(arguments))
