"""CALVIN against what was recorded from the original: trajectories, resets, images, all task detectors."""

import json
from pathlib import Path

import gymnasium
import numpy as np
import pytest
from safetensors import safe_open

from robovlms.evaluation.calvin.tasks import TASKS, detect

SHARED = Path(__file__).parents[1].parent / "shared"
ASSETS, GOLDEN = SHARED / "calvin_assets", SHARED / "reference" / "calvin" / "golden"
pytestmark = pytest.mark.skipif(
    not (ASSETS.exists() and GOLDEN.exists()), reason=f"no CALVIN assets or golden values in {SHARED}"
)
pytest.importorskip("pybullet", reason="PyBullet isn't installed: pip install 'robovlms[calvin]'")
TRAJECTORIES = ("d_drawer_slider", "d_lift_place_slider", "d_random", "b_button_random")


def golden(name: str) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    with safe_open(GOLDEN / f"{name}.safetensors", "np") as file:
        return {key: file.get_tensor(key) for key in file.keys()}, file.metadata()  # noqa: SIM118


def make(scene: str = "D", **options):
    return gymnasium.make("robovlms/Calvin-v0", scene=scene, assets=ASSETS, **options)


@pytest.fixture(scope="module")
def env():
    env = make()
    yield env
    env.close()


def fired(names: tuple[str, ...]) -> list[int]:
    return [int(task in names) for task in TASKS]


@pytest.mark.parametrize("name", TRAJECTORIES)
def test_trajectories_of_the_original(name):
    values, about = golden(name)
    with np.load(GOLDEN / f"{name}_images.npz") as file:
        pictures = {int(step): (file["rgb_static"][i], file["rgb_gripper"][i]) for i, step in enumerate(file["steps"])}
    env = make(about["scene"][-1], cameras=()).unwrapped
    options = {"robot_obs": values["init_robot_obs"], "scene_obs": values["init_scene_obs"]}
    observation, info = env.reset(options=options)
    assert info["robot_obs"] == pytest.approx(values["reset_robot_obs"], abs=1e-6)
    assert info["scene_obs"] == pytest.approx(values["reset_scene_obs"], abs=1e-6)
    snapshots = [env.snapshot()]
    for step, action in enumerate(values["action"]):
        if step in pictures:
            for camera, original in zip(("static", "gripper"), pictures[step], strict=True):
                assert np.abs(env.image(camera).astype(int) - original).mean() < 0.5
        observation, _, terminated, truncated, info = env.step(action)
        assert not terminated and not truncated
        assert info["robot_obs"] == pytest.approx(values["robot_obs"][step], abs=1e-6)
        assert info["scene_obs"] == pytest.approx(values["scene_obs"][step], abs=1e-6)
        assert observation["state"] == pytest.approx(values["robot_obs"][step], abs=1e-6)
        assert fired(info["tasks"]) == values["detections"][step].tolist()
        snapshots.append(env.snapshot())
    for start, detections in zip(values["detections_from_start"], values["detections_from"], strict=True):
        for step in range(start, len(detections)):
            assert fired(detect(snapshots[start], snapshots[step + 1])) == detections[step].tolist()
    env.close()


@pytest.mark.parametrize("scene", ["B", "D"])
@pytest.mark.parametrize("fresh", [True, False])
def test_resets_of_the_original(scene, fresh):
    """The original kept contacts over these resets; whether we do makes no difference to them."""
    env = make(scene, cameras=(), fresh_resets=fresh)
    for reset in json.loads((GOLDEN / f"resets_{scene}.json").read_text())["tests"]:
        _, info = env.reset(options={"robot_obs": reset["robot_obs_in"], "scene_obs": reset["scene_obs_in"]})
        assert info["robot_obs"] == pytest.approx(reset["robot_obs_out"], abs=1e-6)
        assert info["scene_obs"] == pytest.approx(reset["scene_obs_out"], abs=1e-6)
        *_, info = env.step([0, 0, 0, 0, 0, 0, 1])
        assert info["robot_obs"] == pytest.approx(reset["robot_obs_step1"], abs=1e-6)
        assert info["scene_obs"] == pytest.approx(reset["scene_obs_step1"], abs=1e-6)
    env.close()


@pytest.mark.parametrize("fresh", [True, False])
def test_detectors_on_all_pairs_of_78_states(fresh):
    values, _ = golden("detector_states")
    pairs = json.loads((GOLDEN / "detector_pairs.json").read_text())
    env = make(cameras=(), fresh_resets=fresh).unwrapped
    snapshots = []
    for number, (robot_obs, scene_obs) in enumerate(zip(values["robot_obs_in"], values["scene_obs_in"], strict=True)):
        _, info = env.reset(options={"robot_obs": robot_obs, "scene_obs": scene_obs})
        if not fresh:
            assert info["robot_obs"] == pytest.approx(values["robot_obs_after"][number], abs=1e-6)
            assert info["scene_obs"] == pytest.approx(values["scene_obs_after"][number], abs=1e-6)
        snapshots.append(env.snapshot())
    positive = {(start, end): set(tasks) for start, end, tasks in pairs["positives"]}
    for start, before in enumerate(snapshots):
        for end, after in enumerate(snapshots):
            assert set(detect(before, after)) == positive.get((start, end), set()), (start, end)
    env.close()
