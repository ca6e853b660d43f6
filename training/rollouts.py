"""Success in simulation over the course of training."""

from collections.abc import Callable
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import distributed
from transformers import Trainer, TrainerCallback

from ..evaluation import EvaluationRecord, evaluate
from ..modeling_robovlms.adapters import base_vla
from ..processing.processing_robovlms import RoboVLMProcessor
from ..serving import Policy


class Rollouts(TrainerCallback):
    """Runs episodes every `every` training steps and at the end, and logs `rollout/success_rate` with the ends of its
    95 % interval, `rollout/low` and `rollout/high`.

    Training is the same with and without them: they leave the random states as they found them. Process 0 runs them
    while the others wait.

    Args:
        trainer: where they are logged; its model is the policy.
        score: runs the episodes; see `suite_score`.
        every: training steps.
    """

    def __init__(self, trainer: Trainer, score: Callable[[torch.nn.Module], EvaluationRecord], every: int):
        if every < 1:
            raise ValueError(f"rollouts: every must be at least 1 step, got {every}.")
        self.trainer, self.score, self.every = trainer, score, every

    def on_step_end(self, args: Any, state: Any, control: Any, model: Any = None, **kwargs: Any) -> None:
        if state.global_step % self.every and state.global_step < state.max_steps:
            return
        values: dict[str, float] = {}
        if state.is_world_process_zero:
            with undisturbed(model):
                record = self.score(model)
            low, high = record.interval
            values = {
                "rollout/success_rate": record.success_rate,
                "rollout/low": low,
                "rollout/high": high,
                "rollout/episodes": record.episodes,
            }
        if distributed.is_available() and distributed.is_initialized():
            shared = [values]
            distributed.broadcast_object_list(shared)
            values = shared[0]
        due = control.should_log
        self.trainer.log(values)
        control.should_log = due  # the log of the loss at this step is still to come


def suite_score(
    processor: RoboVLMProcessor, suite: str, embodiment: str | None = None, **options: Any
) -> Callable[[torch.nn.Module], EvaluationRecord]:
    """Scores a model on a suite; `options` are those of `robovlms.evaluation.evaluate`."""

    def score(model: torch.nn.Module) -> EvaluationRecord:
        policy = Policy(base_vla(model), processor, embodiment)
        record, _ = evaluate(policy, suite, controls=False, films=0, progress=False, **options)
        return record

    return score


@contextmanager
def undisturbed(model: torch.nn.Module):
    """Afterwards the model is in the mode in which it was, and random numbers go on as if nothing had happened."""
    training, numpy_state = model.training, np.random.get_state()
    with torch.random.fork_rng():
        yield
    np.random.set_state(numpy_state)
    model.train(training)
