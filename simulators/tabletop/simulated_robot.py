"""The embedded simulator behind LeRobot's `Robot` interface, to try robot programs without a robot."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from ...evaluation.generalization import GENERALIZATION_SETTINGS
from .environment import TabletopEnv
from .interface import ACTION_NAMES, CAMERAS, STATE_NAMES
from .settings import with_unseen_objects
from .tasks import TASK_TABLE, get_task


class SimulatedRobot:
    """The tabletop's gripper: both cameras and the state in, displacements out.

    It arranges its own scenes and knows when a task is done: `prepare` and `judge` are for `RobotEvaluator`. As with a real
    robot, any thread may speak to it (the simulator draws in one of its own).
    """

    name = "simulated"

    def __init__(self, image_size: int = 64, seed: int = 0):
        self.env = TabletopEnv(image_size=image_size, max_steps=1_000_000)
        self.seed = seed
        self.is_connected = False
        self.is_calibrated = True
        self._observation: dict[str, Any] = {}
        self._done = False
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="simulator")

    @property
    def observation_features(self) -> dict[str, Any]:
        size = self.env.image_size
        return {camera: (size, size, 3) for camera in CAMERAS} | dict.fromkeys(STATE_NAMES, float)

    @property
    def action_features(self) -> dict[str, Any]:
        return dict.fromkeys(ACTION_NAMES, float)

    def connect(self, calibrate: bool = True) -> None:
        self.is_connected = True
        self._reset(next(iter(TASK_TABLE)), "seen", self.seed)

    def calibrate(self) -> None:
        """Nothing to calibrate."""

    def configure(self) -> None:
        """Nothing to configure."""

    def get_observation(self) -> dict[str, Any]:
        self._require_connection()
        state = zip(STATE_NAMES, map(float, self._observation["state"]), strict=True)
        return {**self._observation["images"], **dict(state)}

    def send_action(self, action: dict[str, Any]) -> dict[str, Any]:
        """Moves for 1/20 s, unless the task is done: then the scene stands still."""
        self._require_connection()
        if not self._done:
            values = np.array([action[name] for name in ACTION_NAMES])
            self._observation, _, self._done, _, _ = self._thread.submit(self.env.step, values).result()
        return dict(action)

    def disconnect(self) -> None:
        self.is_connected = False

    def prepare(self, task: str, setting: str, number: int) -> None:
        """Arrange the scene of a rollout."""
        tabletop = GENERALIZATION_SETTINGS[setting].tabletop
        self._reset(task, tabletop, self.seed + 1000 * list(TASK_TABLE).index(task) + number)

    def judge(self) -> bool:
        """Return whether the task is done."""
        return self._done

    def instructions(self, task: str) -> dict[str, str]:
        """Return how a task is asked for in each setting."""
        known = get_task(task)
        said = dict.fromkeys(GENERALIZATION_SETTINGS, known.instruction)
        said["unseen_object"] = with_unseen_objects(known.instruction)
        said["novel_skill_description"] = known.novel_instructions[0]
        return said

    def _reset(self, task: str, setting: str, seed: int) -> None:
        feasible = False
        while not feasible:
            options = {"task": task, "setting": setting}
            self._observation, info = self._thread.submit(self.env.reset, seed=seed, options=options).result()
            feasible, seed = info["feasible"], seed + 100_000_000
        self._done = False

    def _require_connection(self) -> None:
        if not self.is_connected:
            raise ConnectionError("the simulated robot is not connected: call connect() first")
