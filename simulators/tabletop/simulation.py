# pyright: reportAttributeAccessIssue=false
# (MuJoCo's compiled modules have no type stubs)
"""The physics: one MuJoCo model of the scene, put into layouts, moved by actions, read as `SceneState` and rendered.

This module imports MuJoCo; `choose_backend` must run first.
"""

import mujoco
import numpy as np

from ..common.camera_renderer import CameraRenderer
from ..common.textures import TEXTURES, draw_texture
from .interface import CAMERAS, CONTROL_FREQUENCY, POSITION_SCALE, ROTATION_LIMIT, ROTATION_SCALE, WORKSPACE
from .painting import Painter
from .scene import (
    BLOCK_COLORS,
    BLOCK_HALF,
    BUTTON_TRAVEL,
    BUTTONS,
    CABINET_POSITION,
    DISTRACTOR_HALF,
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
from .settings import Layout
from .tasks import SceneState

PRESSED = 0.6 * BUTTON_TRAVEL
HAND_JOINTS = ("hand_x", "hand_y", "hand_z", "hand_roll", "hand_pitch", "hand_yaw")
HANDLE = np.array([0.0, -HANDLE_REACH, HANDLE_HEIGHT])


class Simulation:
    """The scene in motion. `framebuffer` bounds the width and height of images."""

    def __init__(self, framebuffer: int):
        self.model = mujoco.MjModel.from_xml_string(scene_xml(framebuffer))
        for name in TEXTURES:
            pixels = draw_texture(name).ravel()
            start = self.model.tex_adr[self.model.texture(name).id]
            self.model.tex_data[start : start + len(pixels)] = pixels
        self.data = mujoco.MjData(self.model)
        self._substeps = round(1 / (CONTROL_FREQUENCY * self.model.opt.timestep))
        self._painter = Painter(self.model)
        self._renderer: CameraRenderer | None = None
        self._closed = False
        self._light = "dim"

        fingers = ("right_finger", "left_finger")
        self._hand = np.array([self._joint(name) for name in HAND_JOINTS])
        self._fingers = np.array([self._joint(name) for name in fingers])
        self._drawer = self._joint("drawer")
        self._block = {color: self._joint(f"{color}_block") for color in BLOCK_COLORS}
        self._button = {name: self._joint(f"{name}_button") for name in BUTTONS}
        self._body = {self.model.body(i).name: i for i in range(self.model.nbody)}
        self._bulb = self.model.geom("bulb").id

    def _joint(self, name: str) -> int:
        return int(self.model.joint(name).qposadr[0])

    def _mocap(self, name: str) -> int:
        return int(self.model.body_mocapid[self._body[name]])

    def arrange(self, layout: Layout) -> None:
        """Begin anew with everything as in `layout`, the light dim and the gripper open."""
        model, data = self.model, self.data
        mujoco.mj_resetData(model, data)
        self._painter.paint(layout.appearance)
        model.body_pos[self._body["cabinet"]] = _shifted(CABINET_POSITION, layout.cabinet_shift)
        model.body_pos[self._body["lamp"]] = _shifted(LAMP_POSITION, layout.lamp_shift)
        for color, (x, y, yaw) in layout.blocks.items():
            start = self._block[color]
            data.qpos[start : start + 7] = [x, y, BLOCK_HALF, np.cos(yaw / 2), 0, 0, np.sin(yaw / 2)]
        data.mocap_pos[:] = PARKED
        for color in PLATE_COLORS:
            data.mocap_pos[self._mocap(f"{color}_plate"), :] = [*layout.plates[color][:2], 0]
        for name in DISTRACTORS:
            if name in layout.distractors:
                place = [*layout.distractors[name][:2], DISTRACTOR_HALF]
                data.mocap_pos[self._mocap(f"{name}_distractor"), :] = place
        data.qpos[self._drawer] = layout.drawer
        data.qpos[self._hand[:3]] = layout.gripper
        data.qpos[self._fingers] = FINGER_TRAVEL
        data.ctrl[:6] = data.qpos[self._hand]
        data.ctrl[6:] = FINGER_TRAVEL
        self._switch_light("dim")
        mujoco.mj_forward(model, data)

    def apply(self, action: np.ndarray) -> None:
        """Move for one control step by an action (7,) in [-1, 1], relative to the present pose."""
        data = self.data
        pose = data.qpos[self._hand]
        pose[:3] = np.clip(pose[:3] + POSITION_SCALE * action[:3], *WORKSPACE.T)
        pose[3:] = np.clip(pose[3:] + ROTATION_SCALE * action[3:6], *ROTATION_LIMIT.T)
        data.ctrl[:6] = pose
        data.ctrl[6:] = FINGER_TRAVEL if action[6] > 0 else 0.0
        mujoco.mj_step(self.model, data, self._substeps)
        mujoco.mj_kinematics(self.model, data)
        mujoco.mj_camlight(self.model, data)
        for name, joint in self._button.items():
            if data.qpos[joint] > PRESSED:
                self._switch_light(name)

    def _switch_light(self, light: str) -> None:
        self._light = light
        self.model.geom_rgba[self._bulb] = LIGHT_COLORS[light]

    @property
    def state(self) -> SceneState:
        """What is where now (copies)."""
        position, qpos = self.data.xpos, self.data.qpos
        return SceneState(
            gripper=qpos[self._hand[:3]],
            rotation=qpos[self._hand[3:]],
            opening=float(qpos[self._fingers].sum()),
            blocks={color: position[self._body[f"{color}_block"]].copy() for color in BLOCK_COLORS},
            plates={color: position[self._body[f"{color}_plate"]].copy() for color in PLATE_COLORS},
            drawer=float(qpos[self._drawer]),
            handle=position[self._body["drawer"]] + HANDLE,
            buttons={name: position[self._body[f"{name}_button"]].copy() for name in BUTTONS},
            light=self._light,
        )

    def image(self, camera: str, size: int) -> np.ndarray:
        """Return what a camera sees, uint8 (size, size, 3)."""
        if self._closed:
            raise RuntimeError("the environment is closed")
        if self._renderer is None:
            self._renderer = CameraRenderer(self.model, CAMERAS)
        return self._renderer.render(self.data, camera, size)

    def close(self) -> None:
        """Free the renderer; no images after that."""
        self._closed = True
        if self._renderer is not None:
            self._renderer.close()
            self._renderer = None


def _shifted(position: tuple[float, float, float], shift: float) -> np.ndarray:
    x, y, z = position
    return np.array([x + shift, y, z])
