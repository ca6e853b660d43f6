"""Recipes on `transformers.Trainer`."""

from .callbacks import LossParts
from .scratch_backbone import write_scratch_backbone
from .train import ScratchTrainingArguments, VLAArguments, train

__all__ = ["LossParts", "ScratchTrainingArguments", "VLAArguments", "train", "write_scratch_backbone"]
