"""Robots: mapping, the control loop with its stops, evaluation by hand, the command."""

import json
import threading
import time

import av
import numpy as np
import pytest
import torch

from robovlms import CameraSpec, OneStepContinuousVLA, RoboVLMProcessor
from robovlms.cli import main
from robovlms.configuration import SafetyLimits
from robovlms.evaluation import EvaluationRecord, get_suite
from robovlms.evaluation.generalization import GENERALIZATION_SETTINGS
from robovlms.evaluation.robot_evaluation import RobotEvaluator, RobotTask
from robovlms.evaluation.rollout import Episode
from robovlms.serving import ChunkPredictor, PolicyClient, PolicyServer
from robovlms.serving.background import in_background
from robovlms.serving.realtime import AsynchronousController, SynchronousController
from robovlms.serving.robots import RobotMapping, RobotRunner
from robovlms.serving.safety import SafetyEnvelope
from robovlms.simulators.tabletop.expert_chunks import ExpertChunks, tabletop_contract
from robovlms.simulators.tabletop.simulated_robot import SimulatedRobot

LIMITS = SafetyLimits(low=(-1.0,) * 7, high=(1.0,) * 7)


class Expert(ExpertChunks):
    """Looks at the robot's scene instead of at observations."""

    def predict(self, observation, *arguments, **options):
        return super().predict({"scene": self.snapshot()}, *arguments, **options)


@pytest.fixture(scope="module")
def robot():
    robot = SimulatedRobot()
    robot.connect()
    return robot


@pytest.fixture(scope="module")
def tabletop_predictor(backbone):
    contract = tabletop_contract(chunk_size=10, n_action_steps=4)
    torch.manual_seed(0)
    vla = OneStepContinuousVLA.from_backbone(backbone("smolvlm"), contract)
    return ChunkPredictor(vla, RoboVLMProcessor.from_backbone(backbone("smolvlm"), contract))


def test_mapping(robot, contract):
    mapping = RobotMapping(tabletop_contract(10, 4), robot)
    raw = robot.get_observation()
    observation = mapping.observation(raw)
    assert observation["images"].keys() == {"static"} and observation["state"][2] == pytest.approx(raw["z"])
    assert mapping.command(np.arange(7))["gripper"] == 6 and mapping.position(raw) is None
    agreed = tabletop_contract(10, 4)
    for changes, message in (
        (
            {"cameras": (CameraSpec("front", 64, 64),)},
            r"camera 'front': the robot has no feature \['front', 'front.pos'\]",
        ),
        ({"action": agreed.action.replace(names=tuple("abcdefg"))}, "action 'a': the robot has no feature"),
        ({"action": agreed.action.replace(names=agreed.action.names[:6], units=()), "grippers": ()}, "needs.*gripper"),
    ):
        with pytest.raises(ValueError, match=message):
            RobotMapping(agreed.replace(**changes), robot)
    renamed = agreed.replace(cameras=(CameraSpec("front", 32, 32),))
    observation = RobotMapping(renamed, robot, {"front": "static"}, resize="stretch").observation(raw)
    assert observation["images"]["front"].shape == (32, 32, 3)


@pytest.mark.parametrize("suffix", ["", ".pos"])
def test_an_arm_of_lerobot(suffix):
    """The features of LeRobot's SO-101 follower, for policies whose contract has its joints' names with or without
    their suffix."""
    joints = ("shoulder_pan", "shoulder_lift", "elbow_flex", "wrist_flex", "wrist_roll", "gripper")

    class SO101:
        action_features = {f"{name}.pos": float for name in joints}  # noqa: RUF012
        observation_features = action_features | {"front": (480, 640, 3)}

    agreed = tabletop_contract(10, 4)
    angles = agreed.action.replace(names=tuple(name + suffix for name in joints), units=())
    contract = agreed.replace(
        action=angles,
        state=angles,
        grippers=(),
        mode="absolute",
        rotation="none",
        cameras=(CameraSpec("front", 480, 640),),
    )
    mapping = RobotMapping(contract, SO101())
    raw = {f"{name}.pos": float(number) for number, name in enumerate(joints)}
    raw["front"] = np.zeros((480, 640, 3), np.uint8)
    assert mapping.position(raw).tolist() == mapping.observation(raw)["state"].tolist() == [0, 1, 2, 3, 4, 5]
    assert mapping.command(np.arange(6)) == {f"{name}.pos": number for number, name in enumerate(joints)}


def test_evaluation_is_resumed_and_judged(robot, tmp_path):
    """The expert, on two tasks in all five settings; somebody quits in between and wants one rollout again."""
    tasks = [
        RobotTask(name, said["simple"], said)
        for name in ("lift_red_block", "turn_on_light")
        if (said := robot.instructions(name))
    ]
    ran, asked = [], []

    def evaluator(verdicts, **changes):
        runner = RobotRunner(
            robot,
            SynchronousController(Expert(robot.env)),
            SafetyEnvelope(tabletop_contract(10, 4), LIMITS),
            pace=False,
        )

        def prepare(planned):
            ran.append(planned.key)
            robot.prepare(planned.task.name, planned.setting, planned.number)

        def judge(planned, rollout):
            asked.append(planned.instruction)
            return verdicts.pop(planned.key, "success" if robot.judge() else "failure")

        options = {"settings": list(GENERALIZATION_SETTINGS), "num_rollouts": 2, "seconds": 5} | changes
        return RobotEvaluator(runner, tasks, tmp_path, prepare=prepare, judge=judge, ended=robot.judge, **options)

    verdicts = {"simple-turn_on_light-0": "again", "unseen_distractor-lift_red_block-1": "quit"}
    unfinished = evaluator(verdicts).run()
    assert unfinished.episodes == 4 and unfinished.protocol["remaining"] == 15
    assert len(ran) == 7 and ran.count("simple-turn_on_light-0") == 2
    with (tmp_path / "rollouts.jsonl").open("a") as file:
        file.write('{"key": "cut o')  # the power failed
    record = evaluator({}).run()
    assert len(ran) == 7 + 15 and record.protocol["remaining"] == 0
    assert record.success_rate == 1 and record.episodes == 4 and record.interval[0] == pytest.approx(0.51, abs=0.01)
    assert {name: scores.successes for name, scores in record.unseen.items()} == dict.fromkeys(
        list(GENERALIZATION_SETTINGS)[1:], 4
    )
    assert record.protocol["all_settings"]["episodes"] == 20
    assert {"lift the orange can", "hold the red block in the air", "illuminate the table"} <= set(asked)
    assert EvaluationRecord.load(tmp_path / "evaluation.json").to_dict() == record.to_dict()
    assert len(list((tmp_path / "videos").iterdir())) == 20
    with av.open(str(tmp_path / "videos" / "unseen_object-lift_red_block-0.mp4")) as film:
        assert sum(1 for _ in film.decode(video=0)) > 5
    again = evaluator({}).run()
    assert len(ran) == 22 and again.success_rate == 1
    with pytest.raises(ValueError, match=r"other \['seconds'\]"):
        evaluator({}, seconds=6).run()
    with pytest.raises(ValueError, match=r"unknown.*'rain'"):
        evaluator({}, settings=["rain"])
    with pytest.raises(ValueError, match="needs an instruction of its own"):
        RobotTask("wave", "wave").told("novel_skill_description")


def test_the_five_settings_in_the_simulators_suite():
    suite = get_suite("tabletop")
    for setting in GENERALIZATION_SETTINGS.values():
        if setting.name == "simple":
            continue
        episode = suite.settings[setting.name](Episode("lift_red_block", "lift the red block", 3))
        assert episode.options == {"setting": setting.tabletop}
        assert (episode.instruction != "lift the red block") == setting.told_otherwise


class Recorded(SimulatedRobot):
    """Notes what it is told, and by which thread."""

    def __init__(self):
        super().__init__()
        self.told = []
        self.connect()

    def send_action(self, action):
        self.told.append((threading.current_thread().name, np.array(list(action.values()))))
        return super().send_action(action)


def test_a_server_that_hangs_trips_the_watchdog(tabletop_predictor):
    """Without asynchronous inference the loop itself waits for the server; the watchdog does not."""
    hang, released = threading.Event(), threading.Event()

    class Hanging(ChunkPredictor):
        def answer(self, requests, caches):
            if hang.is_set():
                released.wait(20)
            return super().answer(requests, caches)

    hanging, robot = Hanging(tabletop_predictor.model, tabletop_predictor.processor), Recorded()
    limits = SafetyLimits(low=(-100.0,) * 7, high=(100.0,) * 7, watchdog=0.3)
    with in_background(PolicyServer(hanging)) as server, PolicyClient(port=server.port, timeout=2) as client:
        controller = SynchronousController(client)
        runner = RobotRunner(robot, controller, SafetyEnvelope(controller.contract, limits))
        rollout = runner.run("push", seconds=10, ended=lambda: len(robot.told) == 8 and hang.set())
        released.set()
    assert rollout.steps == 8 and "PolicyTimeoutError" in rollout.stopped
    names = [name for name, _ in robot.told]
    assert names[8] == "watchdog" and names.count("watchdog") == 1
    assert robot.told[8][1][:6].tolist() == [0] * 6 and robot.told[8][1][6] == robot.told[7][1][6]


def test_a_server_that_dies_stops_the_robot(tabletop_predictor):
    robot = Recorded()
    server = in_background(PolicyServer(tabletop_predictor))
    client = PolicyClient(port=server.__enter__().port, timeout=1)
    controller = AsynchronousController(client)
    runner = RobotRunner(robot, controller)
    rollout = runner.run("push", seconds=10, ended=lambda: len(robot.told) == 5 and server.__exit__(None, None, None))
    assert "PolicyConnectionError" in rollout.stopped and rollout.steps < 60
    assert robot.told[-1][1][:6].tolist() == [0] * 6  # told to hold
    runner.__exit__()
    assert not robot.is_connected


def test_limits_old_observations_and_dry_runs(robot, tabletop_predictor):
    class Wild(Expert):
        def predict(self, *arguments, **options):
            return 3 * super().predict(*arguments, **options)

    class Sleepy(Expert):
        def predict(self, *arguments, **options):
            time.sleep(0.3)
            return super().predict(*arguments, **options)

    def rollout(source, limits, **options):
        recorded = Recorded()
        controller = SynchronousController(source(recorded.env))
        runner = RobotRunner(recorded, controller, SafetyEnvelope(controller.contract, limits), pace=False, **options)
        return runner, recorded, runner.run("lift", seconds=0.5)

    runner, recorded, result = rollout(Wild, LIMITS)
    assert "SafetyStop" in result.stopped and result.steps == 0 and not recorded.told
    runner, recorded, result = rollout(Wild, LIMITS.replace(on_violation="clamp"))
    assert result.stopped is None and result.steps == 10 and runner.safety.counts["value"] > 0
    assert np.abs([action for _, action in recorded.told]).max() <= 1
    _, recorded, result = rollout(Sleepy, LIMITS.replace(max_observation_age=0.2))
    assert "observation is 0.3" in result.stopped and not recorded.told
    _, recorded, result = rollout(Expert, LIMITS, dry_run=True)
    assert result.steps == 10 and not recorded.told


def test_command(tabletop_predictor, tmp_path, capsys):
    folder, output = tmp_path / "checkpoint", tmp_path / "robot"
    tabletop_predictor.model.save_pretrained(folder)
    tabletop_predictor.processor.save_pretrained(folder)
    arguments = [
        "robot",
        "evaluate",
        str(folder),
        "--robot",
        "simulated",
        "--task",
        "lift_red_block",
        "--output",
        str(output),
    ]
    arguments += [
        "--num-rollouts",
        "2",
        "--seconds",
        "0.5",
        "--settings",
        "simple",
        "unseen_object",
        "--on-miss",
        "hold",
    ]
    assert main(arguments) == 0
    printed = capsys.readouterr().out
    assert "0/2" in printed and "unseen_object" in printed and "control steps at 20 Hz" in printed
    record = json.loads((output / "evaluation.json").read_text())
    assert record["contract_hash"] == tabletop_predictor.contract.hash and record["policy"] == "checkpoint"
    assert main([*arguments[:4], "nothing:here", *arguments[5:]]) == 1
    assert main(["robot", "settings"]) == 0 and "novel_skill_description" in capsys.readouterr().out
