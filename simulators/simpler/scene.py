"""ManiSkill's own scenes, built so that several of them can live in one process, and with other tables."""

from typing import Any

import gymnasium
import mani_skill.envs.tasks.digital_twins.bridge_dataset_eval  # noqa: F401 (registers the scenes)
import sapien
from mani_skill.utils.registration import REGISTERED_ENVS

from .assets import Table
from .tasks import SimplerTask

TABLE_HEIGHT = 0.87
"""Height of the published table's top (metres)."""
BOX_HALF = [0.6, 0.6, 0.02]
BOX = sapien.Pose([-2.0634, -2.8313, TABLE_HEIGHT - BOX_HALF[2]])
"""The box, in the stage's frame: in the world it is around the origin."""


def make_scene(task: SimplerTask, table: Table, photograph: bool) -> gymnasium.Env:
    """Return the scene of a task on the CPU, with the camera's pictures and their segmentation as observations."""
    published: Any = REGISTERED_ENVS[task.environment].cls
    changes: dict[str, Any] = {
        "__init__": _with_pictures_of_its_own(published),
        "rgb_overlay_mode": "background" if photograph else "none",
    }
    if table == "flat_box":
        changes["_load_scene"] = _on_a_flat_box(published)
    scene = type(published.__name__, (published,), changes | {"__module__": published.__module__})
    return scene(
        obs_mode="rgb+segmentation",
        control_mode="arm_pd_ee_target_delta_pose_align2_gripper_pd_joint_pos",
        num_envs=1,
        sim_backend="cpu",
        render_backend="cpu",
    )


def _with_pictures_of_its_own(published: Any) -> Any:
    def __init__(self: Any, **options: Any) -> None:
        self._rgb_overlay_images = {}  # ManiSkill's own is shared by all scenes, whose pictures then mix
        self._objects_to_remove_from_greenscreen = []
        published.__init__(self, **options)

    return __init__


def _on_a_flat_box(published: Any) -> Any:
    def _load_scene(self: Any, options: dict) -> None:
        create = self.scene.create_actor_builder

        def stage_builder() -> Any:
            """The first builder is the stage's: it gets a box for each mesh. Those after it are ordinary ones."""
            self.scene.create_actor_builder = create
            builder = create()
            builder.add_nonconvex_collision_from_file = lambda *_, **__: builder.add_box_collision(BOX, BOX_HALF)
            builder.add_visual_from_file = lambda *_, **__: builder.add_box_visual(BOX, BOX_HALF)
            return builder

        self.scene.create_actor_builder = stage_builder
        published._load_scene(self, options)

    return _load_scene
