"""`robovlms train`: a VLA on a LeRobot dataset. Takes every flag of `transformers.TrainingArguments` too."""

from collections.abc import Sequence
from pathlib import Path

from transformers import HfArgumentParser

from robovlms.training import ScratchTrainingArguments, VLAArguments, train


def run(prog: str, arguments: Sequence[str]) -> None:
    parser = HfArgumentParser((VLAArguments, ScratchTrainingArguments), prog=prog, description=__doc__)
    vla, training = parser.parse_args_into_dataclasses(args=list(arguments))
    folder = train(vla, training)
    print(f"{Path(folder)}: model and processor; evaluate with `robovlms eval {folder} --output DIR`")
