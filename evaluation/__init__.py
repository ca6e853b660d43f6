"""Evaluation: the rollout engine, suites by name, evaluation records, comparisons and pictures. No simulator."""

from typing import TYPE_CHECKING

from ..configuration.lazy_imports import lazy_names
from .environments import EnvironmentFailure, EnvironmentPool
from .evaluation import evaluate
from .intervals import wilson_interval
from .record import ChainScores, EvaluationRecord, Score, TaskScores
from .rollout import Episode, EpisodeResult, RandomPolicy, rollout
from .suite import Suite
from .suites import get_suite, register_suite, suite_names

if TYPE_CHECKING:
    from .comparison import compare
    from .filmstrips import contact_sheet, rollout_gif, rollout_video
    from .pictures import plot_controls, plot_losses, plot_success
    from .report import write_report

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

# Pictures and statistics are imported when they are first asked for: a rollout needs neither matplotlib nor scipy.
__getattr__, _ = lazy_names(
    __name__,
    {
        ".comparison": ("compare",),
        ".filmstrips": ("contact_sheet", "rollout_gif", "rollout_video"),
        ".pictures": ("plot_controls", "plot_losses", "plot_success"),
        ".report": ("write_report",),
    },
)
