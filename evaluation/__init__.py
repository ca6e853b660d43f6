"""Evaluation: simulators, the rollout engine, evaluation records and pictures."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from .environments import EnvironmentFailure, EnvironmentPool
from .evaluation import evaluate
from .intervals import wilson_interval
from .record import ChainScores, EvaluationRecord, Score, TaskScores
from .rollout import Episode, EpisodeResult, RandomPolicy, rollout
from .suite import Suite
from .suites import get_suite, register_suite, suite_names

if TYPE_CHECKING:
    from .comparison import compare
    from .pictures import contact_sheet, plot_controls, plot_losses, plot_success, rollout_gif, rollout_video
    from .report import write_report

# Loaded on first use: the processes of environments import this package too and need no matplotlib and no statistics.
_LATE = dict.fromkeys(
    ("contact_sheet", "plot_controls", "plot_losses", "plot_success", "rollout_gif", "rollout_video"), "pictures"
) | {"compare": "comparison", "write_report": "report"}
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
    "compare",
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
    "suite_names",
    "wilson_interval",
    "write_report",
]


def __getattr__(name: str) -> Any:
    if name not in _LATE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_LATE[name]}", __name__), name)
