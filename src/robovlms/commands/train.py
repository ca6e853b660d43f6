"""`robovlms train`: a VLA on LeRobot, RLDS or CALVIN datasets.

Options are flags or keys of `--config FILE.yaml`; every one of `transformers.TrainingArguments` is among them. An
interrupted run is continued by the same command.
"""

from collections.abc import Sequence

from robovlms.training.arguments import (
    FreezingArguments,
    LoRAArguments,
    RolloutArguments,
    TrainingDefaults,
    VLAArguments,
)
from robovlms.training.command_line import build_parser, parse_arguments

OWN_GROUPS = (VLAArguments, TrainingDefaults, FreezingArguments, LoRAArguments, RolloutArguments)
HELP = "every flag of transformers.TrainingArguments is taken, too: --help_all lists them"


def run(prog: str, arguments: Sequence[str]) -> None:
    if {"-h", "--help"} & set(arguments):  # TrainingArguments would take five seconds to import
        parser = build_parser(OWN_GROUPS, prog, __doc__)
        parser.epilog = HELP
        parser.print_help()
        return
    from robovlms.training import train
    from robovlms.training.scratch_arguments import GROUPS

    if "--help_all" in arguments:
        build_parser(GROUPS, prog, __doc__).print_help()
        return
    folder = train(*parse_arguments(GROUPS, arguments, prog, __doc__))
    print(f"{folder}: model, processor and report; evaluate with `robovlms eval {folder} --output DIR`")
