"""A Trainer whose checkpoints and pushes can be published."""

import json
from pathlib import Path
from typing import Any

from huggingface_hub import CommitInfo
from transformers import Trainer
from transformers.trainer_utils import HubStrategy

# Beside these, what a recipe is made of differs from the library's defaults, or is of the machine.
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


class VLATrainer(Trainer):
    """`transformers.Trainer` with `push_to_hub=True` as a VLA needs it: model, processor with its contract, code, card,
    training recipe and curves in one commit per push, and nothing of this machine.

    Pass the processor as `processing_class`. `training_args.bin`, which holds local paths and, if one was passed, the
    access token, is not written; `training_recipe.json` has what readers need of it.
    """

    def _save(self, output_dir: str | None = None, state_dict: dict[str, Any] | None = None) -> None:
        super()._save(output_dir, state_dict)
        folder = Path(output_dir if output_dir is not None else self.args.output_dir)
        (folder / "training_args.bin").unlink(missing_ok=True)
        if self.args.should_save:
            values = self.args.to_dict()
            recipe = {name: values[name] for name in RECIPE} | {"processes": self.args.world_size}
            (folder / "training_recipe.json").write_text(json.dumps(recipe, indent=2) + "\n")
            if not (folder / "config.json").exists():  # an adapter's files say nothing of the VLA
                self.accelerator.unwrap_model(self.model).config.save_pretrained(folder)

    def push_to_hub(
        self,
        commit_message: str | None = "End of training",
        blocking: bool = True,
        token: str | None = None,
        revision: str | None = None,
        **kwargs: Any,
    ) -> CommitInfo | None:
        """Publish the present model; always waits until that is done. `license` and `datasets` go into the card."""
        if self.hub_model_id is None:
            self.init_hf_repo(token=token)
        self.save_model(_internal_call=True)
        if self.is_world_process_zero():
            return self._publish(Path(self.args.output_dir), commit_message, token, revision, **kwargs)
        return None

    def _push_from_checkpoint(self, checkpoint_folder: str) -> None:
        if self.is_world_process_zero() and self.args.hub_strategy != HubStrategy.END:
            self._publish(Path(checkpoint_folder), f"Training in progress, step {self.state.global_step}", None, None)

    def _publish(
        self, folder: Path, message: str | None, token: str | None, revision: str | None, **metadata: Any
    ) -> CommitInfo:
        from robovlms.publishing.push import push  # the package's face: above this folder

        self.state.save_to_json(str(folder / "trainer_state.json"))
        return push(
            folder,
            self.hub_model_id,
            private=self.args.hub_private_repo,
            token=token or self.args.hub_token,
            revision=revision or self.args.hub_revision,
            commit_message=message,
            **{name: value for name, value in metadata.items() if name in ("license", "datasets")},
        )
