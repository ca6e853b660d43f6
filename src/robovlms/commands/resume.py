"""The flag by which every command that leaves a folder goes on in it."""

import argparse


def add_resume(parser: argparse.ArgumentParser, allows: str = "said or not, the same command goes on") -> None:
    """`--resume`; `allows` is what it allows beyond what the same command does by itself."""
    parser.add_argument(
        "--resume", action="store_true", help=f"go on with what is in the folder, if there is anything; {allows}"
    )
