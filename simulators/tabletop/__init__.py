"""The embedded simulator: a language-conditioned tabletop on MuJoCo, for the CPU and without assets.

The Gymnasium environment is "robovlms/Tabletop-v0".
"""

from ..common.collection import Noise
from ..common.demonstrations import Demonstration
from ..common.gl import NoOpenGLError, choose_backend
from .chains import CHAIN_LENGTH, sample_chain, scene_layout
from .demonstrations import collect, collect_chain, collect_episode
from .environment import TabletopEnv
from .expert import Expert, expert_action
from .interface import ACTION_NAMES, ACTION_UNITS, CAMERAS, CONTROL_FREQUENCY, STATE_NAMES, STATE_UNITS
from .settings import SETTINGS
from .tasks import BASE_TASKS, GROUNDING_NAMES, SKILLS, TASK_TABLE, TASKS, Task, get_task, task_of_instruction
from .translation import TranslationOnly, translation_env

__all__ = [
    "ACTION_NAMES",
    "ACTION_UNITS",
    "BASE_TASKS",
    "CAMERAS",
    "CHAIN_LENGTH",
    "CONTROL_FREQUENCY",
    "GROUNDING_NAMES",
    "SETTINGS",
    "SKILLS",
    "STATE_NAMES",
    "STATE_UNITS",
    "TASKS",
    "TASK_TABLE",
    "Demonstration",
    "Expert",
    "NoOpenGLError",
    "Noise",
    "TabletopEnv",
    "Task",
    "TranslationOnly",
    "choose_backend",
    "collect",
    "collect_chain",
    "collect_episode",
    "expert_action",
    "get_task",
    "sample_chain",
    "scene_layout",
    "task_of_instruction",
    "translation_env",
]
