"""The rollout engine, records and pictures, on a small environment that needs eyes and ears."""

import os
import signal
import sys
import time
from dataclasses import replace
from itertools import pairwise

import av
import cloudpickle
import gymnasium
import numpy as np
import pytest
from PIL import Image

from robovlms.evaluation import (
    EnvironmentFailure,
    Episode,
    EvaluationRecord,
    RandomPolicy,
    Suite,
    contact_sheet,
    evaluate,
    get_suite,
    plot_controls,
    plot_losses,
    plot_success,
    rollout,
    rollout_gif,
    rollout_video,
    wilson_interval,
)
from robovlms.simulators.tabletop.environment import TabletopEnv
from robovlms.simulators.tabletop.expert import expert_action
from robovlms.simulators.tabletop.tasks import TASKS

# Environment processes can't import test modules: send what is defined here by value.
cloudpickle.register_pickle_by_value(sys.modules[__name__])

COLOURS = {"red": (220, 60, 50), "green": (50, 170, 90), "blue": (60, 110, 210), "yellow": (235, 190, 50)}
INSTRUCTIONS = {f"reach_{name}": (f"go to the {name} square", f"touch the {name} one") for name in COLOURS}


class Dots(gymnasium.Env):
    """A black dot moves among coloured squares; the task is to reach the one that is asked for."""

    action_space = gymnasium.spaces.Box(-1, 1, (2,), np.float32)

    def __init__(self, fault: str | None = None):
        self.render_mode = None
        self.fault = fault

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        corners = self.np_random.permutation([(12, 12), (12, 52), (52, 12), (52, 52)])
        self.places = dict(zip(COLOURS, corners + self.np_random.integers(-5, 6, (4, 2)), strict=True))
        self.dot = self.np_random.uniform(28, 36, 2)
        self.set_task(**options)
        return self.observe(), {}

    def set_task(self, task, instruction):
        self.task = task

    def step(self, action):
        if self.task == "reach_green" and self.fault == "dies":
            print("segmentation of the simulator", file=sys.stderr, flush=True)
            os.kill(os.getpid(), signal.SIGKILL)
        if self.task == "reach_green" and self.fault == "raises":
            raise FloatingPointError("the simulation blew up")
        if self.task == "reach_green" and self.fault == "hangs":
            time.sleep(60)
        self.dot = np.clip(self.dot + 4 * np.clip(action, -1, 1), 2, 62)
        success = bool(np.abs(self.dot - self.places[self.task.removeprefix("reach_")]).max() < 5)
        return self.observe(), 0.0, success, False, {"success": success}

    def observe(self):
        image = np.full((64, 64, 3), 240, np.uint8)
        for name, (y, x) in self.places.items():
            image[y - 5 : y + 5, x - 5 : x + 5] = COLOURS[name]
        y, x = self.dot.round().astype(int)
        image[max(y - 2, 0) : y + 2, max(x - 2, 0) : x + 2] = 0
        return {"images": {"static": image}, "state": self.dot.astype(np.float32)}


class Seeker:
    """Looks for the square that it is told of and walks there; remembers, per row, how often it has acted."""

    def __init__(self):
        self.steps: dict[int, int] = {}

    def reset(self, rows=None):
        for row in list(self.steps) if rows is None else rows:
            self.steps.pop(row, None)

    def select_action(self, observations, instructions):
        return np.stack([self.act(*each) for each in zip(range(99), observations, instructions, strict=False)])

    def act(self, row, observation, instruction):
        self.steps[row] = self.steps.get(row, 0) + 1
        image = observation["images"]["static"].astype(int)
        colour = next(rgb for name, rgb in COLOURS.items() if name in instruction)
        found = np.argwhere((image == colour).all(-1))
        if not len(found):
            return np.zeros(2, np.float32)
        pace = 1 / (1 + self.steps[row] % 3)  # history matters: a row that isn't reset walks differently
        return np.clip((found.mean(0) - observation["state"]) / 4, -pace, pace).astype(np.float32)


def dots_suite(fault=None):
    return Suite(
        name="dots",
        version="1",
        instructions=INSTRUCTIONS,
        make_env=lambda: Dots(fault),
        max_steps=30,
        control_frequency=10.0,
        settings={"same": lambda episode: episode},
        make_chain=lambda generator, tasks, length: generator.choice(tasks, length),
    )


EPISODES = dots_suite().episodes(list(INSTRUCTIONS), 12, seed=5)


@pytest.fixture(scope="module")
def evaluation():
    return evaluate(
        Seeker(), dots_suite(), episodes=20, num_envs=4, settings=["same"], chains=6, films=2, progress=False
    )


@pytest.mark.parametrize("policy", [Seeker(), RandomPolicy(Dots.action_space, seed=3)], ids=["seeker", "random"])
def test_results_do_not_depend_on_the_number_of_environments(policy):
    alone, together = (
        rollout(policy, Dots, EPISODES, num_envs=number, max_steps=15, progress=False) for number in (1, 5)
    )
    assert alone == together
    assert [(result.task, result.seed) for result in alone] == [(episode.task, episode.seed) for episode in EPISODES]


@pytest.mark.parametrize(
    ("fault", "reason"),
    [("dies", "died (killed by SIGKILL): segmentation"), ("raises", "FloatingPointError: the simulation blew up"),
     ("hangs", "hung: no answer for 2 seconds")],
)  # fmt: skip
def test_a_failing_environment_fails_its_episodes_only(fault, reason):
    results = rollout(Seeker(), lambda: Dots(fault), EPISODES[:6], num_envs=2, max_steps=30, timeout=2, progress=False)
    for result in results:
        assert result.crashed == (result.task == "reach_green")
        assert result.success != result.crashed
        assert reason in result.reason if result.crashed else result.reason is None


def test_an_environment_that_cannot_be_built_is_an_error():
    def make_env():
        raise ImportError("no GL library")

    with pytest.raises(EnvironmentFailure, match="ImportError: no GL library"):
        rollout(Seeker(), make_env, EPISODES, progress=False)


def test_bad_actions_are_errors():
    class Bad(Seeker):
        def select_action(self, observations, instructions):
            return super().select_action(observations, instructions) * np.nan

    with pytest.raises(ValueError, match="non-finite"):
        rollout(Bad(), Dots, EPISODES[:1], progress=False)


def test_step_limit_and_recorded_frames():
    results = rollout(
        RandomPolicy(Dots.action_space), Dots, EPISODES[:5], max_steps=7, films=1, film_every=3, progress=False
    )
    limited = [result for result in results if result.reason == "step limit"]
    assert limited and all(result.steps == 7 for result in limited)
    assert [len(result.frames) for result in limited[:1]] == [4]  # reset, 3, 6 and the last
    assert not results[4].frames  # the second episode of its task


def test_wilson_interval():
    # scipy.stats.binomtest(successes, episodes).proportion_ci(method="wilson")
    assert wilson_interval(8, 10) == pytest.approx((0.4901625, 0.9433178), abs=1e-6)
    assert wilson_interval(0, 10) == pytest.approx((0.0, 0.2775328), abs=1e-6)
    assert wilson_interval(100, 100) == pytest.approx((0.9630065, 1.0), abs=1e-6)
    assert wilson_interval(0, 0) == (0.0, 1.0)
    with pytest.raises(ValueError, match="successes"):
        wilson_interval(3, 2)


def test_evaluation_tells_a_policy_from_its_controls(evaluation):
    record, _ = evaluation
    assert record.success_rate == 1.0 and record.episodes == 20 and record.crashed_episodes == 0
    assert set(record.per_task) == set(INSTRUCTIONS)
    assert record.unseen["same"].success_rate == 1.0
    assert set(record.controls) == {"shuffled_instruction", "black_images", "random_policy"}
    assert all(control.success_rate < 0.3 for control in record.controls.values())
    assert record.chains.average_length == 5.0 and record.chains.success_at["5"].success_rate == 1.0
    assert "average length 5.00" in record.summary()


def test_record_round_trip(evaluation, tmp_path):
    record, _ = evaluation
    record.save(tmp_path / "evaluation.json")
    assert EvaluationRecord.load(tmp_path / "evaluation.json") == record


def test_a_record_names_no_paths():
    episode = Episode("reach_red", "go to the red square", 0)
    (result,) = rollout(Seeker(), lambda: Dots(), [episode], progress=False)
    result.success, result.reason = False, "FileNotFoundError: '/home/someone/assets/scene.xml' at /usr/lib/x.py:3"
    record = EvaluationRecord.of_results([result], minutes=0.0, controls={}, suite="dots")
    assert record.episode_list[0]["reason"] == "FileNotFoundError: 'scene.xml' at x.py:3"


@pytest.mark.parametrize("name", ["tasks", "controls", "settings"])
def test_unknown_names_are_listed(name):
    with pytest.raises(ValueError, match=f"{name}: unknown .'fly'."):
        evaluate(Seeker(), dots_suite(), **{name: ["fly"]})


def test_pictures(evaluation, tmp_path):
    record, results = evaluation
    recorded = [result for result in results if result.frames]
    assert len(recorded) >= 8
    history = [{"step": step, "loss": 2 / (1 + step), "pose_loss": 1 / (1 + step)} for step in range(60)]
    plot_losses([*history, {"step": 60, "train_loss": 1.0}], tmp_path / "losses.png")
    plot_success(record, tmp_path / "success.png")
    plot_controls(record, tmp_path / "controls.png")
    contact_sheet(results, tmp_path / "sheet.png")
    for name in ("losses", "success", "controls", "sheet"):
        with Image.open(tmp_path / f"{name}.png") as picture:
            assert picture.width > 600
    longest = max(len(result.frames) for result in recorded[:6])
    rollout_gif(results, tmp_path / "rollouts.gif", max_tiles=6, fps=5)
    with Image.open(tmp_path / "rollouts.gif") as animation:
        seconds = 0.0
        for number in range(animation.n_frames):
            animation.seek(number)
            seconds += animation.info["duration"] / 1000
    assert seconds == pytest.approx((longest + 5) / 5, abs=0.05)  # equal frames may have been merged
    rollout_video(results, tmp_path / "rollouts.mp4", max_tiles=6, fps=5)
    with av.open(str(tmp_path / "rollouts.mp4")) as container:
        assert len(list(container.decode(video=0))) == longest + 5
    with pytest.raises(ValueError, match="films"):
        contact_sheet(rollout(Seeker(), Dots, EPISODES[:1], progress=False), tmp_path / "none.png")


class ExpertDriven(TabletopEnv):
    """The tabletop with the scripted expert at the controls, whatever the policy says."""

    def step(self, action):
        return super().step(expert_action(self))


def test_tabletop_suite_with_the_expert_at_the_controls():
    suite = get_suite("tabletop", render_size=64)
    suite = replace(suite, make_env=lambda: ExpertDriven(render_mode="rgb_array", max_steps=1000))
    idle = RandomPolicy(Dots.action_space)
    record, _ = evaluate(
        idle, suite, tasks=TASKS, episodes=19, controls=["shuffled_instruction"], control_episodes=2, settings=list(suite.settings),
        setting_episodes=2, chains=3, num_envs=4, progress=False,
    )  # fmt: skip
    assert record.success_rate >= 17 / 19
    assert len(record.per_task) == 19 and set(record.unseen) == set(suite.settings)
    assert record.chains.average_length >= 4
    assert record.control_frequency == 20.0
    unheard = [suite.settings["unseen_paraphrases"](episode).instruction for episode in suite.episodes(TASKS, 19, 0)]
    assert not set(unheard) & {words for known in suite.instructions.values() for words in known}


def test_chains_change_something_at_each_step():
    suite = get_suite("tabletop")
    for chain in suite.chains(["open_drawer", "close_drawer", "turn_on_light", "turn_off_light"], 20, 5, seed=0):
        tasks = [chain.task, *(task for task, _ in chain.then)]
        drawer = [task for task in tasks if "drawer" in task]
        assert len(tasks) == 5 and all(one != other for one, other in pairwise(drawer))
    with pytest.raises(ValueError, match="chains"):
        suite.chains(["open_drawer"], 1, 2, seed=0)
