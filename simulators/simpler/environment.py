"""The Gymnasium environment."""

from typing import Any, Literal

import numpy as np
from gymnasium import spaces
from PIL import Image
from scipy.spatial.transform import Rotation

from ..common.environment import InstructedEnv, check_array, check_choice, check_sizes, image_space, read_options
from .assets import Table, check_assets
from .tasks import ACTION_NAMES, CAMERA, HEIGHT, STARTS, STATE_NAMES, TASKS, WIDTH, get_task

Termination = Literal["truncate", "accumulate"]

BRIDGE_ROTATION = np.array([[0.0, 0, 1], [0, 1, 0], [-1, 0, 0]])
"""Rotation of the gripper, in the robot's base frame, that BridgeData calls zero: pointing down."""
OPENS_ABOVE = 0.5
"""Actions of the gripper above this open it: right for 1 and 0, and for 1 and -1."""
FINGER_RANGE = (0.015, 0.037)


class SimplerWidowXEnv(InstructedEnv):
    """SimplerEnv's WidowX tasks (Li et al. 2024, arXiv:2405.05941) in ManiSkill 3's version, one robot on the CPU.

    Action, (7,), 5 per second: `delta_x, delta_y, delta_z` (m) and `delta_roll, delta_pitch, delta_yaw` (rad), in the robot's
    base frame, and `gripper` (above 0.5 opens, otherwise closes). They add to the target pose, not to the measured one. The
    rotation is given as BridgeData has it, in Euler angles about fixed axes, x first. It isn't clipped.

    Observation: `{"images": {"static": uint8 (height, width, 3)}, "state": float32 (7,)}`, the state being position (m) and
    Euler angles (rad, relative to pointing down) of the gripper in the robot's base frame, and how far it is open (0 to 1).

    `info` holds `task`, `instruction`, `success` and ManiSkill's own judgements as plain numbers, with `placed` for what it
    calls success: whether the task is done in this moment.

    Args:
        height, width: of the images. Others than 480 and 640 are made from them by averaging areas, stretched.
        termination: "truncate" runs to the step limit and looks at the last step, as SimplerEnv's own loop does;
            "accumulate" counts success at any step, and so ends at the first one.
        table: "published", or "flat_box": a box in the place of the scene's mesh, for three of the tasks.
        photograph: whether the real picture is put behind the robot and the objects ("visual matching").
        render_mode: "rgb_array" or None.

    Raises:
        ValueError: an unknown termination, or a size below 1.
        ImportError: ManiSkill isn't installed.
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": 5}  # noqa: RUF012 (Gymnasium's name and form)

    def __init__(
        self,
        height: int = HEIGHT,
        width: int = WIDTH,
        termination: Termination = "truncate",
        table: Table = "published",
        photograph: bool = True,
        render_mode: str | None = None,
    ):
        super().__init__(render_mode)
        check_choice("termination", termination, ("truncate", "accumulate"))
        check_sizes(height=height, width=width)
        self.height, self.width = height, width
        self.table: Table = table
        self.termination, self.photograph = termination, photograph
        state = spaces.Box(-np.inf, np.inf, (len(STATE_NAMES),), np.float32)
        self.observation_space = spaces.Dict({**image_space({CAMERA: (height, width)}), "state": state})
        low, high = np.array([-0.05] * 3 + [-0.25] * 3 + [0]), np.array([0.05] * 3 + [0.25] * 3 + [1])
        self.action_space = spaces.Box(low.astype(np.float32), high.astype(np.float32))
        self._scenes: dict[str, Any] = {}  # built when first asked for: each takes seconds
        self._picture = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
        self._judged: dict[str, Any] = {}
        self.task = self.instruction = ""

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[dict, dict]:
        """Begin an episode.

        Args:
            seed: of the start, where `options` don't say it.
            options: `task` (name), `instruction` (sentence; the published one by default) and `start` (0 to 23: number
                of the published start).

        Raises:
            ValueError: unknown option, task or start.
            MissingAssetsError: the task's models are not there.
        """
        super().reset(seed=seed)
        given = read_options(options, "task", "instruction", "start")
        task, instruction, start = given["task"] or next(iter(TASKS)), given["instruction"], given["start"]
        known = get_task(task)
        start = int(self.np_random.integers(STARTS)) if start is None else start
        if start not in range(STARTS):
            raise ValueError(f"start must be 0 to {STARTS - 1}, got {start}")
        self.task, self.instruction = task, known.instruction if instruction is None else str(instruction)
        self.max_steps = known.max_steps
        seen, _ = self._scene.reset(seed=start, options={"episode_id": start})
        self._take(seen, {})
        self._begin()
        return self.observe(), self._info(False)

    def _act(self, action: np.ndarray) -> bool:
        seen, _, _, _, info = self._scene.step(robot_action(action)[None])
        self._take(seen, info)
        return self._judged["success"] and (self._steps == self.max_steps or self.termination == "accumulate")

    def _take(self, seen: dict[str, Any], info: dict[str, Any]) -> None:
        """Note what ManiSkill returned: the picture, and its judgements as plain numbers."""
        self._picture = seen["sensor_data"]["3rd_view_camera"]["rgb"][0].numpy().astype(np.uint8)
        self._judged = {name: value[0].item() for name, value in info.items()}

    def render(self) -> np.ndarray | None:
        """Return the camera's last picture, uint8 (480, 640, 3), or None without a render mode."""
        return self._picture if self.render_mode is not None else None

    def close(self) -> None:
        """Free all scenes."""
        for scene in self._scenes.values():
            scene.close()
        self._scenes.clear()

    @property
    def _scene(self) -> Any:
        if self.task not in self._scenes:
            check_assets([self.task], self.table)
            try:
                from .scene import make_scene
            except ImportError as error:
                raise ImportError(
                    "SimplerEnv's WidowX tasks run on ManiSkill 3: pip install 'robovlms[simpler]'"
                ) from error
            self._scenes[self.task] = make_scene(TASKS[self.task], self.table, self.photograph)
        return self._scenes[self.task]

    def observe(self) -> dict[str, Any]:
        image = self._picture
        if (self.height, self.width) != image.shape[:2]:
            image = np.asarray(Image.fromarray(image).resize((self.width, self.height), Image.Resampling.BOX))
        return {"images": {CAMERA: image}, "state": self._state()}

    def _state(self) -> np.ndarray:
        robot = self._scene.agent.robot
        pose = (robot.pose.inv() * robot.links_map["ee_gripper_link"].pose).raw_pose[0].numpy()
        rotation = Rotation.from_quat(pose[[4, 5, 6, 3]]).as_matrix() @ BRIDGE_ROTATION.T
        closed, opened = FINGER_RANGE
        opening = np.clip((robot.qpos[0, -2:].mean().item() - closed) / (opened - closed), 0, 1)
        return np.array([*pose[:3], *Rotation.from_matrix(rotation).as_euler("xyz"), opening], dtype=np.float32)

    def _info(self, success: bool) -> dict[str, Any]:
        judged = dict(self._judged)
        judged["placed"] = judged.pop("success", False)
        return judged | {"task": self.task, "instruction": self.instruction, "success": success}


def robot_action(action: np.ndarray) -> np.ndarray:
    """Return an action (7,) as ManiSkill's controller takes it, float32 (7,).

    The controller multiplies rotations about x, y and z in another order, so the angles change; the rotation doesn't.

    Raises:
        ValueError: the action's shape is not (7,) or it isn't finite.
    """
    action = check_array("action", action, (len(ACTION_NAMES),))
    angles = Rotation.from_euler("xyz", action[3:6]).as_euler("XYZ")
    return np.array([*action[:3], *angles, 1.0 if action[6] > OPENS_ABOVE else -1.0], dtype=np.float32)
