"""Recipes on `transformers.Trainer`: every piece works with a plain one."""

from ..modeling_robovlms.adapters import load_adapter, save_adapter
from .arguments import FreezingArguments, LoRAArguments, RolloutArguments, ScratchTrainingArguments, VLAArguments
from .block_trainer import BlockTrainer
from .callbacks import ActionErrors, LossParts, Throughput
from .checkpoints import last_complete_checkpoint, start_from
from .command_line import parse_arguments
from .cotraining import CoTrainingCollator, CoTrainingDataset
from .datasets import DatasetSpec
from .freezing import freeze
from .lora import four_bit, lora_config
from .monitor import monitor
from .report import RunReport, write_report
from .rollouts import Rollouts, suite_score
from .scratch_backbone import write_scratch_backbone
from .train import train
from .vla_trainer import VLATrainer

__all__ = [
    "ActionErrors",
    "BlockTrainer",
    "CoTrainingCollator",
    "CoTrainingDataset",
    "DatasetSpec",
    "FreezingArguments",
    "LoRAArguments",
    "LossParts",
    "RolloutArguments",
    "Rollouts",
    "RunReport",
    "ScratchTrainingArguments",
    "Throughput",
    "VLAArguments",
    "VLATrainer",
    "four_bit",
    "freeze",
    "last_complete_checkpoint",
    "load_adapter",
    "lora_config",
    "monitor",
    "parse_arguments",
    "save_adapter",
    "start_from",
    "suite_score",
    "train",
    "write_report",
    "write_scratch_backbone",
]
