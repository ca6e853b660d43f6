"""The Gymnasium environment."""

from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

import numpy as np
from gymnasium import spaces

from ..common.environment import InstructedEnv, check_choice, check_sizes, image_space, read_options
from ..common.gl import choose_backend
from .instructions import INSTRUCTIONS
from .interface import ACTION_NAMES, CAMERAS, CONTROL_FREQUENCY, MAX_STEPS, PRIVILEGED_SIZE, STATE_NAMES, Rendering
from .package import mt10
from .settings import SETTINGS

TASKS = tuple(INSTRUCTIONS)
"""All fifty tasks."""
KEPT_SIMULATIONS = 5
"""How many tasks' models one environment keeps, 100 MB each; a further one takes a second to build."""


class MetaWorldEnv(InstructedEnv):
    """Meta-World (Yu et al. 2019, arXiv:1910.10897; the `metaworld` package): a Sawyer arm and one of fifty tasks.

    Action, float32 (4,) in [-1, 1], 80 per second: the hand's displacement `x, y, z` (times 1 cm) and `grab_effort`
    (1 closes the gripper, -1 opens it). The action space saturates: values outside [-1, 1] act as the nearest bound.

    Observation: `{"images": {camera: uint8 (size, size, 3)}, "state": float32 (4,)}`, the state being the hand's x, y, z
    (m) and the gripper's opening (0 to 1). With `privileged=True` also `"privileged": {"task": index in `TASKS`,
    "state": float64 (39,)}`, Meta-World's own observation with the goal, for its scripted experts.

    `info` of `reset` and `step` holds `task`, `instruction` and `setting` (str), `success` (bool) and `placement`
    (float64, where the task's things were put); that of `step` also `dense_reward`, Meta-World's own.

    An episode terminates with reward 1 on success and is truncated after `max_steps`.

    Args:
        tasks: names of the tasks that `reset` draws from; MT10's by default.
        cameras: those that observations show, of `interface.CAMERAS`. All images are upright.
        image_size: width and height of the observed images.
        render: "default" draws as Meta-World does; "tuned" leaves out shadows, reflections and multisampling, which in
            software OpenGL is ten times as fast and another picture.
        privileged: whether observations say what the scripted experts need.
        setting: one of `SETTINGS`; `reset(options={"setting": ...})` overrides it for one episode.
        max_steps: steps after which an episode is truncated, at most Meta-World's 500.
        render_mode: "rgb_array" or None.
        render_size: width and height of the images of `render()`.

    Raises:
        ValueError: unknown task, camera, setting, kind of rendering or render mode, or a size out of range.
        ImportError: the `metaworld` package isn't installed.
        NoOpenGLError: no OpenGL backend works.
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": CONTROL_FREQUENCY}  # noqa: RUF012 (Gymnasium's name and form)

    def __init__(
        self,
        tasks: Sequence[str] | None = None,
        cameras: Sequence[str] = ("corner2",),
        image_size: int = 128,
        render: Rendering = "default",
        privileged: bool = False,
        setting: str = "seen",
        max_steps: int = MAX_STEPS,
        render_mode: str | None = None,
        render_size: int = 256,
    ):
        super().__init__(render_mode)
        check_sizes(image_size=image_size, render_size=render_size, max_steps=max_steps)
        if max_steps > MAX_STEPS:
            raise ValueError(f"max_steps must be at most Meta-World's {MAX_STEPS}, got {max_steps}")
        check_choice("render", render, ("default", "tuned"))
        for camera in cameras:
            check_choice("cameras", camera, tuple(CAMERAS))
        choose_backend()
        self.tasks = mt10() if tasks is None else tuple(tasks)
        if not self.tasks:
            raise ValueError("tasks must name at least one task, got none")
        for task in self.tasks:
            check_choice("tasks", task, TASKS)
        self.setting = check_choice("setting", setting, SETTINGS)
        self.cameras, self.image_size = tuple(cameras), image_size
        self.rendering: Rendering = render
        self.privileged, self.max_steps = privileged, max_steps
        self.render_size = render_size
        seen = image_space(dict.fromkeys(cameras, (image_size, image_size)))
        seen["state"] = spaces.Box(-np.inf, np.inf, (len(STATE_NAMES),), np.float32)
        if privileged:
            state = spaces.Box(-np.inf, np.inf, (PRIVILEGED_SIZE,), np.float64)
            seen["privileged"] = spaces.Dict({"task": spaces.Discrete(len(TASKS)), "state": state})
        self.observation_space = spaces.Dict(seen)
        self.action_space = spaces.Box(-1.0, 1.0, (len(ACTION_NAMES),), np.float32)

        self._simulations: OrderedDict[str, Any] = OrderedDict()
        self.task: str | None = None
        self.instruction: str | None = None
        self.episode_setting = self.setting

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[dict, dict]:
        """Begin an episode; the same seed and options give the same one, bit for bit.

        Args:
            seed: seed of where things are, and of the task and sentence where `options` don't name them.
            options: `task` (name), `instruction` (sentence), `setting`.

        Raises:
            ValueError: unknown option, task or setting, or a sentence without a task.
        """
        super().reset(seed=seed)
        given = read_options(options, "task", "instruction", "setting")
        task, instruction = given["task"], given["instruction"]
        setting = check_choice("setting", given["setting"] or self.setting, SETTINGS)
        if task is None and instruction is not None:
            raise ValueError(f"instruction {instruction!r} was given without a task; give the option 'task' too")
        if task is not None:
            check_choice("task", task, TASKS)
        number, fraction = self.np_random.random(2)
        places = int(self.np_random.integers(2**63))
        self.task = task = self.tasks[int(number * len(self.tasks))] if task is None else str(task)
        if instruction is None:
            sentences = INSTRUCTIONS[task]
            known = sentences.held_out if setting == "unseen_paraphrases" else sentences.seen
            instruction = known[int(fraction * len(known))]
        self.instruction, self.episode_setting = str(instruction), setting
        self._observed = self._simulation.reset(places, setting)
        self._rewards: dict[str, float] = {}
        self._begin()
        return self.observe(), self._info(False)

    def _act(self, action: np.ndarray) -> bool:
        self._observed, dense_reward, success = self._simulation.step(np.clip(action, -1.0, 1.0))
        self._rewards = {"dense_reward": dense_reward}
        return success

    def observe(self) -> dict[str, Any]:
        """Return the present observation, without stepping."""
        seen: dict[str, Any] = {"state": self._observed[: len(STATE_NAMES)].astype(np.float32)}
        if self.cameras:
            seen["images"] = {camera: self._simulation.image(camera, self.image_size) for camera in self.cameras}
        if self.privileged:
            seen["privileged"] = {"task": TASKS.index(str(self.task)), "state": self._observed.copy()}
        return seen

    def render(self) -> np.ndarray | None:
        """Return the first camera's view (that of "corner2" where there is none), uint8 (render_size, render_size,
        3)."""
        if self.render_mode is None or self.task is None:
            return None
        return self._simulation.image(self.cameras[0] if self.cameras else "corner2", self.render_size)

    def close(self) -> None:
        """Free the models and their renderers."""
        while self._simulations:
            self._simulations.popitem()[1].close()

    @property
    def _simulation(self) -> Any:
        """The present task's, built when first asked for."""
        task = str(self.task)
        if task not in self._simulations:
            from .simulation import Simulation  # MuJoCo reads the choice of a backend when it is first imported

            while len(self._simulations) >= KEPT_SIMULATIONS:
                self._simulations.popitem(last=False)[1].close()
            size = max(self.image_size, self.render_size if self.render_mode else 1)
            self._simulations[task] = Simulation(task, self.rendering, size)
        self._simulations.move_to_end(task)
        return self._simulations[task]

    def _info(self, success: bool) -> dict[str, Any]:
        return {
            "task": self.task,
            "instruction": self.instruction,
            "setting": self.episode_setting,
            "success": success,
            "placement": self._simulation.placement,
            **self._rewards,
        }
