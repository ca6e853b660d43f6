"""Runs that are stopped from outside, or that stop themselves before they save what is worth nothing."""

import signal
import threading
from types import FrameType, TracebackType
from typing import Any

import torch

from .callbacks import ForwardWatcher, summed


class TrainingStopped(RuntimeError):
    """The run was told to end (SIGTERM) and has written a checkpoint."""


class StopSafely(ForwardWatcher):
    """On SIGTERM, a checkpoint at the end of the step and no further step, in all processes at once; on a loss or weights
    that are not finite an error, before they are saved.

    Transformers' own `enable_jit_checkpoint` lets every process save when its own signal comes, in the middle of a step.

    `with StopSafely(...) as stop:` around `trainer.train()`, with `stop` among its callbacks; afterwards `stop.stopped`
    says whether it was told to.
    """

    def __init__(self) -> None:
        self.stopped = False
        self._signalled = False
        self._broken: Any = False
        self._before: Any = None

    def __enter__(self) -> "StopSafely":
        if threading.current_thread() is threading.main_thread():  # elsewhere Python takes no signals
            self._before = signal.signal(signal.SIGTERM, self._note)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._before is not None:
            signal.signal(signal.SIGTERM, self._before)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self._signalled = True

    def watch(self, inputs: dict[str, Any], output: Any) -> None:
        if (loss := output.get("loss")) is not None:
            self._broken = self._broken | ~torch.isfinite(loss.detach()).all()

    def values(self, args: Any) -> dict[str, float]:
        return {}

    def on_step_end(self, args: Any, state: Any, control: Any, model: Any = None, **kwargs: Any) -> None:
        signalled, broken = _in_any_process(args, self._signalled, self._broken)
        if broken:
            raise FloatingPointError(f"The loss of step {state.global_step} is not a finite number.")
        if signalled and not control.should_training_stop:
            self.stopped = control.should_save = control.should_training_stop = True
        if control.should_save or control.should_training_stop:
            (broken,) = _in_any_process(args, not _all_finite(model))
            if broken:
                raise FloatingPointError(f"Weights are not finite numbers after step {state.global_step}.")

    def on_epoch_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if self.stopped:  # the epoch is not at its end, and the checkpoint is written
            control.should_save = control.should_evaluate = False


def _in_any_process(args: Any, *noted: Any) -> list[bool]:
    """Whether any process noted it, of several things; every process must ask."""
    counts = torch.stack([torch.as_tensor(one, dtype=torch.float32).to(args.device) for one in noted])
    return [count > 0 for count in summed(counts).tolist()]


def _all_finite(model: torch.nn.Module) -> bool:
    trained = [parameter.detach() for parameter in model.parameters() if parameter.requires_grad]
    return all(bool(torch.isfinite(getattr(one, "to_local", lambda one=one: one)()).all()) for one in trained)
