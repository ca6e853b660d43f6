"""CALVIN against what was recorded from the original: trajectories, resets, images, all task detectors."""

import json
from pathlib import Path

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from safetensors import safe_open

from robovlms.evaluation import get_suite, rollout
from robovlms.simulators.calvin import MissingAssetsError
from robovlms.simulators.calvin.chains import generate_chains, published_chains
from robovlms.simulators.calvin.conditions import initial_conditions
from robovlms.simulators.calvin.initial_states import initial_state, seed_of
from robovlms.simulators.calvin.instructions import INSTRUCTIONS, PARAPHRASES
from robovlms.simulators.calvin.reference_policy import ReferencePolicy
from robovlms.simulators.calvin.scenes import get_scene
from robovlms.simulators.calvin.settings import SETTINGS
from robovlms.simulators.calvin.simulation import Simulation
from robovlms.simulators.calvin.tasks import TASKS, detect

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


def test_gymnasium_contract_and_the_same_episode_twice(env):
    check_env(env.unwrapped, skip_render_check=True)
    actions = np.random.default_rng(0).uniform(-1, 1, (8, 7))

    def episode():
        observation, info = env.reset(seed=5)
        told = [info["robot_obs"], info["scene_obs"], observation["images"]["static"]]
        for action in actions:
            observation, *_, info = env.step(action)
            told += [info["robot_obs"], info["scene_obs"], observation["images"]["gripper"]]
        return told

    first, again = episode(), episode()
    assert all(np.array_equal(one, other) for one, other in zip(first, again, strict=True))
    assert first[2].shape == (200, 200, 3) and first[-1].shape == (84, 84, 3)
    _, info = env.reset(seed=6)
    assert not np.allclose(info["scene_obs"], first[1])


def test_tasks_that_are_asked_for(env):
    chain = published_chains()[7]
    robot_obs, scene_obs = initial_state(chain.condition)
    scene_obs[:2] = 0
    _, info = env.reset(options={"robot_obs": robot_obs, "scene_obs": scene_obs, "task": "open_drawer"})
    assert info["instruction"] == "pull the handle to open the drawer" and not info["success"]
    assert info["tasks"] == ()
    with pytest.raises(ValueError, match="dance"):
        env.unwrapped.set_task("dance")


def test_absolute_actions_reach_their_pose():
    env = make(cameras=(), actions="absolute")
    _, info = env.reset(seed=0)
    pose = info["robot_obs"][:6] + np.array([0.05, 0.03, 0.04, 0, 0, 0.1])
    for _ in range(30):
        *_, info = env.step([*pose, -1])
    assert info["robot_obs"][:6] == pytest.approx(pose, abs=5e-3)
    assert info["robot_obs"][6] < 1e-3 and info["robot_obs"][14] == -1
    env.close()


def test_bad_input_is_refused(env, tmp_path, monkeypatch):
    monkeypatch.delenv("CALVIN_ASSETS", raising=False)
    for options, message in (
        ({"robot_obs": np.zeros(7)}, r"robot_obs must have shape \(15,\)"),
        ({"scene_obs": np.full(24, np.nan)}, "scene_obs must be finite"),
        ({"task": "dance"}, "dance"),
        ({"colour": "red"}, "colour"),
    ):
        with pytest.raises(ValueError, match=message):
            env.reset(options=options)
    env.reset(seed=0)
    with pytest.raises(ValueError, match=r"shape \(7,\)"):
        env.unwrapped.step(np.zeros(6))
    with pytest.raises(ValueError, match="scene"):
        make("E")
    with pytest.raises(ValueError, match="renderer"):
        make(renderer="vulkan")
    with pytest.raises(MissingAssetsError, match=r"git clone .*mees/calvin_env"):
        gymnasium.make("robovlms/Calvin-v0")
    (tmp_path / "data" / "franka_panda").mkdir(parents=True)
    with pytest.raises(MissingAssetsError, match=r"lack franka_panda/panda_longer_finger\.urdf"):
        gymnasium.make("robovlms/Calvin-v0", assets=tmp_path)


def test_chains_and_initial_states_are_the_published_ones():
    recorded = json.loads((GOLDEN / "chains.json").read_text())
    values, _ = golden("chain_initial_states")
    conditions = [dict(zip(recorded["keys"], state, strict=True)) for state in recorded["initial_states"]]
    chains = published_chains()
    assert len(chains) == 1000 and recorded["task_names"] == list(TASKS)
    for chain, (state, *tasks) in zip(chains, recorded["chains"], strict=True):
        assert chain.condition == conditions[state]
        assert chain.tasks == tuple(TASKS[task] for task in tasks)
    assert sorted(map(str, conditions)) == sorted(map(str, initial_conditions()))
    for condition, seed, scene_obs in zip(
        conditions, values["seed_all_states"], values["scene_obs_all_states"], strict=True
    ):
        assert seed_of(condition) == seed
        assert np.array_equal(initial_state(condition)[1], scene_obs)
    assert np.array_equal(initial_state(chains[0].condition)[0], values["robot_obs"][0])


@pytest.mark.slow
def test_generated_chains_are_the_published_ones():
    assert generate_chains() == published_chains()


def test_chains_come_out_the_same_with_one_environment_or_several():
    suite = get_suite("calvin", assets=ASSETS, cameras=())
    chains = suite.chains(TASKS, 20, 5, seed=0)[8:16]

    def run(num_envs):
        results = rollout(ReferencePolicy(), suite.make_env, chains, num_envs=num_envs, max_steps=90, progress=False)
        return [(result.completed, result.steps, result.reason) for result in results]

    alone = run(1)
    assert alone == run(3)
    assert sum(completed > 0 for completed, *_ in alone) >= 3
    with pytest.raises(ValueError, match="stack_block"):
        suite.episodes(["stack_block"], 1, 0)


@pytest.mark.parametrize("scene", ["A", "B", "C", "D"])
def test_models_of_the_original(scene):
    """Bodies in their order, and what each scene's table weighs, allows and shows."""
    recorded = json.loads((GOLDEN / "model_dump.json").read_text())[scene]
    simulation = Simulation(get_scene(scene), ASSETS)
    bullet, table = simulation.bullet, simulation.table.body
    names = [[name.decode() for name in bullet.getBodyInfo(body)] for body in range(bullet.getNumBodies())]
    assert names == recorded["bodies"]
    assert {f"block_{color}": body for color, body in simulation.blocks.items()}.items() <= recorded["uids"].items()
    for link in recorded["table"]:
        assert np.array(bullet.getAABB(table, link["index"])) == pytest.approx(np.array(link["aabb"]), abs=1e-6)
        assert bullet.getDynamicsInfo(table, link["index"])[:2] == (link["mass"], link["lateral_friction"])
        if link["index"] >= 0:
            assert bullet.getJointInfo(table, link["index"])[8:10] == (link["lower"], link["upper"])
    assert [list(shape[7]) for shape in bullet.getVisualShapeData(table)] == [shape[3] for shape in recorded["visual"]]
    simulation.close()


def test_settings_change_what_they_say_and_nothing_of_the_physics(env):
    condition = initial_conditions()[0]
    robot_obs, scene_obs = initial_state(condition)
    start = {"robot_obs": robot_obs, "scene_obs": scene_obs, "task": "lift_red_block_table"}
    views, told, states = {}, {}, {}
    for setting in (*SETTINGS, "seen"):  # at last once more: nothing of the others is left
        observation, info = env.reset(seed=2, options=start | {"setting": setting})
        changed = (observation["images"]["static"] != views.get("seen", observation["images"]["static"])).any(axis=-1)
        views[setting], told[setting] = observation["images"]["static"], info["instruction"]
        if setting in ("seen", "unseen_paraphrases"):
            assert not changed.any()
        else:
            assert changed.mean() > (0.002 if setting == "unseen_objects" else 0.3), setting
        for _ in range(5):
            info = env.step([0.5, 0.5, -0.5, 0.1, 0, 0.2, -1])[-1]
        states[setting] = (info["robot_obs"].tobytes(), info["scene_obs"].tobytes())
    assert len(set(states.values())) == 1
    assert told["unseen_objects"] == "grasp and lift the orange block"
    assert told["unseen_paraphrases"] in PARAPHRASES["lift_red_block_table"]
    with pytest.raises(ValueError, match=r"setting.*moon.*unseen_camera"):
        env.reset(options={"setting": "moon"})


def test_every_task_has_paraphrases_of_its_own():
    own = [sentence for task in TASKS for sentence in PARAPHRASES[task]]
    assert set(PARAPHRASES) == set(TASKS) and len(own) == len(set(own))
    assert not set(own) & set(INSTRUCTIONS.values())


def test_chains_in_a_setting():
    usual, changed = (
        get_suite("calvin", assets=ASSETS),
        get_suite("calvin", assets=ASSETS, setting="unseen_paraphrases"),
    )
    chain, other = usual.chains([], 1, 5, 0)[0], changed.chains([], 1, 5, 0)[0]
    assert [chain.task, *(task for task, _ in chain.then)] == [other.task, *(task for task, _ in other.then)]
    for task, words in ((other.task, other.instruction), *other.then):
        assert words in PARAPHRASES[task]
    assert usual.settings["unseen_paraphrases"](chain) == other
    assert changed.facts["setting"] == changed.options["setting"] == "unseen_paraphrases"
