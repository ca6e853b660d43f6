"""Boxes in the place of SimplerEnv's models, so that its scenes run where these can't be had.

The robot has the joints and links of a WidowX 250 S with its lengths, so that arm, cameras, judgement and pictures are
ManiSkill's own; what things look like, and how they can be gripped, is not.
"""

import json
from pathlib import Path

import numpy as np
import trimesh
from PIL import Image

from robovlms.simulators.simpler.assets import ROBOT, SCENES
from robovlms.simulators.simpler.tasks import TASKS

SIZES = {  # metres
    "bridge_carrot_generated_modified": (0.1, 0.03, 0.03),
    "bridge_plate_objaverse_larger": (0.12, 0.12, 0.01),
    "bridge_spoon_generated_modified": (0.12, 0.02, 0.02),
    "table_cloth_generated_shorter": (0.12, 0.1, 0.005),
    "baked_green_cube_3cm": (0.03, 0.03, 0.03),
    "baked_yellow_cube_3cm": (0.03, 0.03, 0.03),
}
CHAIN = (  # joint, child, where it is in its parent, axis
    ("waist", "shoulder_link", (0, 0, 0.072), "0 0 1"),
    ("shoulder", "upper_arm_link", (0, 0, 0.03865), "0 1 0"),
    ("elbow", "upper_forearm_link", (0.04975, 0, 0.25), "0 1 0"),
    ("forearm_roll", "lower_forearm_link", (0.175, 0, 0), "1 0 0"),
    ("wrist_angle", "wrist_link", (0.075, 0, 0), "0 1 0"),
    ("wrist_rotate", "gripper_link", (0.065, 0, 0), "1 0 0"),
)


def build(folder: Path) -> None:
    """Write everything that the three tasks on the flat table need, but the mesh of the table, into an MS_ASSET_DIR."""
    scenes = folder / SCENES
    (scenes / "custom").mkdir(parents=True)
    (scenes / "real_inpainting").mkdir()
    (folder / ROBOT).parent.mkdir(parents=True)
    (folder / ROBOT).write_text(_robot())
    for name in {task.model_list for task in TASKS.values()}:
        models = {model: _description(size) for model, size in SIZES.items()}
        (scenes / "custom" / name).write_text(json.dumps(models))
    for model, size in SIZES.items():
        target = scenes / "custom" / "models" / model
        target.mkdir(parents=True)
        for file in ("collision.obj", "textured.obj"):
            trimesh.creation.box(size).export(target / file)
    stripes = np.tile(np.arange(640, dtype=np.uint8)[None, :, None], (480, 1, 3))
    for name in {task.photograph for task in TASKS.values()}:
        Image.fromarray(stripes).save(scenes / "real_inpainting" / name)


def _description(size: tuple[float, ...]) -> dict:
    half = [length / 2 for length in size]
    return {"bbox": {"min": [-value for value in half], "max": half}, "scales": [1.0], "density": 400}


def _robot() -> str:
    links = [_link("base_link", "0.1 0.1 0.07", 0.5)]
    joints = []
    parent = "base_link"
    for joint, child, place, axis in CHAIN:
        links.append(_link(child, "0.04 0.04 0.04", 0.2))
        joints.append(_joint(joint, "revolute", parent, child, place, axis, "-3.1 3.1"))
        parent = child
    for side, sign in (("left", 1), ("right", -1)):
        links.append(_link(f"{side}_finger_link", "0.05 0.006 0.02", 0.02))
        joints.append(
            _joint(
                f"{side}_finger", "prismatic", parent, f"{side}_finger_link", (0.07, 0, 0), f"0 {sign} 0", "0.01 0.04"
            )
        )
    links.append('<link name="ee_gripper_link"/>')
    joints.append(_joint("ee_gripper", "fixed", parent, "ee_gripper_link", (0.0936, 0, 0), "1 0 0", "0 0"))
    return f'<robot name="wx250s">{"".join(links + joints)}</robot>'


def _link(name: str, size: str, mass: float) -> str:
    shape = f'<geometry><box size="{size}"/></geometry>'
    inertia = '<inertia ixx="1e-4" iyy="1e-4" izz="1e-4" ixy="0" ixz="0" iyz="0"/>'
    inertial = f'<inertial><mass value="{mass}"/>{inertia}</inertial>'
    return f'<link name="{name}"><visual>{shape}</visual><collision>{shape}</collision>{inertial}</link>'


def _joint(name: str, kind: str, parent: str, child: str, place: tuple, axis: str, limits: str) -> str:
    low, high = limits.split()
    origin = " ".join(map(str, place))
    return (
        f'<joint name="{name}" type="{kind}"><parent link="{parent}"/><child link="{child}"/>'
        f'<origin xyz="{origin}"/><axis xyz="{axis}"/>'
        f'<limit lower="{low}" upper="{high}" effort="100" velocity="3"/></joint>'
    )
