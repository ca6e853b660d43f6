"""`transformers.TrainingArguments` as `robovlms train` takes them."""

from dataclasses import dataclass, field

import torch
from transformers import TrainingArguments

from .arguments import FreezingArguments, LoRAArguments, RolloutArguments, TrainingDefaults, VLAArguments


@dataclass
class ScratchTrainingArguments(TrainingDefaults, TrainingArguments):
    """`TrainingArguments` with the defaults of the quickstart: a small model from random weights on a CPU.

    To fine-tune a published backbone give at least `--learning_rate 2e-5`.
    """

    use_cpu: bool = field(default=not torch.cuda.is_available(), metadata={"help": "True where there is no GPU."})


GROUPS = (VLAArguments, ScratchTrainingArguments, FreezingArguments, LoRAArguments, RolloutArguments)
"""All that `robovlms train` takes."""
