"""The Gymnasium environment."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import gymnasium
import numpy as np
from gymnasium import spaces

from .appearance import sample_appearance
from .assets import find_assets
from .cameras import RENDERERS
from .interface import ACTION_NAMES, CAMERAS, CONTROL_FREQUENCY, ROBOT_OBS_NAMES, SCENE_OBS_SIZE, STATE_HIGH, STATE_LOW
from .scenes import get_scene
from .settings import check_setting, sentences
from .simulation import Simulation
from .snapshot import Snapshot
from .tasks import DETECTORS, check_task, detect


class CalvinEnv(gymnasium.Env):
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
        _check_choice("actions", actions, ("relative", "absolute"))
        _check_choice("renderer", renderer, RENDERERS)
        _check_choice("render_mode", render_mode, (None, "rgb_array"))
        for camera in cameras:
            _check_choice("cameras", camera, tuple(CAMERAS))
        for name, value in (("max_steps", max_steps), ("render_size", render_size)):
            if value is not None and value < 1:
                raise ValueError(f"{name} must be at least 1, got {value}")
        self.scene = get_scene(scene)
        self.assets = find_assets(assets, self.scene)
        self.absolute = actions == "absolute"
        self.fresh_resets = fresh_resets
        self.max_steps = max_steps
        self.render_mode = render_mode
        self.render_size = render_size
        self.cameras = {name: CAMERAS[name] for name in cameras}
        images = {name: spaces.Box(0, 255, (size, size, 3), np.uint8) for name, size in self.cameras.items()}
        seen: dict[str, spaces.Space] = {"images": spaces.Dict(images)} if images else {}
        self.observation_space = spaces.Dict({**seen, "state": spaces.Box(STATE_LOW, STATE_HIGH, dtype=np.float32)})
        bound = np.inf if self.absolute else 1.0
        self.action_space = spaces.Box(-bound, bound, (len(ACTION_NAMES),), np.float32)

        self._simulation = Simulation(self.scene, self.assets, renderer)
        self._fresh, self._running = True, False
        self._first = self._simulation.snapshot()  # at the reset
        self._start = self._first  # when the present task was asked for
        self.setting = "seen"
        self.task: str | None = None
        self.instruction: str | None = None
        self._steps = 0

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
        options = dict(options or {})
        robot_obs = _observation("robot_obs", options.pop("robot_obs", None), len(ROBOT_OBS_NAMES))
        scene_obs = _observation("scene_obs", options.pop("scene_obs", None), SCENE_OBS_SIZE)
        task, instruction = options.pop("task", None), options.pop("instruction", None)
        setting = check_setting(options.pop("setting", None) or "seen")
        if options:
            raise ValueError(
                f"unknown reset options {sorted(options)}; known: robot_obs, scene_obs, task, instruction, setting"
            )
        if task is not None:
            check_task(task)
        self.setting = setting
        appearance = sample_appearance(self.np_random.spawn(1)[0], setting)
        if appearance != self._simulation.appearance:
            self._simulation = self._simulation.looking_like(appearance)
        elif self.fresh_resets and not self._fresh:
            self._simulation.load()
        self._fresh, self._running = False, True
        if scene_obs is None:
            self._simulation.put_at_random(self.np_random, robot_obs)
        else:
            self._simulation.put(scene_obs, robot_obs)
        self._first = self._simulation.snapshot()
        self._begin(task, instruction)
        return self.observe(), self._info(self._first, success=False)

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
        self._check_running("set_task")
        self._begin(task, instruction)
        return self._info(self._simulation.snapshot(), success=False)

    def step(self, action: np.ndarray) -> tuple[dict, float, bool, bool, dict]:
        """Execute one action (7,) for 1/30 s.

        Raises:
            ValueError: the action's shape is not (7,) or it isn't finite.
            RuntimeError: `reset` was never called.
        """
        self._check_running("step")
        self._simulation.apply(_checked_action(action), self.absolute)
        self._steps += 1
        now = self._simulation.snapshot()
        success = self.task is not None and DETECTORS[self.task](self._start, now)
        truncated = not success and self.max_steps is not None and self._steps >= self.max_steps
        return self.observe(), float(success), success, truncated, self._info(now, success)

    def observe(self) -> dict[str, Any]:
        """The present observation, without stepping."""
        state = self._simulation.robot.observation.astype(np.float32)
        images = {name: self._simulation.cameras.image(name, size) for name, size in self.cameras.items()}
        return {"images": images, "state": state} if images else {"state": state}

    def snapshot(self) -> Snapshot:
        """What the task detectors see now; `tasks.detect` compares two of them."""
        return self._simulation.snapshot()

    def image(self, camera: str) -> np.ndarray:
        """What a camera sees now, at its published size, whether observations show it or not."""
        return self._simulation.cameras.image(camera, CAMERAS[camera])

    def render(self) -> np.ndarray | None:
        """The static camera's view, uint8 (render_size, render_size, 3), or None without a render mode."""
        if self.render_mode is None:
            return None
        return self._simulation.cameras.image("static", self.render_size)

    def close(self) -> None:
        """End the physics server."""
        self._simulation.close()

    def _begin(self, task: str | None, instruction: str | None) -> None:
        self.task = task
        self.instruction = instruction if instruction is not None or task is None else sentences(task, self.setting)[0]
        self._start = self._simulation.snapshot()
        self._steps = 0

    def _check_running(self, name: str) -> None:
        if not self._running:
            raise RuntimeError(f"call reset() before {name}()")

    def _info(self, now: Snapshot, success: bool) -> dict[str, Any]:
        return {
            "robot_obs": self._simulation.robot.observation,
            "scene_obs": self._simulation.scene_obs,
            "tasks": detect(self._first, now),
            "task": self.task,
            "instruction": self.instruction,
            "success": success,
            "setting": self.setting,
        }


def _check_choice(name: str, value: Any, known: tuple[Any, ...]) -> None:
    if value not in known:
        raise ValueError(f"{name} must be one of {', '.join(map(repr, known))}, got {value!r}")


def _observation(name: str, value: Any, size: int) -> np.ndarray | None:
    if value is None:
        return None
    values = np.asarray(value, dtype=np.float64)
    if values.shape != (size,):
        raise ValueError(f"{name} must have shape ({size},), got {values.shape}")
    if not np.isfinite(values).all():
        raise ValueError(f"{name} must be finite, got {values}")
    return values


def _checked_action(action: np.ndarray) -> np.ndarray:
    action = np.asarray(action, dtype=np.float64)
    if action.shape != (len(ACTION_NAMES),):
        raise ValueError(f"action must have shape ({len(ACTION_NAMES)},), got {action.shape}")
    if not np.isfinite(action).all():
        raise ValueError(f"action must be finite, got {action}")
    return action
