"""What a plain `Trainer` does not log by itself, over all processes: parts of the loss, action errors, throughput."""

import time
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import torch
from torch import distributed
from transformers import TrainerCallback

LOSSES = ("pose_loss", "gripper_loss", "grounding_loss", "text_loss")
MEANS = ("token_accuracy", "action_l1")


class ForwardWatcher(TrainerCallback):
    """Base: looks at every training forward, and adds `values` to the Trainer's next log of the loss."""

    def on_train_begin(self, args: Any, state: Any, control: Any, model: Any = None, **kwargs: Any) -> None:
        self._hook = model.register_forward_hook(self._after_forward, with_kwargs=True)

    def on_train_end(self, *args: Any, **kwargs: Any) -> None:
        self._hook.remove()

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, Any] | None = None, **kwargs: Any) -> None:
        if logs is None or "loss" not in logs:
            return
        values = self.values(args)
        logs.update(values)
        state.log_history[-1].update(values)

    @torch.no_grad()
    def _after_forward(self, module: torch.nn.Module, args: Any, inputs: dict[str, Any], output: Any) -> None:
        if module.training:
            self.watch(inputs, output)

    def watch(self, inputs: dict[str, Any], output: Any) -> None:
        """One micro-batch's inputs and what the model made of them."""
        raise NotImplementedError

    def values(self, args: Any) -> dict[str, float]:
        """What to log of the micro-batches since the last time."""
        raise NotImplementedError


class LossParts(ForwardWatcher):
    """Adds the parts of a VLA's loss to every log of the Trainer, averaged since the last one.

    The discrete structure has one loss only; it adds the accuracy over action tokens and the L1 error of what they
    decode to.
    """

    def __init__(self):
        self._sums: dict[str, Any] = {}
        self._counts: dict[str, int] = defaultdict(int)

    def watch(self, inputs: dict[str, Any], output: Any) -> None:
        for name in (*LOSSES, *MEANS):
            if (value := output.get(name)) is not None:
                self._sums[name] = self._sums.get(name, 0) + value.detach()
                self._counts[name] += 1

    def values(self, args: Any) -> dict[str, float]:
        values = {}
        for name, total in self._sums.items():
            total, count = summed(
                torch.stack([total.double(), total.new_tensor(self._counts[name]).double()])
            ).tolist()
            # Every micro-batch's loss is already divided by the items of the whole update, of all processes.
            divisor = count / (args.gradient_accumulation_steps * args.world_size) if name in LOSSES else count
            values[name] = total / max(divisor, 1)
        self._sums.clear()
        self._counts.clear()
        return values


class ActionErrors(ForwardWatcher):
    """Adds `action_error/<dimension>`: the mean absolute error of counting actions in normalised units (the range of
    the data is 2); of the discrete structure `token_accuracy/<dimension>`.

    Heads that sample actions (diffusion, flow matching) predict none while they train, and log none.

    Args:
        names: of the action's dimensions; their numbers by default.
    """

    def __init__(self, names: Sequence[str] | None = None):
        self.names = names
        self._sums: dict[str, Any] = {}

    def watch(self, inputs: dict[str, Any], output: Any) -> None:
        if (accuracy := output.get("dimension_accuracy")) is not None:
            self._add("token_accuracy", accuracy.nan_to_num(), ~accuracy.isnan())
        elif output.get("actions") is not None and inputs.get("actions") is not None:
            predicted, wanted = output["actions"].float(), inputs["actions"].float()
            valid = torch.ones_like(wanted[..., 0]) if inputs.get("labels") is None else inputs["labels"] != -100
            own = inputs.get("action_dim_mask")
            valid = valid[..., None].expand(wanted.shape) if own is None else valid[..., None] * own[:, None, None]
            error = (predicted - wanted).abs() * valid
            self._add("action_error", error.flatten(0, -2).sum(dim=0), valid.flatten(0, -2).sum(dim=0))

    def _add(self, name: str, total: torch.Tensor, count: torch.Tensor) -> None:
        entry = torch.stack([total.detach().double(), count.double()])
        self._sums[name] = self._sums.get(name, 0) + entry

    def values(self, args: Any) -> dict[str, float]:
        values = {}
        for name, entry in self._sums.items():
            totals, counts = summed(entry).tolist()
            names = self.names if self.names is not None else range(len(totals))
            per_dimension = zip(names, totals, counts, strict=True)
            values |= {f"{name}/{key}": total / count for key, total, count in per_dimension if count}
        self._sums.clear()
        return values


class Throughput(ForwardWatcher):
    """Adds `frames_per_second`: real observation frames of all processes, by the wall clock without
    the time of evaluations and logs."""

    def on_train_begin(self, *args: Any, **kwargs: Any) -> None:
        super().on_train_begin(*args, **kwargs)
        self._begin()

    def _begin(self) -> None:
        self._frames, self._seconds, self._since = 0, 0.0, time.perf_counter()

    def on_step_end(self, *args: Any, **kwargs: Any) -> None:
        now = time.perf_counter()
        self._seconds, self._since = self._seconds + now - self._since, now

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, Any] | None = None, **kwargs: Any) -> None:
        super().on_log(args, state, control, logs, **kwargs)
        self._since = time.perf_counter()

    def watch(self, inputs: dict[str, Any], output: Any) -> None:
        mask = inputs.get("frame_mask")
        self._frames = self._frames + (len(inputs["input_ids"]) if mask is None else mask.sum())

    def values(self, args: Any) -> dict[str, float]:
        frames = float(summed(torch.as_tensor(self._frames, dtype=torch.float64)))
        rate = frames / max(self._seconds, 1e-9)
        self._begin()
        return {"frames_per_second": rate}


def summed(value: torch.Tensor) -> torch.Tensor:
    """The sum over all processes; every one of them must ask."""
    if distributed.is_available() and distributed.is_initialized():
        distributed.all_reduce(value)
    return value
