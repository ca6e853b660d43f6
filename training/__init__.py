"""Recipes on `transformers.Trainer`: every piece works with a plain one."""

from typing import TYPE_CHECKING

from ..configuration.lazy_imports import lazy_names

if TYPE_CHECKING:
    from ..modeling_robovlms.adapters import load_adapter, save_adapter
    from .arguments import FreezingArguments, LoRAArguments, RolloutArguments, VLAArguments
    from .block_trainer import BlockTrainer
    from .callbacks import ActionErrors, LossParts, Throughput
    from .checkpoints import last_complete_checkpoint, start_from
    from .command_line import parse_arguments
    from .cotraining import CoTrainingCollator, CoTrainingDataset
    from .datasets import DatasetSpec
    from .freezing import freeze
    from .keep_checkpoints import KeepCheckpoints
    from .lora import four_bit, lora_config
    from .monitoring import monitor
    from .report import RunReport, write_report
    from .rollouts import Rollouts, suite_score
    from .scratch_arguments import ScratchTrainingArguments
    from .scratch_backbone import write_scratch_backbone
    from .stopping import StopSafely, TrainingStopped
    from .training_run import train
    from .vla_trainer import VLATrainer

__all__ = [
    "ActionErrors",
    "BlockTrainer",
    "CoTrainingCollator",
    "CoTrainingDataset",
    "DatasetSpec",
    "FreezingArguments",
    "KeepCheckpoints",
    "LoRAArguments",
    "LossParts",
    "RolloutArguments",
    "Rollouts",
    "RunReport",
    "ScratchTrainingArguments",
    "StopSafely",
    "Throughput",
    "TrainingStopped",
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

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "..modeling_robovlms.adapters": ("load_adapter", "save_adapter"),
        ".arguments": ("FreezingArguments", "LoRAArguments", "RolloutArguments", "VLAArguments"),
        ".block_trainer": ("BlockTrainer",),
        ".callbacks": ("ActionErrors", "LossParts", "Throughput"),
        ".checkpoints": ("last_complete_checkpoint", "start_from"),
        ".command_line": ("parse_arguments",),
        ".cotraining": ("CoTrainingCollator", "CoTrainingDataset"),
        ".datasets": ("DatasetSpec",),
        ".freezing": ("freeze",),
        ".keep_checkpoints": ("KeepCheckpoints",),
        ".lora": ("four_bit", "lora_config"),
        ".monitoring": ("monitor",),
        ".report": ("RunReport", "write_report"),
        ".rollouts": ("Rollouts", "suite_score"),
        ".scratch_arguments": ("ScratchTrainingArguments",),
        ".scratch_backbone": ("write_scratch_backbone",),
        ".stopping": ("StopSafely", "TrainingStopped"),
        ".training_run": ("train",),
        ".vla_trainer": ("VLATrainer",),
    },
)
