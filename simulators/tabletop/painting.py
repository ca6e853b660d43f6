# pyright: reportAttributeAccessIssue=false
# (MuJoCo's compiled modules have no type stubs)
"""Gives the MuJoCo model an appearance."""

import mujoco
import numpy as np

from .appearance import UNSEEN_OBJECTS, Appearance
from .scene import BLOCK_COLORS


class Painter:
    """Changes how a model of the scene looks; each appearance replaces the one before it."""

    def __init__(self, model: mujoco.MjModel):
        self._model = model
        self._camera = model.camera("static").id
        self._blocks = {color: int(model.body(f"{color}_block").geomadr[0]) for color in BLOCK_COLORS}
        self._colors, self._materials = model.geom_rgba.copy(), model.geom_matid.copy()
        self._eye = model.cam_pos[self._camera].copy(), model.cam_quat[self._camera].copy()
        self._lamp = model.light_diffuse.copy(), model.light_dir.copy()
        headlight = model.vis.headlight
        self._ambient = np.array(headlight.ambient), np.array(headlight.diffuse)

    def paint(self, appearance: Appearance) -> None:
        """Make everything look as in `appearance`, and as in training where that says nothing."""
        model = self._model
        model.geom_rgba[:], model.geom_matid[:] = self._colors, self._materials
        for name, color in appearance.colors.items():
            model.geom_rgba[model.geom(name).id] = color
        for name, texture in appearance.textures.items():
            model.geom_matid[model.geom(name).id] = model.material(f"{texture}_{name}").id
            model.geom_rgba[model.geom(name).id] = 1.0
        kind = mujoco.mjtGeom.mjGEOM_CYLINDER if appearance.cans else mujoco.mjtGeom.mjGEOM_BOX
        for block, geom in self._blocks.items():
            model.geom_type[geom] = kind  # the box's sizes are a cylinder's radius and half height, too
            if appearance.cans:
                model.geom_rgba[geom] = UNSEEN_OBJECTS[block][1]
        self._light(appearance)
        self._look(appearance)

    def _light(self, appearance: Appearance) -> None:
        model, light = self._model, appearance.light
        headlight = model.vis.headlight
        headlight.ambient, headlight.diffuse = self._ambient
        model.light_diffuse[:], model.light_dir[:] = self._lamp
        if light is None:
            return
        tint = np.array(light.tint)
        headlight.ambient = light.ambient * tint * self._ambient[0]
        headlight.diffuse = light.ambient * tint * self._ambient[1]
        model.light_diffuse[:] = light.lamp * tint * self._lamp[0]
        model.light_dir[:] = np.array(light.direction) / np.linalg.norm(light.direction)

    def _look(self, appearance: Appearance) -> None:
        position, rotation = self._eye
        if appearance.camera is not None:
            turn = np.empty(4)
            angle = float(np.linalg.norm(appearance.camera.turn))
            mujoco.mju_axisAngle2Quat(turn, appearance.camera.turn / angle, angle)
            turned = np.empty(4)
            mujoco.mju_mulQuat(turned, rotation, turn)
            position, rotation = position + appearance.camera.shift, turned
        self._model.cam_pos[self._camera], self._model.cam_quat[self._camera] = position, rotation
