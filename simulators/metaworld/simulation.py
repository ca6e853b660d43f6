# pyright: reportAttributeAccessIssue=false
# (MuJoCo's compiled modules have no type stubs)
"""One of Meta-World's environments: placed by a seed, moved, judged and drawn.

This module imports MuJoCo; `choose_backend` must run first.
"""

import numpy as np

from ..common.camera_renderer import CameraRenderer
from .interface import CAMERAS, Rendering
from .package import environment_class, task_with
from .settings import MAX_DISTRACTORS, Appearance


class Simulation:
    """A task in motion.

    Args:
        task: Meta-World's name of it.
        render: "default" draws as Meta-World does; "tuned" without shadows, reflections and multisampling.
        framebuffer: bounds the width and height of images.
    """

    def __init__(self, task: str, render: Rendering, framebuffer: int):
        self._render = render
        self._task = task
        self._env = environment_class(task)()
        self._env.seeded_rand_vec = True
        model = self._env.model
        model.vis.global_.offwidth = model.vis.global_.offheight = framebuffer
        if render == "tuned":
            model.light_castshadow[:] = 0
            model.mat_reflectance[:] = 0
            model.vis.quality.offsamples = 0
            model.vis.quality.shadowsize = 0
        self._appearance = Appearance(model)
        self._renderer: CameraRenderer | None = None

    def reset(self, seed: int, setting: str) -> np.ndarray:
        """Begin an episode at the places that `seed` draws; returns Meta-World's own observation (39,).

        The places come from the distribution of Meta-World's fifty goals per task, by its own code, and are set as those
        are, with the goal in the observation (as in its MT benchmarks).
        """
        env = self._env
        places, looks = np.random.SeedSequence(seed).spawn(2)
        self._appearance.apply(setting, np.random.default_rng(looks))
        env.np_random = np.random.default_rng(places)
        env._freeze_rand_vec = False
        env.reset_model()  # draws
        env.set_task(task_with(self._task, env._last_rand_vec))
        return env.reset()[0]

    @property
    def placement(self) -> np.ndarray:
        """What `reset` drew: Meta-World's `rand_vec` of the episode, places of the object and often of the goal (m)."""
        return np.array(self._env._last_rand_vec)

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool]:
        """Execute one action (4,); returns Meta-World's observation (39,), its dense reward, and success."""
        observation, reward, _, _, info = self._env.step(action)
        return observation, float(reward), bool(info["success"])

    def image(self, camera: str, size: int) -> np.ndarray:
        """Return what a camera sees now, upright, uint8 (size, size, 3)."""
        if self._renderer is None:
            self._renderer = CameraRenderer(
                self._env.model,
                tuple(CAMERAS),
                shadows=self._render == "default",
                decorate=self._appearance.decorate,
                room=MAX_DISTRACTORS,
            )
        image = self._renderer.render(self._env.data, camera, size)
        return np.ascontiguousarray(image[::-1, ::-1]) if CAMERAS[camera].upside_down else image

    def close(self) -> None:
        """Free the renderer and Meta-World's environment."""
        if self._renderer is not None:
            self._renderer.close()
            self._renderer = None
        self._env.close()
