# pyright: reportAttributeAccessIssue=false
# (MuJoCo's compiled modules have no type stubs)
"""Rendering of the cameras of one MuJoCo model."""

from collections.abc import Callable, Sequence

import mujoco
import numpy as np

from .gl import make_context


class CameraRenderer:
    """Renders named cameras of `model` as RGB images.

    Args:
        model: the MuJoCo model; its `offwidth` and `offheight` bound the image size.
        cameras: names of cameras.
        shadows: draw shadows and reflections, which are most of what software OpenGL costs.
        decorate: adds things to the scene that are seen, but not there: called with the scene before each image.
        room: how many things `decorate` adds at most.
    """

    def __init__(
        self,
        model: mujoco.MjModel,
        cameras: Sequence[str],
        shadows: bool = False,
        decorate: Callable[[mujoco.MjvScene], None] | None = None,
        room: int = 8,
    ):
        self._model = model
        self._gl = make_context(model.vis.global_.offwidth, model.vis.global_.offheight)
        self._gl.make_current()
        self._context = mujoco.MjrContext(model, mujoco.mjtFontScale.mjFONTSCALE_50.value)
        mujoco.mjr_setBuffer(mujoco.mjtFramebuffer.mjFB_OFFSCREEN.value, self._context)
        self._scene = mujoco.MjvScene(model, maxgeom=model.ngeom + model.nsite + room)
        for flag in (mujoco.mjtRndFlag.mjRND_SHADOW, mujoco.mjtRndFlag.mjRND_REFLECTION):
            self._scene.flags[flag] = shadows
        self._decorate = decorate
        self._option = mujoco.MjvOption()
        self._cameras = {name: self._fixed_camera(name) for name in cameras}

    def _fixed_camera(self, name: str) -> mujoco.MjvCamera:
        camera = mujoco.MjvCamera()
        camera.type = mujoco.mjtCamera.mjCAMERA_FIXED
        camera.fixedcamid = self._model.camera(name).id
        return camera

    def render(self, data: mujoco.MjData, camera: str, size: int) -> np.ndarray:
        """Return one uint8 image (size, size, 3), rows from top to bottom."""
        if self._context is None:
            raise RuntimeError("the environment is closed")
        self._gl.make_current()
        everything = mujoco.mjtCatBit.mjCAT_ALL.value
        mujoco.mjv_updateScene(self._model, data, self._option, None, self._cameras[camera], everything, self._scene)
        if self._decorate is not None:
            self._decorate(self._scene)
        rectangle = mujoco.MjrRect(0, 0, size, size)
        image = np.empty((size, size, 3), dtype=np.uint8)
        mujoco.mjr_render(rectangle, self._scene, self._context)
        mujoco.mjr_readPixels(image, None, rectangle, self._context)
        return np.ascontiguousarray(image[::-1])

    def close(self) -> None:
        """Free the OpenGL resources; rendering afterwards raises an error."""
        if self._context is not None:
            self._gl.make_current()
            self._context.free()
            self._gl.free()
            self._context = None
