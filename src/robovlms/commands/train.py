"""`robovlms train`: a VLA on LeRobot or CALVIN datasets.

Options are flags or keys of `--config FILE.yaml`; every one of `transformers.TrainingArguments` is among them. An
interrupted run is continued by the same command.
"""

from collections.abc import Sequence

from robovlms.training import (
    FreezingArguments,
    LoRAArguments,
    RolloutArguments,
    ScratchTrainingArguments,
    VLAArguments,
    parse_arguments,
    train,
)

GROUPS = (VLAArguments, ScratchTrainingArguments, FreezingArguments, LoRAArguments, RolloutArguments)


def run(prog: str, arguments: Sequence[str]) -> None:
    folder = train(*parse_arguments(GROUPS, arguments, prog, __doc__))
    print(f"{folder}: model, processor and report; evaluate with `robovlms eval {folder} --output DIR`")
