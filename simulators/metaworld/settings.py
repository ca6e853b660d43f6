# pyright: reportAttributeAccessIssue=false
# (MuJoCo's compiled modules have no type stubs)
"""What each held-out setting changes about how a scene looks. Physics, places and tasks stay the same."""

import colorsys
from collections.abc import Callable

import mujoco
import numpy as np

SETTINGS = (
    "seen",
    "unseen_lighting",
    "unseen_camera",
    "unseen_background",
    "unseen_object_colors",
    "unseen_distractors",
    "unseen_paraphrases",
)
"""Names of the settings: Meta-World as it is, and six with one thing each that it never shows."""

SCENERY = ("world", "tablelink", "RetainingWall")
"""Bodies of the room; everything else that isn't the robot is the task's."""
ROBOT_ROOTS = ("base", "mocap")
DISTRACTOR_REGION = ((-0.5, 0.5), (0.42, 0.86))
"""Ranges of x and y on the table; distractors stay out of the middle."""
MIDDLE = 0.3
MAX_DISTRACTORS = 5
COLORS = (
    (0.9, 0.75, 0.1),
    (0.55, 0.2, 0.7),
    (0.1, 0.55, 0.3),
    (0.95, 0.95, 0.95),
    (0.1, 0.25, 0.7),
    (0.9, 0.45, 0.65),
)
BACKGROUNDS = ((0.3, 0.45, 0.4), (0.25, 0.27, 0.4), (0.75, 0.72, 0.65), (0.5, 0.3, 0.3))


class Appearance:
    """How one model's scene looks; `apply` begins from Meta-World's own looks each time."""

    def __init__(self, model: mujoco.MjModel):
        self._model = model
        self._arrays = {
            name: getattr(model, name).copy()
            for name in ("light_diffuse", "light_dir", "cam_pos", "cam_quat", "geom_rgba", "geom_matid")
        }
        self._ambient = np.array(model.vis.headlight.ambient)
        self._decorations: list[tuple[int, np.ndarray, np.ndarray, np.ndarray]] = []

    def apply(self, setting: str, rng: np.random.Generator) -> None:
        """Make the scene look as in `setting`, in a way drawn from `rng`."""
        for name, values in self._arrays.items():
            getattr(self._model, name)[:] = values
        self._model.vis.headlight.ambient[:] = self._ambient
        self._decorations = []
        if setting in self._changes:
            self._changes[setting](self, rng)

    def decorate(self, scene: mujoco.MjvScene) -> None:
        """Add the distractors to a scene that is about to be drawn."""
        for kind, size, position, color in self._decorations:
            mujoco.mjv_initGeom(scene.geoms[scene.ngeom], kind, size, position, np.eye(3).ravel(), color)
            scene.ngeom += 1

    def _lighting(self, rng: np.random.Generator) -> None:
        model = self._model
        tone = rng.permutation([1.0, 0.8, 0.6])
        model.vis.headlight.ambient[:] = self._ambient * rng.choice([0.45, 1.6]) * tone
        model.light_diffuse[:] *= (rng.uniform(0.3, 2.0, (model.nlight, 1)) * tone).astype(np.float32)
        model.light_dir[:, :2] = -model.light_dir[:, :2]  # from the other side

    def _camera(self, rng: np.random.Generator) -> None:
        model = self._model
        for camera in range(model.ncam):
            model.cam_pos[camera] += rng.choice([-1, 1], 3) * rng.uniform(0.02, 0.05, 3)
            axis = rng.normal(size=3)
            turn, turned = np.zeros(4), np.zeros(4)
            mujoco.mju_axisAngle2Quat(turn, axis / np.linalg.norm(axis), np.deg2rad(rng.uniform(2, 5)))
            mujoco.mju_mulQuat(turned, model.cam_quat[camera], turn)
            model.cam_quat[camera] = turned

    def _background(self, rng: np.random.Generator) -> None:
        model = self._model
        table, floor, walls = rng.permutation(len(BACKGROUNDS))[:3]
        for material, color in (("table_wood", table), ("basic_floor", floor), ("wall_metal", walls)):
            geoms = model.geom_matid == model.material(material).id
            model.geom_matid[geoms] = -1  # without its texture
            model.geom_rgba[geoms, :3] = BACKGROUNDS[color]

    def _object_colors(self, rng: np.random.Generator) -> None:
        model = self._model
        turn = rng.uniform(0.25, 0.75)
        for geom in range(model.ngeom):
            if self._is_object(model.geom_bodyid[geom]):
                material = model.geom_matid[geom]
                color = model.geom_rgba[geom].copy() if material < 0 else model.mat_rgba[material].copy()
                color[:3] = _other_hue(color[:3], turn)
                model.geom_matid[geom] = -1
                model.geom_rgba[geom] = color

    def _distractors(self, rng: np.random.Generator) -> None:
        kinds = (mujoco.mjtGeom.mjGEOM_BOX, mujoco.mjtGeom.mjGEOM_SPHERE, mujoco.mjtGeom.mjGEOM_CYLINDER)
        for _ in range(rng.integers(3, MAX_DISTRACTORS + 1)):
            x, y = (rng.uniform(*bounds) for bounds in DISTRACTOR_REGION)
            x = x if abs(x) >= MIDDLE else np.copysign(rng.uniform(MIDDLE, DISTRACTOR_REGION[0][1]), x)
            half = rng.uniform(0.025, 0.045)
            color = np.array([*COLORS[rng.integers(len(COLORS))], 1.0], dtype=np.float32)
            kind = kinds[rng.integers(len(kinds))].value
            self._decorations.append((kind, np.full(3, half), np.array([x, y, half]), color))

    def _is_object(self, body: int) -> bool:
        """Whether a body belongs to the task's things."""
        model = self._model
        if model.body(body).name in SCENERY:
            return False
        return model.body(model.body_rootid[body]).name not in ROBOT_ROOTS

    _changes: dict[str, Callable[["Appearance", np.random.Generator], None]] = {  # noqa: RUF012
        "unseen_lighting": _lighting,
        "unseen_camera": _camera,
        "unseen_background": _background,
        "unseen_object_colors": _object_colors,
        "unseen_distractors": _distractors,
    }


def _other_hue(color: np.ndarray, turn: float) -> tuple[float, float, float]:
    """The colour with its hue turned by a share of the circle; greys become colours."""
    hue, saturation, value = colorsys.rgb_to_hsv(*(float(channel) for channel in color))
    return colorsys.hsv_to_rgb((hue + turn) % 1.0, max(saturation, 0.5), max(value, 0.25))
