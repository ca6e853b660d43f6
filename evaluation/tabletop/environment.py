"""The Gymnasium environment."""

from typing import Any

import gymnasium
import mujoco
import numpy as np
from gymnasium import spaces

from .interface import (
    ACTION_NAMES,
    CAMERAS,
    CONTROL_FREQUENCY,
    POSITION_SCALE,
    ROTATION_LIMIT,
    ROTATION_SCALE,
    STATE_NAMES,
    WORKSPACE,
)
from .rendering import CameraRenderer
from .scene import (
    BLOCK_COLORS,
    BLOCK_HALF,
    BUTTON_TRAVEL,
    BUTTONS,
    CABINET_POSITION,
    DISTRACTORS,
    FINGER_TRAVEL,
    HANDLE_HEIGHT,
    HANDLE_REACH,
    LAMP_POSITION,
    LIGHT_COLORS,
    PARKED,
    PLATE_COLORS,
    scene_xml,
)
from .settings import SETTINGS, Layout, sample_layout
from .tasks import TASKS, SceneState, Task, get_task, grounding, is_done, is_feasible, task_of_instruction

PRESSED = 0.6 * BUTTON_TRAVEL
HAND_JOINTS = ("hand_x", "hand_y", "hand_z", "hand_roll", "hand_pitch", "hand_yaw")


class TabletopEnv(gymnasium.Env):
    """A gripper over a table with three blocks, two plates, a drawer and a light, told by a sentence what to do.

    Everything is in every scene, so that only the instruction says what to do.

    Action, float32 (7,) in [-1, 1]: `delta_x, delta_y, delta_z` (times 2 cm), `delta_roll, delta_pitch, delta_yaw`
    (times 0.2 rad), `gripper` (above 0 opens, otherwise closes), in the table frame, from the gripper's present pose,
    20 per second. The action space saturates: values outside [-1, 1] act as the nearest bound.

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
        NoOpenGLError: no OpenGL backend works (raised at the first image).
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
        for name, value in (("image_size", image_size), ("render_size", render_size), ("max_steps", max_steps)):
            if value < 1:
                raise ValueError(f"{name} must be at least 1, got {value}")
        if render_mode not in (None, "rgb_array"):
            raise ValueError(f"render_mode must be 'rgb_array' or None, got {render_mode!r}")
        self.tasks = TASKS if tasks is None else tuple(get_task(name).name for name in tasks)
        if not self.tasks:
            raise ValueError("tasks must name at least one task, got none")
        self.setting = _check_setting(setting)
        self.image_size = image_size
        self.render_size = render_size
        self.max_steps = max_steps
        self.render_mode = render_mode
        image = spaces.Box(0, 255, (image_size, image_size, 3), np.uint8)
        self.observation_space = spaces.Dict(
            {
                "images": spaces.Dict({camera: image for camera in CAMERAS}),
                "state": spaces.Box(-np.inf, np.inf, (len(STATE_NAMES),), np.float32),
            }
        )
        self.action_space = spaces.Box(-1.0, 1.0, (len(ACTION_NAMES),), np.float32)

        self._model = mujoco.MjModel.from_xml_string(scene_xml(max(image_size, render_size)))
        self._data = mujoco.MjData(self._model)
        self._substeps = round(1 / (CONTROL_FREQUENCY * self._model.opt.timestep))
        self._seen_colors = self._model.geom_rgba.copy()
        self._renderer: CameraRenderer | None = None
        self._index_model()

        self.task: Task = get_task(self.tasks[0])
        self.instruction = self.task.instruction
        self._start: SceneState | None = None
        self._over = True

    def _index_model(self) -> None:
        joint = {name: self._model.joint(name) for name in (*HAND_JOINTS, "right_finger", "left_finger", "drawer")}
        self._hand_qpos = np.array([joint[name].qposadr[0] for name in HAND_JOINTS])
        self._finger_qpos = np.array([joint[f"{side}_finger"].qposadr[0] for side in ("right", "left")])
        self._drawer_qpos = joint["drawer"].qposadr[0]
        self._block_qpos = {color: self._model.joint(f"{color}_block").qposadr[0] for color in BLOCK_COLORS}
        self._button_qpos = {name: self._model.joint(f"{name}_button").qposadr[0] for name in BUTTONS}
        self._body = {
            name: self._model.body(name).id
            for name in (
                "cabinet",
                "lamp",
                *(f"{color}_block" for color in BLOCK_COLORS),
                *(f"{name}_button" for name in BUTTONS),
                "drawer",
            )
        }
        self._mocap = {
            name: self._model.body(name).mocapid[0]
            for name in (*(f"{c}_plate" for c in PLATE_COLORS), *(f"{d}_distractor" for d in DISTRACTORS))
        }
        self._geom = {name: self._model.geom(name).id for name in ("table", "floor", "cabinet", "bulb")}
        self._checker = self._model.material("checker").id

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[dict, dict]:
        """Begin an episode in a new scene; the same seed and options give the same episode, bit for bit.

        Args:
            seed: seed of the scene, and of the task and sentence where `options` don't name them.
            options: `task` (name) and `instruction` (sentence; alone, it must be a known one), `setting`.

        Raises:
            ValueError: unknown option, task, setting, or sentence given without a task.
        """
        super().reset(seed=seed)
        options = dict(options or {})
        task, instruction = options.pop("task", None), options.pop("instruction", None)
        setting = _check_setting(options.pop("setting", None) or self.setting)
        if options:
            raise ValueError(f"unknown reset options {sorted(options)}; known: task, instruction, setting")
        self.episode_setting = setting
        self._arrange(sample_layout(self.np_random, setting))
        drawn = self.tasks[self.np_random.integers(len(self.tasks))]
        sentence = self.np_random.random()
        if task is None:
            task = task_of_instruction(instruction) if instruction is not None else drawn
        if instruction is None:
            chosen = get_task(task)
            known = chosen.held_out_paraphrases if setting == "unseen_paraphrases" else chosen.paraphrases
            instruction = known[int(sentence * len(known))]
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
        if not hasattr(self, "episode_setting"):
            raise RuntimeError("call reset() before set_task()")
        self.task = get_task(task)
        self.instruction = self.task.instruction if instruction is None else str(instruction)
        self._start = self.scene_state
        self._steps = 0
        self._over = False
        self._feasible = is_feasible(self.task, self._start)
        return self._info(False)

    def step(self, action: np.ndarray) -> tuple[dict, float, bool, bool, dict]:
        """Execute one action (7,) for 1/20 s.

        Raises:
            ValueError: the action's shape is not (7,) or it isn't finite.
            RuntimeError: the episode is over, or none has begun.
        """
        if self._over:
            raise RuntimeError("the episode is over (or none has begun); call reset() or set_task() before step()")
        self._control(self._checked(action))
        success = is_done(self.task, self.scene_state, self._start)
        self._steps += 1
        truncated = not success and self._steps >= self.max_steps
        self._over = success or truncated
        return self.observe(), float(success), success, truncated, self._info(success)

    def render(self) -> np.ndarray | None:
        """Return the static camera's view, uint8 (render_size, render_size, 3), or None without a render mode."""
        if self.render_mode is None:
            return None
        return self._image("static", self.render_size)

    def close(self) -> None:
        """Free the renderer."""
        if self._renderer is not None:
            self._renderer.close()

    @property
    def scene_state(self) -> SceneState:
        """What is where now (copies)."""
        position, qpos = self._data.xpos, self._data.qpos
        top = np.array([0.0, -HANDLE_REACH, HANDLE_HEIGHT])
        return SceneState(
            gripper=qpos[self._hand_qpos[:3]].copy(),
            rotation=qpos[self._hand_qpos[3:]].copy(),
            opening=float(qpos[self._finger_qpos].sum()),
            blocks={color: position[self._body[f"{color}_block"]].copy() for color in BLOCK_COLORS},
            plates={color: self._data.mocap_pos[self._mocap[f"{color}_plate"]].copy() for color in PLATE_COLORS},
            drawer=float(qpos[self._drawer_qpos]),
            handle=position[self._body["drawer"]] + top,
            buttons={name: position[self._body[f"{name}_button"]].copy() for name in BUTTONS},
            light=self._light,
        )

    def _checked(self, action: np.ndarray) -> np.ndarray:
        action = np.asarray(action, dtype=np.float64)
        if action.shape != self.action_space.shape:
            raise ValueError(f"action must have shape {self.action_space.shape}, got {action.shape}")
        if not np.isfinite(action).all():
            raise ValueError(f"action must be finite, got {action}")
        return np.clip(action, -1.0, 1.0)

    def _control(self, action: np.ndarray) -> None:
        data = self._data
        pose = data.qpos[self._hand_qpos]
        pose[:3] = np.clip(pose[:3] + POSITION_SCALE * action[:3], *WORKSPACE.T)
        pose[3:] = np.clip(pose[3:] + ROTATION_SCALE * action[3:6], *ROTATION_LIMIT.T)
        data.ctrl[:6] = pose
        data.ctrl[6:] = FINGER_TRAVEL if action[6] > 0 else 0.0
        mujoco.mj_step(self._model, data, self._substeps)
        mujoco.mj_kinematics(self._model, data)
        for name, address in self._button_qpos.items():
            if data.qpos[address] > PRESSED:
                self._switch_light(name)

    def _switch_light(self, light: str) -> None:
        self._light = light
        self._model.geom_rgba[self._geom["bulb"]] = LIGHT_COLORS[light]

    def _arrange(self, layout: Layout) -> None:
        model, data = self._model, self._data
        mujoco.mj_resetData(model, data)
        model.geom_rgba[:] = self._seen_colors
        model.geom_matid[self._geom["table"]] = self._checker if layout.table is None else -1
        for name, color in (("table", layout.table), ("floor", layout.floor), ("cabinet", layout.cabinet)):
            if isinstance(color, tuple):
                model.geom_rgba[self._geom[name]] = color
            elif name == "table" and color is None:
                model.geom_rgba[self._geom[name]] = 1.0
        model.body_pos[self._body["cabinet"]] = _shifted(CABINET_POSITION, layout.cabinet_shift)
        model.body_pos[self._body["lamp"]] = _shifted(LAMP_POSITION, layout.lamp_shift)
        for color, (x, y, yaw) in layout.blocks.items():
            address = self._block_qpos[color]
            data.qpos[address : address + 7] = [x, y, BLOCK_HALF, np.cos(yaw / 2), 0, 0, np.sin(yaw / 2)]
        data.mocap_pos[:] = PARKED
        for color, (x, y, _) in layout.plates.items():
            data.mocap_pos[self._mocap[f"{color}_plate"]] = [x, y, 0]
        for name, (x, y, _) in layout.distractors.items():
            data.mocap_pos[self._mocap[f"{name}_distractor"]] = [x, y, 0.035]
        data.qpos[self._drawer_qpos] = layout.drawer
        data.qpos[self._hand_qpos[:3]] = layout.gripper
        data.qpos[self._finger_qpos] = FINGER_TRAVEL
        data.ctrl[:6] = data.qpos[self._hand_qpos]
        data.ctrl[6:] = FINGER_TRAVEL
        self._switch_light("dim")
        mujoco.mj_forward(model, data)

    def _image(self, camera: str, size: int) -> np.ndarray:
        if self._renderer is None:
            self._renderer = CameraRenderer(self._model, CAMERAS)
        return self._renderer.render(self._data, camera, size)

    def observe(self) -> dict[str, Any]:
        """Return the present observation without stepping (for the first action after `set_task`)."""
        mujoco.mj_camlight(self._model, self._data)
        state = self.scene_state
        return {
            "images": {camera: self._image(camera, self.image_size) for camera in CAMERAS},
            "state": np.array([*state.gripper, *state.rotation, state.opening], dtype=np.float32),
        }

    def _info(self, success: bool) -> dict[str, Any]:
        return {
            "task": self.task.name,
            "instruction": self.instruction,
            "setting": self.episode_setting,
            "success": success,
            "feasible": self._feasible,
            "grounding": grounding(self.task, self.scene_state, self._start),
        }


def _shifted(position: tuple[float, float, float], shift: float) -> np.ndarray:
    x, y, z = position
    return np.array([x + shift, y, z])


def _check_setting(setting: str) -> str:
    if setting not in SETTINGS:
        raise ValueError(f"unknown setting {setting!r}; known settings: {', '.join(SETTINGS)}")
    return setting
