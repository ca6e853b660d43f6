"""A Trainer whose checkpoints and pushes can be published."""

import json
import signal
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import CommitInfo
from torch.utils.data import DataLoader, IterableDataset
from transformers import TrainingArguments
from transformers.trainer_utils import HubStrategy

from ..hub_cards import write_model_card
from .block_trainer import BlockTrainer
from .precision import warn_of_rounding

# What a reader wants to know of the arguments: nothing of the machine, and no token.
RECIPE = (
    "learning_rate",
    "lr_scheduler_type",
    "warmup_steps",
    "weight_decay",
    "optim",
    "max_grad_norm",
    "gradient_accumulation_steps",
    "per_device_train_batch_size",
    "bf16",
    "fp16",
    "seed",
)


def output_folder(training: TrainingArguments) -> Path:
    """Where a run writes; transformers has chosen a folder where none was named."""
    assert training.output_dir is not None
    return Path(training.output_dir)


def first_instruction(dataset: Any) -> str | None:
    """Read the instruction of the first sample, where samples can be asked for and have one."""
    if dataset is None or isinstance(dataset, IterableDataset):
        return None
    sample = dataset[0]
    return sample["instruction"] if isinstance(sample, Mapping) and "instruction" in sample else None


class VLATrainer(BlockTrainer):
    """`transformers.Trainer` with `push_to_hub=True` as a VLA needs it: model, processor with its contract, code, card,
    training recipe and curves in one commit per push, and nothing of this machine. Draws samples in blocks, as its base does.

    Pass the processor as `processing_class`. `training_args.bin`, which holds local paths and, if one was passed, the
    access token, is not written; `training_recipe.json` has what readers need of it.

    Example:
        arguments = TrainingArguments("outputs/my_vla", learning_rate=2e-5, max_steps=10_000, bf16=True)
        collator = VLACollator(processor)
        trainer = VLATrainer(vla, arguments, collator, dataset, processing_class=processor)
        trainer.train()
        trainer.save_model()  # model and processor; push_to_hub() publishes them with their card
    """

    def get_train_dataloader(self) -> DataLoader:
        loader = super().get_train_dataloader()
        if loader.num_workers:  # a scheduler's SIGTERM goes to them too, and the step must come to its end
            own = getattr(loader, "base_dataloader", loader)  # accelerate's wrapper starts those of the one inside
            own.worker_init_fn = _WithoutSigterm(own.worker_init_fn)
        return loader

    def _run_epoch(self, *args: Any, **kwargs: Any) -> None:
        if self.state.global_step >= self.state.max_steps:  # the Trainer would train a step before it looks
            self.control.should_training_stop = True
        else:
            super()._run_epoch(*args, **kwargs)

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        if "train_loss" in logs and self.state.global_step == self._initial_global_step:
            return  # nothing was trained: its zero would be the last loss on record
        super().log(logs, start_time)

    def _save(self, output_dir: str | None = None, state_dict: dict[str, Any] | None = None) -> None:
        super()._save(output_dir, state_dict)
        if self.args.should_save:
            folder = output_folder(self.args) if output_dir is None else Path(output_dir)
            (folder / "training_args.bin").unlink(missing_ok=True)
            if not (folder / "config.json").exists():  # an adapter's files say nothing of the VLA
                self.accelerator.unwrap_model(self.model).config.save_pretrained(folder)
                write_model_card(folder)  # PEFT leaves an empty one

    def create_optimizer(self, model: Any = None) -> torch.optim.Optimizer:
        """Do what transformers does, and warn of weights whose precision is too low to learn."""
        optimizer = super().create_optimizer(model)
        warn_of_rounding(optimizer, self.args.learning_rate)
        return optimizer

    def write_recipe(self, folder: str | Path) -> None:
        """Write `trainer_state.json` and `training_recipe.json`, of which a card tells."""
        values = self.args.to_dict()
        recipe = {name: values[name] for name in RECIPE} | {"processes": self.args.world_size}
        if (instruction := first_instruction(self.train_dataset)) is not None:
            recipe["instruction"] = instruction
        (Path(folder) / "training_recipe.json").write_text(json.dumps(recipe, indent=2) + "\n")
        self.state.save_to_json(str(Path(folder) / "trainer_state.json"))

    def publish(
        self,
        folder: str | Path,
        commit_message: str | None = None,
        token: str | None = None,
        revision: str | None = None,
        **metadata: Any,
    ) -> CommitInfo:
        """Push what a reader needs of `folder` to the run's repository; `metadata` (`license`, `datasets`) goes into the
        card."""
        from robovlms.publishing.push import push  # the package's face: above this folder

        if self.hub_model_id is None:
            raise ValueError("hub_model_id is not known: train with push_to_hub=True, or call push_to_hub.")
        self.write_recipe(folder)
        return push(
            folder,
            self.hub_model_id,
            private=self.args.hub_private_repo,
            token=token or self.args.hub_token,
            revision=revision or self.args.hub_revision,
            commit_message=commit_message,
            **metadata,
        )

    def push_to_hub(
        self,
        commit_message: str | None = "End of training",
        blocking: bool = True,
        token: str | None = None,
        revision: str | None = None,
        private: bool | None = None,
        license: str | None = None,
        dataset: list[str] | None = None,
        **kwargs: Any,
    ) -> CommitInfo | None:
        """Publish the present model; always waits until that is done. `license` and `dataset` go into the card, other
        options of the plain Trainer's card have no use here."""
        if self.hub_model_id is None:
            self.init_hf_repo(token=token, private=private)
        self.save_model(_internal_call=True)
        if not self.is_world_process_zero():
            return None
        folder = output_folder(self.args)
        return self.publish(folder, commit_message, token, revision, license=license, datasets=dataset)

    def _push_from_checkpoint(self, checkpoint_folder: str) -> None:
        if self.is_world_process_zero() and self.args.hub_strategy != HubStrategy.END:
            self.publish(checkpoint_folder, f"Training in progress, step {self.state.global_step}")


class _WithoutSigterm:
    """A data loader worker's start that leaves SIGTERM to the process that trains, which ends its workers itself."""

    def __init__(self, start: Callable[[int], None] | None):
        self.start = start

    def __call__(self, worker: int) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        if self.start is not None:
            self.start(worker)
