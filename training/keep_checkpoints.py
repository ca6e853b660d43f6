"""Checkpoints that no interruption can lose."""

import shutil
from typing import Any

from transformers import TrainerCallback
from transformers.trainer_callback import ExportableState

from .checkpoints import complete_checkpoints


class KeepCheckpoints(TrainerCallback, ExportableState):
    """Notes in `trainer_state.json` what run it is and how many processes write, so that a checkpoint that was cut off is
    known as such, and applies `save_total_limit` to complete checkpoints alone.

    The Trainer counts every folder, and deletes the old ones before other processes have written theirs: killed at the
    wrong moment, it leaves none that can be loaded.

    Args:
        run: what identifies the run, as plain JSON types.
    """

    def __init__(self, run: dict[str, Any] | None = None):
        self.run = run or {}
        self._limit: int | None = None

    def state(self) -> dict[str, Any]:
        return {"args": {"run": self.run}, "attributes": {}}

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.run |= {"processes": args.world_size, "save_only_model": args.save_only_model}
        # The state of a resumed run is that of before, with its intervals of logging and saving.
        state.compute_steps(args, state.max_steps)
        state.stateful_callbacks[type(self).__name__] = self.state()
        self._limit, args.save_total_limit = args.save_total_limit, None

    def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        args.distributed_state.wait_for_everyone()  # from here on the new checkpoint is complete
        if not args.should_save or not self._limit or self._limit < 0:
            return
        complete = complete_checkpoints(args.output_dir, args.world_size)
        best = state.best_model_checkpoint
        for checkpoint in complete[: -self._limit]:
            if best is None or checkpoint.name != best.rstrip("/").rpartition("/")[2]:
                (checkpoint / "trainer_state.json").unlink()  # first: half deleted it is not complete
                shutil.rmtree(checkpoint)

    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        args.save_total_limit = self._limit
