"""The Gymnasium environment."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from gymnasium import spaces

from ..common.environment import InstructedEnv, check_choice, check_sizes, image_space, read_options
from ..common.gl import choose_backend
from .benchmarks import benchmark_tasks
from .interface import ACTION_NAMES, CAMERAS, CONTROL_FREQUENCY, STATE_NAMES
from .settings import SETTINGS, paraphrase


class LiberoEnv(InstructedEnv):
    """LIBERO (Liu et al. 2023, arXiv:2306.03310) and LIBERO-PRO (Zhou et al. 2025, arXiv:2510.03827).

    Action, float32 (7,) in [-1, 1], 20 per second: the hand's displacement (1 is 5 cm), its rotation vector (1 is
    0.5 rad), both in the robot's base, and the gripper (below 0 opens, above 0 closes it).

    Observation: `{"images": {camera: uint8 (size, size, 3)}, "state": float32 (8,)}`, see `STATE_NAMES`. With
    `privileged=True` also `"privileged": {thing: position (3,)}`.

    `info` holds `task`, `instruction`, `setting` (str), `initial_state` (int) and `success` (bool). An episode terminates
    with success; nothing else ends it. It begins after ten actions without motion. Values outside of [-1, 1] act as the
    nearest bound.

    Args:
        benchmark: one of `BENCHMARKS`.
        cameras: those that observations show, of "agentview" and "wrist".
        image_size: width and height of the observed images. Published policies were trained on 256 and resize.
        images: "published" turns pictures by 180 degrees, as published policies see them: upright, but mirrored, since
            the simulator hands them out bottom row first. "upright" only puts the rows in order.
        render: "default" or "tuned": without shadows, reflections and multisampling, faster in software OpenGL and
            another picture.
        privileged: whether observations say where things are.
        render_mode: "rgb_array" or None.
        render_size: width and height of the images of `render()`.

    Raises:
        ValueError: unknown benchmark, camera, rendering or images.
        ImportError: the package isn't installed.
        NoOpenGLError: no OpenGL backend works.
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": CONTROL_FREQUENCY}  # noqa: RUF012 (Gymnasium's name and form)

    def __init__(
        self,
        benchmark: str = "libero_spatial",
        cameras: Sequence[str] = ("agentview", "wrist"),
        image_size: int = 256,
        images: str = "published",
        render: str = "default",
        privileged: bool = False,
        render_mode: str | None = None,
        render_size: int = 256,
    ):
        super().__init__(render_mode)
        for camera in cameras:
            check_choice("cameras", camera, tuple(CAMERAS))
        check_sizes(image_size=image_size, render_size=render_size)
        check_choice("images", images, ("published", "upright"))
        check_choice("render", render, ("default", "tuned"))
        choose_backend()
        self.tasks = benchmark_tasks(benchmark)
        self.cameras, self.image_size, self.images, self.rendering = tuple(cameras), image_size, images, render
        self.privileged, self.render_size = privileged, render_size
        seen = image_space(dict.fromkeys(cameras, (image_size, image_size)))
        seen["state"] = spaces.Box(-np.inf, np.inf, (len(STATE_NAMES),), np.float32)
        self.observation_space = spaces.Dict(seen)
        self.action_space = spaces.Box(-1.0, 1.0, (len(ACTION_NAMES),), np.float32)
        self._built: Any = None
        self.task: str | None = None

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[dict, dict]:
        """Begin an episode; the same options give the same one, bit for bit.

        Args:
            seed: of what `options` leave open, and of the looks of a setting.
            options: `task` (name), `instruction` (sentence), `initial_state` (its number), `setting`.

        Raises:
            ValueError: unknown option, task or setting, or a number that the task has no initial state for.
        """
        super().reset(seed=seed)
        given = read_options(options, "task", "instruction", "initial_state", "setting")
        drawn = self.np_random.integers(2**31, size=3)
        task = given["task"] or list(self.tasks)[drawn[0] % len(self.tasks)]
        self.task = check_choice("task", task, tuple(self.tasks))
        self.setting = check_choice("setting", given["setting"] or "seen", SETTINGS)
        sentence = self.tasks[task].sentence
        known = paraphrase(sentence) if self.setting == "unseen_paraphrases" else sentence
        self.instruction = str(given["instruction"] or known)
        simulation = self._simulation
        count = len(simulation.states)
        wanted = given["initial_state"]
        self.initial_state = int(drawn[1] % count if wanted is None else wanted)
        if not 0 <= self.initial_state < count:
            raise ValueError(f"initial_state: {task!r} has {count}, got {self.initial_state}")
        simulation.reset(self.initial_state, self.setting, int(drawn[2]))
        self._begin()
        return self.observe(), self._info(False)

    def _act(self, action: np.ndarray) -> bool:
        return self._simulation.step(np.clip(action, -1.0, 1.0))

    def observe(self) -> dict[str, Any]:
        """Return the present observation, without stepping."""
        seen: dict[str, Any] = {"state": self._simulation.state()}
        if self.cameras:
            seen["images"] = {camera: self._simulation.image(camera, self.image_size) for camera in self.cameras}
        if self.privileged:
            seen["privileged"] = self._simulation.positions()
        return seen

    def render(self) -> np.ndarray | None:
        """Return the outer camera's view, uint8 (render_size, render_size, 3)."""
        if self.render_mode is None or self.task is None:
            return None
        return self._simulation.image("agentview", self.render_size)

    def close(self) -> None:
        """Free the scene and its renderer."""
        if self._built is not None:
            self._built.close()
            self._built = None

    @property
    def _simulation(self) -> Any:
        """The present task's, built when first asked for. One at a time: a scene takes 5 s to build and 2 GB."""
        if self._built is None or self._built.task.name != self.task:
            from .simulation import Simulation  # MuJoCo reads the choice of a backend when it is first imported

            self.close()
            self._built = Simulation(self.tasks[str(self.task)], self.rendering, self.images)
        return self._built

    def _info(self, success: bool) -> dict[str, Any]:
        return {
            "task": self.task,
            "instruction": self.instruction,
            "setting": self.setting,
            "initial_state": self.initial_state,
            "success": success,
        }
