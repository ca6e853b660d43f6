"""SimplerEnv's WidowX tasks: conventions, starts, rules of success, and what is said where something is missing.

The scenes are ManiSkill's own, with boxes in the place of the models (see `widowx_stand_in`).
"""

import os
import subprocess
import sys
from importlib.util import find_spec

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from robovlms.evaluation import evaluate, get_suite
from robovlms.simulators.simpler import MissingAssetsError
from robovlms.simulators.simpler.environment import SimplerWidowXEnv, robot_action
from robovlms.simulators.simpler.tasks import TASKS

needs_maniskill = pytest.mark.skipif(  # not imported here: it reads MS_ASSET_DIR when it is
    find_spec("mani_skill") is None, reason="ManiSkill isn't installed: pip install 'robovlms[simpler]'"
)


def test_actions_keep_their_rotation_and_open_the_gripper_above_a_half():
    action = robot_action([0.01, 0.02, 0.03, 0.1, -0.2, 0.3, 1])
    assert action[:3] == pytest.approx([0.01, 0.02, 0.03]) and action[6] == 1
    wanted = Rotation.from_euler("xyz", [0.1, -0.2, 0.3]).as_matrix()
    assert Rotation.from_euler("XYZ", action[3:6]).as_matrix() == pytest.approx(wanted)
    assert [robot_action([0] * 6 + [value])[6] for value in (1, 0.6, 0.5, 0, -1)] == [1, 1, -1, -1, -1]
    for wrong in (np.zeros(6), np.full(7, np.nan)):
        with pytest.raises(ValueError, match="action must"):
            robot_action(wrong)


@needs_maniskill
def test_what_is_missing_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("MS_ASSET_DIR", str(tmp_path))
    with pytest.raises(MissingAssetsError, match=r"wx250s\.urdf.*download_asset bridge_v2_real2sim"):
        get_suite("simpler_widowx")
    build_stand_in(tmp_path)
    with pytest.raises(MissingAssetsError, match="eggplant"):
        get_suite("simpler_widowx")
    suite = get_suite("simpler_widowx", table="flat_box", height=224, width=224)
    assert list(suite.instructions) == list(TASKS)[:3]
    assert "last step" in suite.termination and "not the published scene" in suite.facts["table"]
    assert get_suite("simpler_widowx", table="flat_box", termination="accumulate").termination != suite.termination
    episodes = suite.episodes(list(suite.instructions), 72, 0)
    assert len({(episode.task, episode.options["start"]) for episode in episodes}) == 72
    with pytest.raises(ValueError, match="72 starts"):
        suite.episodes(list(suite.instructions), 73, 0)
    with pytest.raises(ValueError, match="max_steps"):
        evaluate(None, suite, max_steps=30)
    told = suite.settings["unseen_paraphrases"](episodes[0]).instruction
    assert told in TASKS["carrot_on_plate"].paraphrases
    for option in ({"termination": "end"}, {"table": "round"}, {"height": 0}):
        with pytest.raises(ValueError, match=next(iter(option))):
            get_suite("simpler_widowx", **{"table": "flat_box"} | option)


def build_stand_in(folder):
    from widowx_stand_in import build

    build(folder)


@pytest.fixture(scope="module")
def assets(tmp_path_factory):
    """A folder of stand-ins, where there is a Vulkan device to draw them with."""
    probe = "import sapien; sapien.Device('cpu'); scene = sapien.Scene(); scene.add_camera('a', 8, 8, 1, 0.1, 9)"
    if subprocess.run([sys.executable, "-c", probe], capture_output=True, timeout=300).returncode:
        pytest.skip("no Vulkan device for SAPIEN: see docs/simpler.md")
    folder = tmp_path_factory.mktemp("maniskill")
    build_stand_in(folder)
    before = os.environ.get("MS_ASSET_DIR")
    os.environ["MS_ASSET_DIR"] = str(folder)  # ManiSkill reads it when it is imported
    yield folder
    if before is None:
        del os.environ["MS_ASSET_DIR"]
    else:
        os.environ["MS_ASSET_DIR"] = before


def stack(env, undo=False):
    """Stack the cubes by looking at where they are; `undo` takes the upper one away at last."""
    observation, _ = env.reset(options={"task": "stack_cube", "start": 5})
    scene = env._scene
    to_base = scene.agent.robot.pose.inv()
    green, yellow = (
        (to_base * scene.objs[f"baked_{color}_cube_3cm"].pose).p[0].numpy() for color in ("green", "yellow")
    )
    target = observation["state"][:3].astype(float)
    up, on_top = np.array([0, 0, 0.08]), np.array([0, 0, 0.034])
    plan = [(green + up, 1, 8), (green, 1, 8), (green, 0, 4), (green + up, 0, 8), (yellow + up, 0, 10)]
    plan += [(yellow + on_top, 0, 6), (yellow + on_top, 1, 3), (yellow + up, 1, 60)]
    first = 0
    for place, gripper, steps in plan:
        for _ in range(steps):
            move = np.clip(place - target, -0.03, 0.03)
            target += move
            *_, terminated, truncated, info = env.step([*move, 0, 0, 0, gripper])
            first = first or (info["placed"] and info["elapsed_steps"])
            if terminated or truncated:
                return info["success"], info["elapsed_steps"], first
            if undo and info["elapsed_steps"] == 55:
                scene.objs["baked_green_cube_3cm"].set_pose(scene.agent.robot.pose)
    return None


@needs_maniskill
def test_rules_of_success(assets):
    env = SimplerWidowXEnv(table="flat_box", height=48, width=64, termination="accumulate")
    success, steps, first = stack(env)
    assert success and steps == first < 60
    env.termination = "truncate"
    assert stack(env) == (True, 60, first)
    assert stack(env, undo=True) == (False, 60, first)
    with pytest.raises(RuntimeError, match="over"):
        env.step(np.zeros(7))
    env.close()


@needs_maniskill
def test_observations(assets):
    env = SimplerWidowXEnv(table="flat_box", height=224, width=224, render_mode="rgb_array")
    start, info = env.reset(options={"task": "carrot_on_plate", "start": 3})
    assert env.observation_space.contains(start) and env.render().shape == (480, 640, 3)
    assert info["instruction"] == "put carrot on plate" and not info["success"]
    assert start["state"][3:6] == pytest.approx(0, abs=0.1) and start["state"][6] == 1  # BridgeData's start pose
    assert np.array_equal(env.render()[:, :20, 0], np.tile(np.arange(20), (480, 1)))  # the photograph
    for _ in range(3):
        moved = env.step([0, 0, 0.02, 0, 0, 0.1, 0])[0]["state"]
    assert moved[2] > start["state"][2] + 0.02 and moved[5] > 0.1 and moved[6] < 1
    env.reset(options={"task": "spoon_on_towel", "start": 3})
    again, _ = env.reset(options={"task": "carrot_on_plate", "start": 3})
    assert np.array_equal(again["images"]["static"], start["images"]["static"])
    assert np.array_equal(again["state"], start["state"])
    for options in ({"task": "dance"}, {"start": 24}, {"color": "red"}):
        with pytest.raises(ValueError, match=next(iter(options))):
            env.reset(options=options)
    env.close()
