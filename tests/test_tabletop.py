"""The embedded simulator: contract of the environment, tasks, expert, demonstrations and chains."""

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from robovlms.simulators.tabletop import (
    BASE_TASKS,
    GROUNDING_NAMES,
    SETTINGS,
    SKILLS,
    TASK_TABLE,
    TASKS,
    Noise,
    NoOpenGLError,
    TabletopEnv,
    choose_backend,
    collect,
    collect_chain,
    expert_action,
    sample_chain,
    scene_layout,
    task_of_instruction,
)


@pytest.fixture(scope="module")
def env():
    env = TabletopEnv(image_size=32)
    yield env
    env.close()


def follow_expert(env: TabletopEnv, info: dict) -> tuple[bool, int]:
    assert not info["success"]
    terminated = truncated = False
    steps = 0
    while not (terminated or truncated):
        *_, terminated, truncated, info = env.step(expert_action(env))
        steps += 1
    return terminated, steps


def test_gymnasium_contract():
    env = gymnasium.make("robovlms/Tabletop-v0", image_size=32, render_mode="rgb_array", render_size=40)
    check_env(env.unwrapped)
    observation, info = env.reset(seed=0)
    assert env.observation_space.contains(observation)
    assert env.render().shape == (40, 40, 3)
    assert info["grounding"].shape == (len(GROUNDING_NAMES),) and info["grounding"].dtype == np.float32
    env.close()


def test_same_seed_gives_the_same_episode_bit_for_bit(env):
    def episode(env):
        actions = np.random.default_rng(0).uniform(-1, 1, (12, 7))
        observation, info = env.reset(seed=5)
        frames, instruction = [observation], info["instruction"]
        for action in actions:
            frames.append(env.step(action)[0])
        images = [frame["images"][camera] for frame in frames for camera in ("static", "gripper")]
        return instruction, np.stack(images), np.stack([frame["state"] for frame in frames])

    first, again = episode(env), episode(env)
    other = TabletopEnv(image_size=32)
    for repeated in (again, episode(other)):
        assert first[0] == repeated[0]
        assert np.array_equal(first[1], repeated[1]) and np.array_equal(first[2], repeated[2])
    other.close()
    assert not np.array_equal(first[1][0], env.reset(seed=6)[0]["images"]["static"])


def test_wrong_actions_and_options_are_refused(env):
    with pytest.raises(RuntimeError, match="reset"):
        TabletopEnv().step(np.zeros(7))
    env.reset(seed=0)
    with pytest.raises(ValueError, match=r"shape \(7,\), got \(6,\)"):
        env.step(np.zeros(6))
    with pytest.raises(ValueError, match="finite"):
        env.step(np.full(7, np.nan))
    env.step(np.full(7, 10.0))
    for options, message in (
        ({"task": "dance"}, "known tasks"),
        ({"setting": "mars"}, "known settings"),
        ({"instruction": "sing a song"}, "sing a song"),
        ({"color": "red"}, "color"),
    ):
        with pytest.raises(ValueError, match=message):
            env.reset(options=options)


def test_episode_ends_and_needs_a_reset():
    env = TabletopEnv(image_size=8, max_steps=2)
    env.reset(seed=0)
    assert env.step(np.zeros(7))[2:4] == (False, False)
    assert env.step(np.zeros(7))[2:4] == (False, True)
    with pytest.raises(RuntimeError, match="over"):
        env.step(np.zeros(7))
    env.set_task("open_drawer")
    env.step(np.zeros(7))
    env.close()


def test_tasks_and_sentences():
    assert len(TASKS) == 19 and len(BASE_TASKS) == 13
    assert {task.skill for task in TASK_TABLE.values()} == set(SKILLS)
    sentences = [s for task in TASK_TABLE.values() for s in task.sentences]
    assert len(sentences) == len(set(sentences))
    assert all(task_of_instruction(task.instruction) == name for name, task in TASK_TABLE.items())


def test_every_task_can_be_done_in_one_same_scene(env):
    for task in TASKS:
        observation, info = env.reset(seed=11, options={"task": task})
        if task == TASKS[0]:
            first = observation
        assert np.array_equal(observation["images"]["static"], first["images"]["static"])
        assert info["feasible"] and info["task"] == task
        done, _ = follow_expert(env, info)
        assert done, task


@pytest.mark.parametrize("setting", SETTINGS)
def test_expert_in_each_setting(env, setting):
    for seed, task in enumerate(TASKS[::3]):
        _, info = env.reset(seed=1000 + seed, options={"task": task, "setting": setting})
        done, steps = follow_expert(env, info)
        assert done and 5 < steps < 70, task


def test_settings_change_what_they_say(env):
    views, sentences = {}, {}
    for setting in SETTINGS:
        observation, info = env.reset(seed=3, options={"task": "lift_red_block", "setting": setting})
        views[setting], sentences[setting] = observation["images"]["static"], info["instruction"]
    for setting in SETTINGS:
        changed = (views[setting] != views["seen"]).any(axis=-1).mean()
        assert changed == 0 if setting in ("seen", "unseen_paraphrases", "novel_instructions") else changed > 0.01, (
            setting
        )
    task = TASK_TABLE["lift_red_block"]
    assert sentences["unseen_paraphrases"] in task.held_out_paraphrases and sentences["seen"] in task.paraphrases
    assert sentences["novel_instructions"] in task.novel_instructions
    assert "orange can" in sentences["unseen_objects"] and "block" not in sentences["unseen_objects"]
    assert np.array_equal(env.reset(seed=3, options={"task": "lift_red_block"})[0]["images"]["static"], views["seen"])


def test_only_the_look_differs_where_only_the_look_is_unseen(env):
    states = {}
    for setting in ("seen", "unseen_textures", "unseen_lighting", "unseen_camera"):
        _, info = env.reset(seed=4, options={"setting": setting})
        observation = env.step(np.full(7, 0.3))[0]
        states[setting] = (info["instruction"], observation["state"].tobytes(), info["grounding"].tobytes())
    assert len(set(states.values())) == 1


VERBS = [
    "lift",
    "pick",
    "raise",
    "grab",
    "take",
    "push",
    "slide",
    "move",
    "pushing",
    "put",
    "place",
    "set",
    "open",
    "pull",
    "close",
    "shut",
    "turn",
    "switch",
    "press",
]


def test_novel_instructions_share_no_verb_with_training():
    trained = {word for task in TASK_TABLE.values() for sentence in task.paraphrases for word in sentence.split()}
    assert set(VERBS) <= trained
    for task in TASK_TABLE.values():
        for sentence in task.novel_instructions:
            assert not set(sentence.replace(",", "").split()) & set(VERBS), sentence


def test_demonstrations_do_not_depend_on_the_number_of_processes():
    runs = [
        list(collect(BASE_TASKS[::4], episodes=4, seed=1, processes=processes, image_size=16, progress=False))
        for processes in (1, 2)
    ]
    for one, other in zip(*runs, strict=True):
        assert one.success and one.task == other.task and one.instruction == other.instruction
        assert np.array_equal(one.actions, other.actions)
        assert np.array_equal(one.images["gripper"], other.images["gripper"])
    episode = runs[0][0]
    assert episode.actions.shape == (len(episode), 7) and episode.actions.dtype == np.float32
    assert np.abs(episode.actions).max() <= 1
    assert episode.images["static"].shape == (len(episode), 16, 16, 3)
    step = next(episode.steps())
    assert set(step) == {"observation", "action", "grounding", "instruction"}
    assert not np.array_equal(episode.state[0, :3], runs[0][1].state[0, :3])


def test_expert_follows_a_chain_of_five(env):
    chain = sample_chain(np.random.default_rng(0), layout=scene_layout(0))
    assert len(set(chain)) == 5
    env.reset(seed=0)
    for task in chain:
        info = env.set_task(task, TASK_TABLE[task].instruction)
        assert info["feasible"] and info["task"] == task
        assert follow_expert(env, info)[0], task
    episodes = collect_chain(env, seed=1, length=3, noise=Noise())
    assert [episode.success for episode in episodes] == [True] * 3
    with pytest.raises(ValueError, match="chain"):
        sample_chain(np.random.default_rng(0), tasks=["turn_on_light"])


def test_missing_opengl_names_the_packages(monkeypatch):
    monkeypatch.delenv("ROBOVLMS_GL_CHECKED", raising=False)
    monkeypatch.setenv("__EGL_VENDOR_LIBRARY_DIRS", "/nonexistent")
    monkeypatch.setenv("MUJOCO_GL", "egl")
    with pytest.raises(NoOpenGLError, match="libegl1 libgl1-mesa-dri"):
        choose_backend.__wrapped__()
    monkeypatch.setenv("MUJOCO_GL", "metal")
    with pytest.raises(NoOpenGLError, match="metal"):
        choose_backend.__wrapped__()
