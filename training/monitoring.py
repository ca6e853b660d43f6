"""Everything there is to see of a run, added to any Trainer."""

from collections.abc import Sequence

from transformers import Trainer

from .callbacks import ActionErrors, LossParts, Throughput
from .report import RunReport


def monitor(trainer: Trainer, action_names: Sequence[str] | None = None) -> Trainer:
    """Log parts of the loss, action errors by dimension and frames per second, and keep a report page in the output
    folder. `action_names` are those of the action's dimensions (`contract.action.names`).

    In front of the Trainer's own callbacks, so that its reporters (tensorboard, trackio, wandb) get them too.
    """
    trainer.callback_handler.callbacks[:0] = [LossParts(), ActionErrors(action_names), Throughput()]
    trainer.add_callback(RunReport())
    return trainer
