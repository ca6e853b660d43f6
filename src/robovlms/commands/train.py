"""`robovlms train`: a VLA on LeRobot, RLDS or CALVIN datasets.

Options are flags or keys of `--config FILE.yaml`; every one of `transformers.TrainingArguments` is among them. An
interrupted run is continued by the same command, a finished one stays as it is. Exit status: 0 where a policy was left,
143 after SIGTERM and 130 after Ctrl-C.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from robovlms.training.arguments import (
    SCRATCH,
    SCRATCH_DEFAULTS,
    FreezingArguments,
    LoRAArguments,
    RolloutArguments,
    TrainingDefaults,
    VLAArguments,
)
from robovlms.training.command_line import build_parser, parse_arguments

OWN_GROUPS = (VLAArguments, TrainingDefaults, FreezingArguments, LoRAArguments, RolloutArguments)
HELP = (
    f"With --backbone {SCRATCH} the defaults are: {', '.join(f'{key} {value}' for key, value in SCRATCH_DEFAULTS.items())}; "
    "with --init_from window, chunk and normalization are that checkpoint's. Every flag of transformers.TrainingArguments "
    "is taken, too: --help_all lists them."
)


def make_parser(prog: str) -> argparse.ArgumentParser:
    """The parser of what `--help` shows, without `transformers.TrainingArguments`."""
    parser = build_parser(OWN_GROUPS, prog, __doc__)
    parser.epilog = HELP
    return parser


def run(prog: str, arguments: Sequence[str]) -> int | None:
    if {"-h", "--help"} & set(arguments):  # TrainingArguments would take five seconds to import
        make_parser(prog).print_help()
        return None
    from robovlms.training import TrainingStopped, train
    from robovlms.training.scratch_arguments import GROUPS

    if "--help_all" in arguments:
        build_parser(GROUPS, prog, __doc__).print_help()
        return None
    parsed = parse_arguments(GROUPS, arguments, prog, __doc__, choose_defaults)
    try:
        folder = train(*parsed, command=[*prog.split(), *arguments])
    except (TrainingStopped, KeyboardInterrupt) as error:
        status, said = (143, str(error)) if isinstance(error, TrainingStopped) else (130, "interrupted.")
        print("\n".join([f"{prog}: {said}", *getattr(error, "__notes__", ())]), file=sys.stderr)
        return status
    if parsed[0].dry_run:
        return None
    if int(os.environ.get("RANK", 0)) == 0:
        print(f"{folder}: model, processor and report; next: `{next_command(folder)}`")
    return None


def next_command(folder: Path) -> str:
    """What the policy in `folder` can be given to: the tabletop where its contract fits, else a robot's client."""
    from transformers import AutoProcessor

    from robovlms.evaluation.evaluation import check_contract
    from robovlms.evaluation.suites import get_suite

    contracts = AutoProcessor.from_pretrained(folder).contracts
    try:
        check_contract(next(iter(contracts.values())), get_suite("tabletop"))
    except ValueError:
        return f"robovlms serve {folder}"
    return f"robovlms eval {folder} --output DIR"


def choose_defaults(options: argparse.Namespace) -> dict[str, Any]:
    """Defaults for a scratch backbone, or those of a checkpoint to go on from; none of their own for a published one."""
    if options.init_from is not None:
        from robovlms.training.checkpoints import contract_defaults

        return contract_defaults(options.init_from)
    return SCRATCH_DEFAULTS if options.backbone == SCRATCH else {}
