"""The two cameras and what draws their images."""

import importlib.util
from typing import Any

import numpy as np

from .appearance import PUBLISHED, Appearance, Light
from .robot import Robot

RENDERERS = ("tiny", "egl")
STATIC_VIEW = {
    "cameraEyePosition": (2.871459009488717, -2.166602199425597, 2.555159848480571),
    "cameraTargetPosition": (-0.026242351159453392, -0.0302329882979393, 0.3920000493526459),
    "cameraUpVector": (0.4041403970338857, 0.22629790978217404, 0.8862616969685161),
}
STATIC_PROJECTION = {"fov": 10, "aspect": 1, "nearVal": 0.01, "farVal": 10}
GRIPPER_PROJECTION = {"fov": 75, "aspect": 1, "nearVal": 0.01, "farVal": 2}


def load_egl(bullet: Any) -> int:
    """Let a client draw with the GPU (or Mesa) instead of TinyRenderer; returns the plugin's number.

    Raises:
        RuntimeError: PyBullet has no EGL plugin here, or it finds no EGL device.
    """
    found = importlib.util.find_spec("eglRenderer")
    plugin = -1
    if found is not None and found.origin is not None:
        plugin = bullet.loadPlugin(found.origin, "_eglRendererPlugin")
    if plugin < 0:
        raise RuntimeError("renderer 'egl': PyBullet's EGL plugin can't be loaded here; use renderer='tiny'")
    return plugin


class Cameras:
    """Draws images, uint8 (size, size, 3), of a running simulation, by default with its default light."""

    def __init__(self, bullet: Any, robot: Robot, appearance: Appearance = PUBLISHED):
        self._bullet, self._robot = bullet, robot
        eye = np.add(STATIC_VIEW["cameraEyePosition"], appearance.eye)
        target = np.add(STATIC_VIEW["cameraTargetPosition"], appearance.target)
        self._static_view = bullet.computeViewMatrix(eye, target, STATIC_VIEW["cameraUpVector"])
        self._light = _light_options(appearance.light)
        self._projections = {
            "static": bullet.computeProjectionMatrixFOV(**STATIC_PROJECTION),
            "gripper": bullet.computeProjectionMatrixFOV(**GRIPPER_PROJECTION),
        }

    def image(self, camera: str, size: int) -> np.ndarray:
        """Return what one camera sees, uint8 (size, size, 3)."""
        view = self._static_view if camera == "static" else self._gripper_view()
        *_, pixels, _, _ = self._bullet.getCameraImage(
            width=size, height=size, viewMatrix=view, projectionMatrix=self._projections[camera], **self._light
        )
        return np.reshape(np.asarray(pixels, dtype=np.uint8), (size, size, 4))[..., :3].copy()

    def _gripper_view(self) -> list[float]:
        """The camera in the hand looks along its own y axis, its own z axis pointing down."""
        position, orientation = self._robot.camera_pose
        axes = np.reshape(self._bullet.getMatrixFromQuaternion(orientation), (3, 3))
        return self._bullet.computeViewMatrix(position, np.asarray(position) + axes[:, 1], -axes[:, 2])


def _light_options(light: Light | None) -> dict[str, Any]:
    """Options of `getCameraImage`. A server keeps them for all later pictures, and its own direction has no name."""
    if light is None:
        return {}
    return {
        "lightColor": light.color,
        "lightAmbientCoeff": light.ambient,
        "lightDiffuseCoeff": light.diffuse,
        "lightDirection": light.direction,
        "shadow": int(light.shadow),
    }
