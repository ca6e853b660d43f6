"""Meta-World: contract of the environment, seeds, experts through the rollout engine, settings, demonstrations.

Skipped where the extra `metaworld` is not installed (it pins MuJoCo): .ci/nightly runs it in an environment of its own.
"""

import subprocess
import sys
from collections import Counter
from pathlib import Path

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from robovlms.commands.collect import collect_metaworld
from robovlms.data import LeRobotDataset
from robovlms.evaluation import EnvironmentPool, EvaluationRecord, evaluate, get_suite
from robovlms.simulators.metaworld.instructions import INSTRUCTIONS

BENCHMARK = Path(__file__).parents[1] / "benchmarks" / "metaworld_vla.py"
WITHOUT_PACKAGE = """
import sys
sys.modules["metaworld"] = None
from robovlms.evaluation import get_suite
try:
    get_suite("metaworld")
except ImportError as error:
    assert 'pip install "robovlms[metaworld]"' in str(error), error
else:
    raise AssertionError("no error")
"""


def test_the_missing_extra_is_named():
    done = subprocess.run([sys.executable, "-c", WITHOUT_PACKAGE], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


metaworld = pytest.importorskip("metaworld", reason="needs the extra metaworld")

from robovlms.simulators.metaworld.demonstrations import collect  # noqa: E402
from robovlms.simulators.metaworld.environment import TASKS, MetaWorldEnv  # noqa: E402
from robovlms.simulators.metaworld.experts import MetaWorldExpert, expert_action  # noqa: E402
from robovlms.simulators.metaworld.package import mt10, mt50  # noqa: E402
from robovlms.simulators.metaworld.settings import SETTINGS  # noqa: E402

CAMERAS = ("corner2", "gripperPOV")
QUICK = ("handle-press-v3", "coffee-button-v3", "door-unlock-v3")  # their experts need 35 to 45 steps


@pytest.fixture(scope="module")
def env():
    env = MetaWorldEnv(QUICK, cameras=CAMERAS, image_size=48, render="tuned", privileged=True)
    yield env
    env.close()


def follow_expert(env: MetaWorldEnv, seed: int, **options) -> tuple[list[np.ndarray], bool]:
    """The pictures that an episode shows, and whether it ended well."""
    observation, info = env.reset(seed=seed, options=options)
    frames, over = [], False
    while not over:
        frames.append(np.stack(list(observation["images"].values())))
        observation, _, terminated, truncated, info = env.step(expert_action(observation))
        over = terminated or truncated
    return frames, info["success"]


def test_gymnasium_contract():
    env = gymnasium.make(
        "robovlms/MetaWorld-v0",
        cameras=CAMERAS,
        image_size=32,
        render="tuned",
        render_mode="rgb_array",
        render_size=40,
    )
    check_env(env.unwrapped)
    observation, info = env.reset(seed=0, options={"task": "reach-v3"})
    assert env.observation_space.contains(observation) and set(observation) == {"images", "state"}
    assert observation["state"].shape == (4,) and info["task"] == "reach-v3"
    assert info["instruction"] in INSTRUCTIONS["reach-v3"].seen
    assert env.render().shape == (40, 40, 3)
    for options, named in (
        ({"task": "reach"}, "reach-v3"),
        ({"setting": "night"}, "unseen_lighting"),
        ({"instruction": "reach"}, "without a task"),
        ({"goal": 3}, "known: task, instruction, setting"),
    ):
        with pytest.raises(ValueError, match=named):
            env.reset(options=options)
    env.reset(seed=0)
    with pytest.raises(ValueError, match="shape"):
        env.step(np.zeros(7))
    env.close()


def test_every_task_has_sentences_of_its_own():
    assert set(INSTRUCTIONS) == set(mt50()) and set(mt10()) <= set(TASKS)
    told = Counter(words for task in INSTRUCTIONS.values() for words in (*task.seen, *task.held_out))
    assert max(told.values()) == 1
    assert all(len(task.seen) >= 3 and len(task.held_out) >= 2 for task in INSTRUCTIONS.values())


def test_same_seed_gives_the_same_episode_bit_for_bit(env):
    task = "coffee-button-v3"
    frames, _ = follow_expert(env, 7, task=task)
    follow_expert(env, 8, task=task, setting="unseen_lighting")  # leaves nothing behind
    again, _ = follow_expert(env, 7, task=task)
    fresh = MetaWorldEnv((task,), cameras=CAMERAS, image_size=48, render="tuned", privileged=True)
    anew, _ = follow_expert(fresh, 7, task=task)
    fresh.close()
    assert np.array_equal(frames, again) and np.array_equal(frames, anew)


def test_seeds_place_things_as_meta_world_does(env):
    """Places differ from seed to seed and lie where Meta-World draws its own."""
    benchmark = metaworld.MT1("door-unlock-v3", seed=0)
    model = benchmark.train_classes["door-unlock-v3"]()
    low, high = model._random_reset_space.low, model._random_reset_space.high
    places = np.stack([env.reset(seed=seed, options={"task": "door-unlock-v3"})[1]["placement"] for seed in range(40)])
    assert len(np.unique(places, axis=0)) == 40
    assert (places >= low).all() and (places <= high).all()
    varied = high > low
    assert (np.ptp(places, axis=0)[varied] > 0.8 * (high - low)[varied]).all()


def test_default_rendering_is_meta_worlds_own():
    task = "drawer-open-v3"
    env = MetaWorldEnv((task,), cameras=("corner2",), image_size=64, render="default")
    observation, _ = env.reset(seed=3)
    theirs = env._simulation._env
    theirs.render_mode, theirs.camera_name = "rgb_array", "corner2"
    theirs.mujoco_renderer.width = theirs.mujoco_renderer.height = 64
    theirs.mujoco_renderer.camera_id = theirs.model.camera("corner2").id
    upside_down = theirs.render()
    assert np.array_equal(observation["images"]["corner2"], upside_down[::-1, ::-1])
    env.close()


def test_images_are_upright():
    """The grey background is above the robot's table in every camera that sees it."""
    env = MetaWorldEnv(
        ("reach-v3",), cameras=("corner", "corner2", "corner3", "corner4"), image_size=64, render="tuned"
    )
    images = env.reset(seed=0)[0]["images"]
    for camera in ("corner", "corner2", "corner4"):
        top = images[camera][:2].reshape(-1, 3).astype(float)
        grey = np.abs(top - [127, 126, 122]).max(axis=1) < 4
        assert grey.mean() > 0.5, camera
    env.close()


@pytest.mark.parametrize("setting", [setting for setting in SETTINGS if setting != "seen"])
def test_settings_change_what_is_seen_or_said_and_leave_the_task_solvable(env, setting):
    for task in QUICK:
        seen, info = env.reset(seed=4, options={"task": task})
        changed, told = env.reset(seed=4, options={"task": task, "setting": setting})
        difference = np.abs(seen["images"]["corner2"].astype(float) - changed["images"]["corner2"]).mean()
        if setting == "unseen_paraphrases":
            assert difference == 0 and told["instruction"] in INSTRUCTIONS[task].held_out
        else:
            assert difference > 0.2 and told["instruction"] == info["instruction"]
        assert np.array_equal(seen["state"], changed["state"])
        assert np.array_equal(info["placement"], told["placement"])
        assert follow_expert(env, 4, task=task, setting=setting)[1]


def test_experts_through_the_rollout_engine_are_the_same_with_one_or_three_environments():
    suite = get_suite("metaworld", cameras=(), privileged=True)
    records = [
        evaluate(MetaWorldExpert(), suite, tasks=QUICK, episodes=12, num_envs=num_envs, controls=False, films=0,
                 progress=False)[0]
        for num_envs in (1, 3)
    ]  # fmt: skip
    assert records[0].success_rate == 1.0
    steps = [[(episode["seed"], episode["steps"]) for episode in record.episode_list] for record in records]
    assert steps[0] == steps[1]
    assert records[0].suite_facts["metaworld"] and "default" in records[0].suite_facts["rendering"]
    assert "500 steps" in records[0].termination and records[0].control_frequency == 80


def test_an_expert_without_its_observation_says_so():
    env = MetaWorldEnv(("reach-v3",), cameras=())
    with pytest.raises(ValueError, match="privileged=True"):
        expert_action(env.reset(seed=0)[0])
    env.close()


def test_wrong_options_are_refused_before_processes_start():
    with pytest.raises(ValueError, match="corner2"):
        get_suite("metaworld", cameras=("front",))
    with pytest.raises(ValueError, match="tuned"):
        get_suite("metaworld", render="fast")


def test_pictures_are_the_same_in_another_process(env):
    suite = get_suite("metaworld", cameras=CAMERAS, image_size=48, render="tuned", render_size=48)
    options = {"task": "handle-press-v3", "setting": "unseen_distractors"}
    ours = env.reset(seed=9, options=options)[0]["images"]
    with EnvironmentPool(suite.make_env, 1) as pool:
        pool[0].send("reset", 9, options, False)
        theirs = pool[0].receive()["observation"]["images"]
    assert all(np.array_equal(ours[camera], theirs[camera]) for camera in CAMERAS)


def test_demonstrations_are_a_dataset_and_depend_on_their_number_alone(tmp_path):
    options = {"seed": 1, "cameras": ("corner4",), "image_size": 32, "render": "tuned"}
    alone, pair = (
        list(collect(QUICK[:2], episodes=4, processes=processes, progress=False, **options)) for processes in (1, 2)
    )
    for one, two in zip(alone, pair, strict=True):
        assert one.success and one.instruction in INSTRUCTIONS[one.task].seen
        assert np.array_equal(one.actions, two.actions)
        assert np.array_equal(one.images["corner4"], two.images["corner4"])
    collect_metaworld(tmp_path / "data", QUICK[:2], episodes=2, **options)
    collect_metaworld(tmp_path / "data", QUICK[:2], episodes=4, **options)  # goes on
    dataset = LeRobotDataset(tmp_path / "data", window_size=1, chunk_size=4)
    assert dataset.fps == 80 and len(dataset) == sum(len(episode.actions) for episode in alone)
    assert set(dataset.instructions) == {episode.instruction for episode in alone}
    sample = dataset[0]
    assert np.allclose(sample["actions"][0], alone[0].actions[:4])


@pytest.mark.slow
@pytest.mark.timeout(5400)
def test_a_small_vla_learns_five_tasks(tmp_path):
    """The recipe of docs/metaworld.md: success on placements that no demonstration had."""
    subprocess.run([sys.executable, BENCHMARK, str(tmp_path)], check=True)
    record = EvaluationRecord.load(tmp_path / "evaluation" / "evaluation.json")
    assert record.success_rate >= 0.8, record.summary()
    assert record.controls["shuffled_instruction"].success_rate < 0.5, record.summary()
