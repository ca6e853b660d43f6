"""`transformers.TrainingArguments` as `robovlms train` takes them."""

from dataclasses import dataclass, field

import torch
from transformers import TrainingArguments

from .arguments import (
    SCRATCH_DEFAULTS,
    FreezingArguments,
    LoRAArguments,
    RolloutArguments,
    TrainingDefaults,
    VLAArguments,
)


@dataclass
class VLATrainingArguments(TrainingDefaults, TrainingArguments):
    """`TrainingArguments` with defaults for a published backbone."""

    use_cpu: bool = field(default=not torch.cuda.is_available(), metadata={"help": "True where there is no GPU."})


@dataclass
class ScratchTrainingArguments(VLATrainingArguments):
    """`TrainingArguments` with the defaults of the quickstart: a small model from random weights."""

    learning_rate: float = SCRATCH_DEFAULTS["learning_rate"]
    max_steps: int = SCRATCH_DEFAULTS["max_steps"]
    per_device_train_batch_size: int = SCRATCH_DEFAULTS["per_device_train_batch_size"]
    adam_beta2: float = SCRATCH_DEFAULTS["adam_beta2"]


GROUPS = (VLAArguments, VLATrainingArguments, FreezingArguments, LoRAArguments, RolloutArguments)
"""All that `robovlms train` takes."""
