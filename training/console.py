"""What a run says in the terminal: one line per log."""

import resource
import sys
import time
from typing import Any

import torch
from tqdm import tqdm
from transformers.trainer_callback import ProgressCallback

from .callbacks import LOSSES, MEANS

GIB = 2**30


class ConsoleLine(ProgressCallback):
    """In place of the Trainer's own printing: step, loss and its parts, rate, gradient, speed, memory and time left.

    Errors of single dimensions are for the report and the trackers.
    """

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self._first, self._start = state.global_step, time.monotonic()
        self.current_step = state.global_step
        if state.is_world_process_zero and not args.disable_tqdm:
            self.training_bar = tqdm(total=state.max_steps, initial=state.global_step, dynamic_ncols=True)

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if self.training_bar is not None:
            self.training_bar.update(state.global_step - self.current_step)
        self.current_step = state.global_step

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, Any] | None = None, **kwargs: Any) -> None:
        if not state.is_world_process_zero or not logs or not (told := describe_log(logs)):
            return
        done = state.global_step - self._first
        if "loss" in logs and done:
            left = (time.monotonic() - self._start) / done * (state.max_steps - state.global_step)
            told += [f"{memory_gib():.1f} GiB", f"{describe_seconds(left)} left"]
        line = " · ".join([f"step {state.global_step}/{state.max_steps}", *told])
        tqdm.write(line) if self.training_bar is not None else print(line, flush=True)

    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if self.training_bar is not None:
            super().on_train_end(args, state, control, **kwargs)


def describe_log(logs: dict[str, Any]) -> list[str]:
    """Return the parts of a line about one of the Trainer's logs; none for what only a report or tracker wants."""
    told = []
    if "loss" in logs:
        parts = [
            f"{name.removesuffix('_loss').replace('_', ' ')} {logs[name]:.4g}"
            for name in (*LOSSES, *MEANS)
            if name in logs
        ]
        told.append(f"loss {logs['loss']:.4g}" + (f" ({', '.join(parts)})" if parts else ""))
    if "eval_loss" in logs:
        told.append(f"held-out loss {logs['eval_loss']:.4g}")
    if "learning_rate" in logs:
        told.append(f"rate {logs['learning_rate']:.2g}")
    if "grad_norm" in logs:
        told.append(f"gradient {logs['grad_norm']:.3g}")
    if "frames_per_second" in logs:
        told.append(f"{logs['frames_per_second']:.4g} frames/s")
    if "rollout/success_rate" in logs:
        low, high = logs["rollout/low"], logs["rollout/high"]
        rate, count = logs["rollout/success_rate"], logs["rollout/episodes"]
        told.append(f"success {rate:.1%} [{low:.1%}, {high:.1%}] of {count:.0f} episodes")
    if "train_runtime" in logs:
        told.append(f"trained in {describe_seconds(logs['train_runtime'])}")
    return told


def describe_seconds(seconds: float) -> str:
    """Return a time as people say it."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"


def memory_gib() -> float:
    """Return the most that was in use: of the GPU where there is one, else of this process."""
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated() / GIB
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / GIB
