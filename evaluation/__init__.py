"""Evaluation: simulators, the rollout engine, evaluation records and pictures."""

from typing import TYPE_CHECKING, Any

from . import calvin, tabletop  # noqa: F401  (they register their Gymnasium environments)
from .environments import EnvironmentFailure, EnvironmentPool
from .intervals import wilson_interval
from .record import ChainScores, EvaluationRecord, Score, TaskScores
from .rollout import Episode, EpisodeResult, RandomPolicy, rollout
from .suite import Suite
from .suites import evaluate, get_suite, register_suite

if TYPE_CHECKING:
    from .pictures import contact_sheet, plot_controls, plot_losses, plot_success, rollout_gif, rollout_video

# Loaded on first use: the processes of environments import this package too and need no matplotlib.
_PICTURES = ("contact_sheet", "plot_controls", "plot_losses", "plot_success", "rollout_gif", "rollout_video")
__all__ = [
    "ChainScores",
    "EnvironmentFailure",
    "EnvironmentPool",
    "Episode",
    "EpisodeResult",
    "EvaluationRecord",
    "RandomPolicy",
    "Score",
    "Suite",
    "TaskScores",
    "contact_sheet",
    "evaluate",
    "get_suite",
    "plot_controls",
    "plot_losses",
    "plot_success",
    "register_suite",
    "rollout",
    "rollout_gif",
    "rollout_video",
    "wilson_interval",
]


def __getattr__(name: str) -> Any:
    if name not in _PICTURES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from . import pictures

    return getattr(pictures, name)
