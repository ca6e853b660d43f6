"""Everything there is to see of a run, added to any Trainer."""

from collections.abc import Mapping, Sequence
from typing import Any

from transformers import Trainer
from transformers.trainer_callback import PrinterCallback, ProgressCallback

from .callbacks import ActionErrors, LossParts, Throughput
from .console import ConsoleLine
from .learning_checks import LearningChecks
from .report import RunReport


def monitor(
    trainer: Trainer, action_names: Sequence[str] | None = None, facts: Mapping[str, Any] | None = None
) -> Trainer:
    """Log parts of the loss, action errors by dimension, frames per second and early warnings; one line per log in the
    terminal, and a report page in the output folder.

    In front of the Trainer's own callbacks, so that its reporters (tensorboard, trackio, wandb) get them too.

    Args:
        action_names: of the action's dimensions (`contract.action.names`).
        facts: what the page lists of the run beside the Trainer's arguments: dataset, backbone, command, ...
    """
    watching = [LossParts(), ActionErrors(action_names), Throughput(), LearningChecks(trainer, action_names)]
    trainer.callback_handler.callbacks[:0] = watching
    for printing in (PrinterCallback, ProgressCallback):
        trainer.remove_callback(printing)
    trainer.add_callback(ConsoleLine())
    trainer.add_callback(RunReport(facts))
    return trainer
