"""Access to the `metaworld` package, which is an extra."""

import pickle
import warnings
from functools import cache
from types import ModuleType
from typing import Any

import numpy as np


@cache
def load_metaworld() -> ModuleType:
    """Return the package; `choose_backend` must have run, because it imports MuJoCo.

    Raises:
        ImportError: it isn't installed; the message says how to install it.
    """
    try:
        import metaworld
    except ImportError as error:
        raise ImportError(
            f'Meta-World can\'t be imported ({error}); install it with `pip install "robovlms[metaworld]"`'
        ) from error
    # its experts say on every other step that their actions will be clipped
    warnings.filterwarnings("ignore", "Constant\\(s\\) may be too high", module="metaworld")
    return metaworld


def mt10() -> tuple[str, ...]:
    """Return the ten tasks of MT10."""
    return tuple(load_metaworld().env_dict.MT10_V3)


def mt50() -> tuple[str, ...]:
    """Return all fifty tasks."""
    return tuple(load_metaworld().env_dict.ALL_V3_ENVIRONMENTS)


def environment_class(task: str) -> Any:
    """Meta-World's class of a task."""
    return load_metaworld().env_dict.ALL_V3_ENVIRONMENTS[task]


def expert_class(task: str) -> Any:
    """Meta-World's scripted expert of a task."""
    load_metaworld()
    from metaworld.policies import ENV_POLICY_MAP

    return ENV_POLICY_MAP[task]


def task_with(task: str, placement: np.ndarray) -> Any:
    """Return what `set_task` of Meta-World's environments takes: the places of an episode, its goal to be seen."""
    from metaworld.types import Task

    content = {"env_cls": environment_class(task), "rand_vec": placement, "partially_observable": False}
    return Task(env_name=task, data=pickle.dumps(content))
