"""The Gymnasium environment."""

from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces

from ..common.environment import InstructedEnv, check_sizes, image_space, read_options
from ..common.gl import choose_backend
from .interface import ACTION_NAMES, CAMERAS, CONTROL_FREQUENCY, STATE_HIGH, STATE_LOW
from .settings import check_setting, sample_layout, sentences
from .tasks import TASKS, SceneState, Task, get_task, grounding, is_done, is_feasible, task_of_instruction


class TabletopEnv(InstructedEnv):
    """A gripper over a table with three blocks, two plates, a drawer and a light, told by a sentence what to do.

    Everything is in every scene, so that only the instruction says what to do.

    Action, float32 (7,) in [-1, 1], each for 1/20 s: `delta_x, delta_y, delta_z` (times 2 cm), `delta_roll, delta_pitch, delta_yaw`
    (times 0.2 rad), `gripper` (above 0 opens, otherwise closes), in the table frame, from the gripper's present pose.
    The action space saturates: values outside [-1, 1] act as the nearest bound.

    Observation: `{"images": {"static", "gripper"}: uint8 (size, size, 3), "state": float32 (7,)}`, the state being the
    gripper's x, y, z (m), roll, pitch, yaw (rad) and opening (m).

    `info` of `reset` and `step` holds `task` and `instruction` (str), `setting` (str), `success` (bool), `feasible`
    (bool, whether the task could be begun) and `grounding` (float32 (6,), see `tasks.grounding`).

    An episode terminates with reward 1 on success and is truncated after `max_steps`.

    Args:
        image_size: width and height of the observed images.
        tasks: names of the tasks that `reset` draws from, all by default.
        setting: one of `SETTINGS`; `reset(options={"setting": ...})` overrides it for one episode.
        max_steps: steps after which an episode, or a subtask begun with `set_task`, is truncated.
        render_mode: "rgb_array" or None.
        render_size: width and height of the images of `render()`.

    Raises:
        ValueError: unknown task, setting or render mode, or a size below 1.
        NoOpenGLError: no OpenGL backend works.
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": CONTROL_FREQUENCY}  # noqa: RUF012 (Gymnasium's name and form)

    def __init__(
        self,
        image_size: int = 64,
        tasks: tuple[str, ...] | list[str] | None = None,
        setting: str = "seen",
        max_steps: int = 80,
        render_mode: str | None = None,
        render_size: int = 256,
    ):
        super().__init__(render_mode)
        check_sizes(image_size=image_size, render_size=render_size, max_steps=max_steps)
        self.tasks = TASKS if tasks is None else tuple(get_task(name).name for name in tasks)
        if not self.tasks:
            raise ValueError("tasks must name at least one task, got none")
        check_setting(setting)
        self.setting = setting
        self.image_size = image_size
        self.render_size = render_size
        self.max_steps = max_steps
        self.observation_space = spaces.Dict(
            image_space(dict.fromkeys(CAMERAS, (image_size, image_size)))
            | {"state": spaces.Box(STATE_LOW, STATE_HIGH, dtype=np.float32)}
        )
        self.action_space = spaces.Box(-1.0, 1.0, (len(ACTION_NAMES),), np.float32)

        choose_backend()
        from .simulation import Simulation  # MuJoCo reads the choice when it is first imported

        self._simulation = Simulation(max(image_size, render_size))
        self.task: Task = get_task(self.tasks[0])
        self.instruction = self.task.instruction
        self.episode_setting: str | None = None
        self._start = self.scene_state
        self._feasible = False

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[dict, dict]:
        """Begin an episode in a new scene; the same seed and options give the same episode, bit for bit.

        Args:
            seed: seed of the scene, and of the task and sentence where `options` don't name them.
            options: `task` (name) and `instruction` (sentence; alone, it must be a known one), `setting`.

        Raises:
            ValueError: unknown option, task, setting, or sentence given without a task.
        """
        super().reset(seed=seed)
        given = read_options(options, "task", "instruction", "setting")
        task, instruction, setting = given["task"], given["instruction"], given["setting"] or self.setting
        check_setting(setting)
        if task is not None:
            get_task(task)
        elif instruction is not None:
            task = task_of_instruction(instruction)
        self._simulation.arrange(sample_layout(self.np_random, setting))
        self.episode_setting = setting
        number, fraction = self.np_random.random(2)
        if task is None:
            task = self.tasks[int(number * len(self.tasks))]
        if instruction is None:
            known = sentences(get_task(task), setting)
            instruction = known[int(fraction * len(known))]
        info = self.set_task(task, instruction)
        return self.observe(), info

    def set_task(self, task: str, instruction: str | None = None) -> dict[str, Any]:
        """Give another task in the running scene: success, steps and start count from now. Returns `info`.

        Args:
            task: name of the task.
            instruction: sentence to show; the task's canonical one by default.

        Raises:
            ValueError: unknown task.
            RuntimeError: no scene is running (`reset` was never called).
        """
        if self.episode_setting is None:
            raise RuntimeError("call reset() before set_task()")
        self.task = get_task(task)
        self.instruction = self.task.instruction if instruction is None else str(instruction)
        self._start = self.scene_state
        self._begin()
        self._feasible = is_feasible(self.task, self._start)
        return self._info(False)

    def _act(self, action: np.ndarray) -> bool:
        self._simulation.apply(np.clip(action, -1.0, 1.0))
        return is_done(self.task, self.scene_state, self._start)

    def observe(self) -> dict[str, Any]:
        """Return the present observation without stepping (for the first action after `set_task`)."""
        state = self.scene_state
        return {
            "images": {camera: self._simulation.image(camera, self.image_size) for camera in CAMERAS},
            "state": np.array([*state.gripper, *state.rotation, state.opening], dtype=np.float32),
        }

    def render(self) -> np.ndarray | None:
        """Return the static camera's view, uint8 (render_size, render_size, 3), or None without a render mode."""
        if self.render_mode is None:
            return None
        return self._simulation.image("static", self.render_size)

    def close(self) -> None:
        """Free the renderer."""
        self._simulation.close()

    @property
    def scene_state(self) -> SceneState:
        """What is where now (copies)."""
        return self._simulation.state

    def _info(self, success: bool) -> dict[str, Any]:
        return {
            "task": self.task.name,
            "instruction": self.instruction,
            "setting": self.episode_setting,
            "success": success,
            "feasible": self._feasible,
            "grounding": grounding(self.task, self.scene_state, self._start),
        }


def unwrap(env: gymnasium.Env) -> TabletopEnv:
    """Return the tabletop inside of wrappers.

    Raises:
        TypeError: it is another environment.
    """
    if not isinstance(env.unwrapped, TabletopEnv):
        raise TypeError(f"env must be a tabletop environment, got {type(env.unwrapped).__name__}")
    return env.unwrapped
