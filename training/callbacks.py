"""What a plain `Trainer` does not show by itself."""

from collections import defaultdict
from typing import Any

import torch
from transformers import TrainerCallback

PARTS = ("pose_loss", "gripper_loss", "grounding_loss")


class LossParts(TrainerCallback):
    """Adds the parts of a VLA's loss to every log of the Trainer, averaged since the last one."""

    def __init__(self):
        self._sums: dict[str, torch.Tensor] = {}
        self._counts: dict[str, int] = defaultdict(int)

    def on_train_begin(self, args: Any, state: Any, control: Any, model: Any = None, **kwargs: Any) -> None:
        self._hook = model.register_forward_hook(self._collect)

    def on_train_end(self, *args: Any, **kwargs: Any) -> None:
        self._hook.remove()

    def _collect(self, module: torch.nn.Module, inputs: Any, output: Any) -> None:
        if not module.training:
            return
        for name in PARTS:
            if (value := output.get(name)) is not None:
                self._sums[name] = self._sums.get(name, 0) + value.detach()
                self._counts[name] += 1

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, Any] | None = None, **kwargs: Any) -> None:
        if logs is None or "loss" not in logs:
            return
        # Every micro-batch's part is already divided by the items of the whole update.
        per_update = {name: self._counts[name] / args.gradient_accumulation_steps for name in self._sums}
        parts = {name: float(total) / max(per_update[name], 1) for name, total in self._sums.items()}
        self._sums.clear()
        self._counts.clear()
        logs.update(parts)
        state.log_history[-1].update(parts)
