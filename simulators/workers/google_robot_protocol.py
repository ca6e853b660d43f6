"""The published episodes of SimplerEnv's Google-robot tasks (Li et al. 2024, arXiv:2405.05941). For Python 3.8 and newer.

"Visual matching" puts a real photograph behind the scene and recolours the arm; "variant aggregation" takes rendered scenes
and changes background, light, distractors, table and camera.
"""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np

CONTROL_MODE = (
    "arm_pd_ee_delta_pose_align_interpolate_by_planner_gripper_pd_joint_target_delta_pos_interpolate_by_planner"
)
ALWAYS = {
    "obs_mode": "rgbd",
    "robot": "google_robot_static",
    "control_mode": CONTROL_MODE,
    "control_freq": 3,
    "sim_freq": 513,
    "camera_cfgs": {"add_segmentation": True},
}
ARMS = (
    None,
    "recolor_tabletop_visual_matching_1",
    "recolor_tabletop_visual_matching_2",
    "recolor_cabinet_visual_matching_1",
)
CANS = ("lr_switch", "upright", "laid_vertically")
COKE_SCENE = "google_pick_coke_can_1_v4"
CAN_PLACES = tuple(itertools.product(np.linspace(-0.35, -0.12, 5).tolist(), np.linspace(-0.02, 0.42, 5).tolist()))
APPLE_PLACES = tuple(itertools.product(np.linspace(-0.08, -0.02, 3).tolist(), np.linspace(-0.02, 0.08, 3).tolist()))
DRAWERS = ("Top", "Middle", "Bottom")
STATIONS = {  # photograph -> x, y and yaw of the robot
    "a0": (0.644, -0.179, -0.03),
    "a1": (0.765, -0.182, -0.02),
    "a2": (0.889, -0.203, -0.06),
    "b0": (0.652, 0.009, 0.0),
    "b1": (0.752, 0.009, 0.0),
    "b2": (0.851, 0.035, 0.0),
    "c0": (0.665, 0.224, 0.0),
    "c1": (0.765, 0.222, -0.025),
    "c2": (0.865, 0.222, -0.025),
}
RAYS = {"shader_dir": "rt"}
"""Ray tracing: policies read depth from shadows at the drawers. It takes a GPU with RT cores, or much time."""

TASKS = ("pick_coke_can", "move_near", "open_drawer", "close_drawer", "place_apple_in_closed_top_drawer")
MAX_STEPS = {"pick_coke_can": 80, "move_near": 80, "open_drawer": 113, "close_drawer": 113, TASKS[4]: 200}

Start = dict
"""`robot` (x, y, yaw), and `object` (x, y) or `episode` (number)."""


class Variant:
    """A scene, and where its episodes begin.

    Args:
        name: as results have it.
        environment: ManiSkill's name.
        build: options of `gymnasium.make`.
        starts: one per episode.
        photograph: file of the real picture behind the scene, in `real_inpainting`.
    """

    def __init__(self, name: str, environment: str, build: dict, starts: list[Start], photograph: str | None = None):
        self.name, self.environment, self.starts, self.photograph = name, environment, starts, photograph
        self.build: dict[str, Any] = {**ALWAYS, **build}


def variants(task: str, protocol: str) -> list[Variant]:
    """Return the variants of a task.

    Args:
        task: one of `TASKS`.
        protocol: "visual_matching" or "variant_aggregation".
    """
    return _TABLE[task, protocol]()


def reset_options(start: Start) -> dict[str, Any]:
    """Return a start as the environment's reset takes it."""
    x, y, yaw = start["robot"]
    # half a turn about z, then the yaw; (w, x, y, z)
    turn = [-math.sin(yaw / 2), 0.0, 0.0, math.cos(yaw / 2)]
    robot = {"init_xy": np.array([x, y]), "init_rot_quat": np.array(turn)}
    if "episode" in start:
        return {"robot_init_options": robot, "obj_init_options": {"episode_id": start["episode"]}}
    return {"robot_init_options": robot, "obj_init_options": {"init_xy": np.array(start["object"])}}


def _coke_matching() -> list[Variant]:
    starts = [{"robot": (0.35, 0.20, 0.0), "object": place} for place in CAN_PLACES]
    return [
        Variant(
            f"{can}, arm {arm or 'original'}",
            "GraspSingleOpenedCokeCanInScene-v0",
            {"scene_name": COKE_SCENE, can: True, "urdf_version": arm},
            starts,
            "google_coke_can_real_eval_1.png",
        )
        for arm in ARMS
        for can in CANS
    ]


def _coke_variants() -> list[Variant]:
    scene = "GraspSingleOpenedCokeCan{}InScene-v0"
    changes = _table_changes(scene)
    changes.insert(3, ("distractors", scene.format("Distractor"), {"scene_name": COKE_SCENE}))
    more = {"scene_name": COKE_SCENE, "distractor_config": "more"}
    changes.insert(4, ("more distractors", scene.format("Distractor"), more))
    starts = [{"robot": (0.35, 0.20, 0.0), "object": place} for place in CAN_PLACES]
    return [
        Variant(f"{name}, {can}", environment, {**build, can: True}, starts)
        for name, environment, build in changes
        for can in CANS
    ]


def _near_starts() -> list[Start]:
    return [{"robot": (0.35, 0.21, -0.09), "episode": number} for number in range(60)]


def _near_matching() -> list[Variant]:
    return [
        Variant(
            f"arm {arm or 'original'}",
            "MoveNearGoogleBakedTexInScene-v0",
            {"scene_name": COKE_SCENE, "urdf_version": arm},
            _near_starts(),
            "google_move_near_real_eval_1.png",
        )
        for arm in ARMS
    ]


def _near_variants() -> list[Variant]:
    base = "MoveNearGoogleInScene-v0"
    changes = _table_changes("MoveNear{}InScene-v0", base)
    changes.insert(3, ("no distractor", base, {"scene_name": COKE_SCENE, "no_distractor": True}))
    return [Variant(name, environment, build, _near_starts()) for name, environment, build in changes]


def _table_changes(cameras: str, base: str | None = None) -> list[tuple[str, str, dict]]:
    """(name, environment, options): what variants on the table change."""
    base = base or cameras.format("")
    scenes = {
        "base": COKE_SCENE,
        "table 1": "Baked_sc1_staging_objaverse_cabinet1_h870",
        "table 2": "Baked_sc1_staging_objaverse_cabinet2_h870",
        "background 1": f"{COKE_SCENE}_alt_background",
        "background 2": f"{COKE_SCENE}_alt_background_2",
    }
    changes: list[tuple[str, str, dict]] = [(name, base, {"scene_name": scene}) for name, scene in scenes.items()]
    for light in ("darker", "brighter"):
        changes.append((f"{light} light", base, {"scene_name": COKE_SCENE, f"slightly_{light}_lighting": True}))
    for number, camera in ((1, "AltGoogleCamera"), (2, "AltGoogleCamera2")):
        changes.append((f"camera {number}", cameras.format(camera), {"scene_name": COKE_SCENE}))
    return changes


def _drawer_matching(action: str) -> list[Variant]:
    return [
        variant
        for arm in ARMS
        for drawer in DRAWERS
        for variant in _at_stations(
            f"{action}{drawer}DrawerCustomInScene-v0", drawer.lower(), arm, list(STATIONS), {}, None
        )
    ]


def _apple_matching() -> list[Variant]:
    scene = "PlaceIntoClosedTopDrawerCustomInScene-v0"
    apple = {"model_ids": "baked_apple_v2"}
    return [
        variant for arm in ARMS for variant in _at_stations(scene, "top", arm, ["a0", "b0", "c0"], apple, APPLE_PLACES)
    ]


def _at_stations(
    environment: str, drawer: str, arm: str | None, stations: list[str], more: dict, places: tuple | None
) -> list[Variant]:
    build = {
        "scene_name": "dummy_drawer",
        "station_name": "mk_station_recolor",
        "light_mode": "simple",
        "disable_bad_material": True,
        "urdf_version": arm,
        **RAYS,
        **more,
    }
    return [
        Variant(
            f"{drawer}, {station}, arm {arm or 'original'}",
            environment,
            build,
            [{"robot": STATIONS[station], "object": place} for place in places or ((0.0, 0.0),)],
            f"open_drawer_{station}.png",
        )
        for station in stations
    ]


def _drawer_variants(action: str) -> list[Variant]:
    xs, ys = np.linspace(0.65, 0.85, 3).tolist(), np.linspace(-0.2, 0.2, 3).tolist()
    starts = [{"robot": (x, y, 0.0), "object": (0.0, 0.0)} for x in xs for y in ys]
    return [
        Variant(f"{name}, {drawer.lower()}", f"{action}{drawer}DrawerCustomInScene-v0", build, starts)
        for name, build in _room_changes()
        for drawer in DRAWERS
    ]


def _apple_variants() -> list[Variant]:
    ys = np.linspace(-0.2, 0.2, 3).tolist()
    starts = [{"robot": (0.65, y, 0.0), "object": place} for y in ys for place in APPLE_PLACES]
    scene = "PlaceIntoClosedTopDrawerCustomInScene-v0"
    return [Variant(name, scene, {**build, "model_ids": "apple"}, starts) for name, build in _room_changes()]


def _room_changes() -> list[tuple[str, dict]]:
    """(name, options): what variants at the drawers change."""
    room = {"scene_name": "frl_apartment_stage_simple", **RAYS}
    changes = [("base", room)]
    changes += [
        (scene, {"scene_name": scene, **RAYS}) for scene in ("modern_bedroom_no_roof", "modern_office_no_roof")
    ]
    changes += [(f"{light} light", {**room, "light_mode": light}) for light in ("brighter", "darker")]
    changes += [(station, {**room, "station_name": station}) for station in ("mk_station2", "mk_station3")]
    return changes


_TABLE = {
    ("pick_coke_can", "visual_matching"): _coke_matching,
    ("pick_coke_can", "variant_aggregation"): _coke_variants,
    ("move_near", "visual_matching"): _near_matching,
    ("move_near", "variant_aggregation"): _near_variants,
    ("open_drawer", "visual_matching"): lambda: _drawer_matching("Open"),
    ("open_drawer", "variant_aggregation"): lambda: _drawer_variants("Open"),
    ("close_drawer", "visual_matching"): lambda: _drawer_matching("Close"),
    ("close_drawer", "variant_aggregation"): lambda: _drawer_variants("Close"),
    (TASKS[4], "visual_matching"): _apple_matching,
    (TASKS[4], "variant_aggregation"): _apple_variants,
}
