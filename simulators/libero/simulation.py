"""One task's simulator. The package is imported here, after the choice of an OpenGL backend."""

import logging
import re
from typing import Any

import numpy as np

from .benchmarks import LiberoTask, require_package
from .interface import ACTION_NAMES, CAMERAS, CONTROL_FREQUENCY, OPEN, SETTLE_STEPS, axis_angle
from .settings import LOOKS

SETTLE = np.array([0.0] * (len(ACTION_NAMES) - 1) + [OPEN])


class Simulation:
    """A scene with its robot.

    Args:
        task: which scene.
        rendering: "default" or "tuned".
        images: "published" or "upright"; see `LiberoEnv`.
    """

    def __init__(self, task: LiberoTask, rendering: str, images: str):
        logging.getLogger("robosuite_logs").setLevel(logging.ERROR)  # it advises to write a file of macros
        package = require_package()
        self.task, self.is_tuned = task, rendering == "tuned"
        self.flip = (slice(None, None, -1), slice(None, None, -1 if images == "published" else None))
        self.states = task.initial_states()
        self._env: Any = package.OffScreenRenderEnv(
            bddl_file_name=str(task.scene),
            use_camera_obs=False,  # drawn when asked for, not while objects settle
            control_freq=int(CONTROL_FREQUENCY),
            ignore_done=True,
        )
        if self.is_tuned:
            self._env.env.set_xml_processor(without_multisampling)

    @property
    def model(self) -> Any:
        """MuJoCo's; another one after each reset."""
        return self._env.sim.model._model

    def reset(self, state: int, setting: str, seed: int) -> None:
        """Begin at an initial state, and let objects settle. Rebuilds the scene: what is left of the last episode in
        controllers would change this one."""
        self._env.seed(0)
        self._env.reset()
        if self.is_tuned:
            self.model.light_castshadow[:] = 0
            self.model.mat_reflectance[:] = 0
        if setting in LOOKS:
            LOOKS[setting](self.model, np.random.default_rng(seed))
        self._env.set_init_state(self.states[state])
        for _ in range(SETTLE_STEPS):
            self.step(SETTLE)

    def step(self, action: np.ndarray) -> bool:
        """Execute an action for 50 ms; whether the task is done."""
        self._seen, _, done, _ = self._env.step(action)
        return bool(done)

    def state(self) -> np.ndarray:
        """See `STATE_NAMES`."""
        hand, turned = self._seen["robot0_eef_pos"], axis_angle(self._seen["robot0_eef_quat"])
        return np.concatenate([hand, turned, self._seen["robot0_gripper_qpos"]]).astype(np.float32)

    def positions(self) -> dict[str, np.ndarray]:
        """Return where things are (m)."""
        ends = ("_to_robot0_eef_pos", "robot0_eef_pos", "joint_pos")
        return {
            name.removesuffix("_pos"): np.array(value)
            for name, value in self._seen.items()
            if name.endswith("_pos") and not name.endswith(ends)
        }

    def image(self, camera: str, size: int) -> np.ndarray:
        """Return a picture, uint8 (size, size, 3)."""
        picture = self._env.sim.render(camera_name=CAMERAS[camera], width=size, height=size)
        return np.ascontiguousarray(picture[self.flip])

    def close(self) -> None:
        """Free the model and its renderer."""
        self._env.close()


def without_multisampling(xml: str) -> str:
    """Return the scene with one sample per pixel and no shadow map."""
    quality = '<quality offsamples="0" shadowsize="0"/>'
    changed, count = re.subn(r"<quality[^>]*/>", quality, xml)
    if count:
        return changed
    changed, count = re.subn(r"<visual>", f"<visual>{quality}", xml, count=1)
    return changed if count else xml.replace("<worldbody>", f"<visual>{quality}</visual><worldbody>", 1)
