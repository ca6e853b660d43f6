"""The Gymnasium environment."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from gymnasium import spaces

from ..common.environment import InstructedEnv, check_array, check_choice, check_sizes, image_space, read_options
from .appearance import sample_appearance
from .assets import find_assets
from .cameras import RENDERERS
from .interface import ACTION_NAMES, CAMERAS, CONTROL_FREQUENCY, ROBOT_OBS_NAMES, SCENE_OBS_SIZE, STATE_HIGH, STATE_LOW
from .scenes import get_scene
from .settings import check_setting, sentences
from .simulation import Simulation
from .snapshot import Snapshot
from .tasks import DETECTORS, check_task, detect


class CalvinEnv(InstructedEnv):
    """CALVIN (Mees et al. 2022, arXiv:2112.03227): a Panda before a table with doors, lights and three blocks.

    Its trajectories equal those of mees/calvin_env, bit for bit with PyBullet 3.2.7.

    Action, (7,), 30 per second: `x, y, z` (times 2 cm), `euler_x, euler_y, euler_z` (times 0.05 rad) and `gripper`
    (above 0 opens, otherwise closes), in the world frame. They add to a target pose, which starts at the measured pose at
    each reset and runs ahead of an arm that is blocked. Values outside [-1, 1] are not clipped. With
    `actions="absolute"`, the first six are the pose itself, in m and rad.

    Observation: `{"images": {"static": uint8 (200, 200, 3), "gripper": uint8 (84, 84, 3)}, "state": float32 (15,)}`,
    the state being `interface.ROBOT_OBS_NAMES`.

    `info` of `reset` and `step` holds `robot_obs` (float64 (15,)), `scene_obs` (float64 (24,)), `tasks` (names of the
    detectors that fire between the reset and now), `task` and `instruction` (of the task that was asked for, or None),
    `success` (whether that task was done since it was asked for) and `setting`.

    An episode terminates with reward 1 when the task that was asked for is done; without one it never ends.

    Args:
        scene: "A", "B", "C", "D", or "D_eval" (D with fixed starts of the blocks).
        assets: a checkout of calvin_env, or its `data` folder; the environment variable CALVIN_ASSETS by default.
        actions: "relative" or "absolute".
        cameras: those that observations show; drawing is most of a step's cost, so an empty list runs 30 times as fast.
        renderer: "tiny" (software, the same pixels on every machine) or "egl" (PyBullet's plugin, for GPUs; what the
            published scores were made with).
        fresh_resets: build the simulation anew at each reset (0.1 s), so that an episode doesn't depend on those before
            it. False keeps what the original keeps: contacts of the last step, whether the button was pressed, and the
            gripper's last action. A reset to another appearance builds anew in any case.
        max_steps: steps after which an episode, or a task begun with `set_task`, is truncated; never by default.
        render_mode: "rgb_array" or None.
        render_size: width and height of the images of `render()`.

    Raises:
        ValueError: unknown scene, kind of actions, camera, renderer or render mode, or a size below 1.
        MissingAssetsError: the assets are not there; the message says how to get them.
        ImportError: PyBullet isn't installed.
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": CONTROL_FREQUENCY}  # noqa: RUF012 (Gymnasium's name and form)

    def __init__(
        self,
        scene: str = "D",
        assets: str | Path | None = None,
        actions: Literal["relative", "absolute"] = "relative",
        cameras: Sequence[str] = tuple(CAMERAS),
        renderer: Literal["tiny", "egl"] = "tiny",
        fresh_resets: bool = True,
        max_steps: int | None = None,
        render_mode: str | None = None,
        render_size: int = 200,
    ):
        super().__init__(render_mode)
        check_choice("actions", actions, ("relative", "absolute"))
        check_choice("renderer", renderer, RENDERERS)
        for camera in cameras:
            check_choice("cameras", camera, tuple(CAMERAS))
        check_sizes(max_steps=max_steps, render_size=render_size)
        self.scene = get_scene(scene)
        self.assets = find_assets(assets, self.scene)
        self.absolute = actions == "absolute"
        self.fresh_resets = fresh_resets
        self.max_steps = max_steps
        self.render_size = render_size
        self.cameras = {name: CAMERAS[name] for name in cameras}
        images = image_space({name: (size, size) for name, size in self.cameras.items()})
        state = spaces.Box(STATE_LOW, STATE_HIGH, dtype=np.float32)
        self.observation_space = spaces.Dict({**images, "state": state})
        bound = np.inf if self.absolute else 1.0
        self.action_space = spaces.Box(-bound, bound, (len(ACTION_NAMES),), np.float32)

        self._simulation = Simulation(self.scene, self.assets, renderer)
        self._fresh = True
        self._first = self._simulation.snapshot()  # at the reset
        self._start = self._now = self._first  # when the present task was asked for; after the last action
        self.setting = "seen"
        self.task: str | None = None
        self.instruction: str | None = None

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[dict, dict]:
        """Begin an episode.

        Args:
            seed: seed of the blocks' places, where `scene_obs` doesn't say them.
            options: `robot_obs` (15,) and `scene_obs` (24,), as in `info`: where everything is put (of the first, only
                the arm's joints and the gripper's width count); `task`, and `instruction` for it; `setting`, one of
                `settings.SETTINGS`, whose appearance is drawn by the seed.

        Raises:
            ValueError: unknown option, task or setting, or an observation of a wrong shape or with values that aren't finite.
        """
        super().reset(seed=seed)
        given = read_options(options, "robot_obs", "scene_obs", "task", "instruction", "setting")
        robot_obs, scene_obs = given["robot_obs"], given["scene_obs"]
        if robot_obs is not None:
            robot_obs = check_array("robot_obs", robot_obs, (len(ROBOT_OBS_NAMES),))
        if scene_obs is not None:
            scene_obs = check_array("scene_obs", scene_obs, (SCENE_OBS_SIZE,))
        setting = check_setting(given["setting"] or "seen")
        if given["task"] is not None:
            check_task(given["task"])
        self.setting = setting
        appearance = sample_appearance(self.np_random.spawn(1)[0], setting)
        if appearance != self._simulation.appearance:
            self._simulation = self._simulation.looking_like(appearance)
        elif self.fresh_resets and not self._fresh:
            self._simulation.load()
        self._fresh = False
        if scene_obs is None:
            self._simulation.put_at_random(self.np_random, robot_obs)
        else:
            self._simulation.put(scene_obs, robot_obs)
        self._first = self._simulation.snapshot()
        self._ask(given["task"], given["instruction"])
        return self.observe(), self._info(False)

    def set_task(self, task: str, instruction: str | None = None) -> dict[str, Any]:
        """Ask for another task in the scene as it stands: success and steps count from now. Returns `info`.

        Args:
            task: name of the task.
            instruction: sentence for it; the setting's first by default, which is CALVIN's own where the words are not
                what is unseen.

        Raises:
            ValueError: unknown task.
            RuntimeError: `reset` was never called.
        """
        check_task(task)
        if self._fresh:
            raise RuntimeError("call reset() before set_task()")
        self._ask(task, instruction)
        return self._info(False)

    def _act(self, action: np.ndarray) -> bool:
        self._simulation.apply(action, self.absolute)
        self._now = self._simulation.snapshot()
        return self.task is not None and DETECTORS[self.task](self._start, self._now)

    def observe(self) -> dict[str, Any]:
        """Return the present observation, without stepping."""
        state = self._simulation.robot.observation.astype(np.float32)
        images = {name: self._simulation.cameras.image(name, size) for name, size in self.cameras.items()}
        return {"images": images, "state": state} if images else {"state": state}

    def snapshot(self) -> Snapshot:
        """Return what the task detectors see now; `tasks.detect` compares two of them."""
        return self._simulation.snapshot()

    def image(self, camera: str) -> np.ndarray:
        """Return what a camera sees now, at its published size, whether observations show it or not."""
        return self._simulation.cameras.image(camera, CAMERAS[camera])

    def render(self) -> np.ndarray | None:
        """Return the static camera's view, uint8 (render_size, render_size, 3), or None without a render mode."""
        if self.render_mode is None:
            return None
        return self._simulation.cameras.image("static", self.render_size)

    def close(self) -> None:
        """End the physics server."""
        self._simulation.close()

    def _ask(self, task: str | None, instruction: str | None) -> None:
        self.task = task
        self.instruction = instruction if instruction is not None or task is None else sentences(task, self.setting)[0]
        self._start = self._now = self._simulation.snapshot()
        self._begin()

    def _info(self, success: bool) -> dict[str, Any]:
        return {
            "robot_obs": self._simulation.robot.observation,
            "scene_obs": self._simulation.scene_obs,
            "tasks": detect(self._first, self._now),
            "task": self.task,
            "instruction": self.instruction,
            "success": success,
            "setting": self.setting,
        }
