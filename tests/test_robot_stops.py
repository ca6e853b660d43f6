"""A humanoid with 26 joints and absolute targets: no command is farther from where it is than the envelope allows."""

import threading
import time

import numpy as np
import pytest
import torch

from robovlms import ActionContract, CameraSpec, OneStepContinuousVLA, RoboVLMProcessor, VectorSpec
from robovlms.configuration import AbsoluteToDelta, LearnedActions, SafetyLimits
from robovlms.evaluation.robot_evaluation import RobotEvaluator, RobotTask
from robovlms.serving import ChunkPredictor
from robovlms.serving.realtime import AsynchronousController, SynchronousController
from robovlms.serving.robots import RobotRunner
from robovlms.serving.safety import SafetyEnvelope

JOINTS = tuple(f"joint_{number}" for number in range(26))
FREQUENCY, SPEED = 50.0, 1.0
ALLOWED = SPEED / FREQUENCY + 1e-5
LIMITS = SafetyLimits(
    low=(-3.0,) * 26, high=(3.0,) * 26, max_velocity=(SPEED,) * 26, on_violation="clamp", watchdog=0.2
)
START = np.linspace(-1.5, 2.0, 26)


def contract(mode="absolute"):
    return ActionContract(
        embodiment="humanoid",
        action=VectorSpec(JOINTS, ("rad",) * 26, normalization="none"),
        cameras=(CameraSpec("head", 8, 8),),
        control_frequency=FREQUENCY,
        chunk_size=8,
        n_action_steps=2,
        rotation="none",
        frame="joint",
        mode=mode,
    )


class Humanoid:
    """Goes a third of the way to its target at each command; notes how far each target was from where it stood."""

    action_features = dict.fromkeys(JOINTS, float)
    observation_features = action_features | {"head": (8, 8, 3)}

    def __init__(self):
        self.pose, self.distances, self.told, self.is_connected = START.copy(), [], [], True

    def connect(self, calibrate=True):
        self.is_connected = True

    def disconnect(self):
        self.is_connected = False

    def get_observation(self):
        joints = dict(zip(JOINTS, self.pose.tolist(), strict=True))
        return joints | {"head": np.zeros((8, 8, 3), np.uint8)}

    def send_action(self, action):
        target = np.array([action[name] for name in JOINTS])
        self.distances.append(float(np.abs(target - self.pose).max()))
        self.told.append((threading.current_thread().name, target))
        self.pose += (target - self.pose) / 3
        return action


class Chunks:
    """A source that wants all joints at 0 at once, and does `before` each prediction."""

    guided = False

    def __init__(self, before=lambda number: None, mode="absolute"):
        self.contract, self.before, self.asked = contract(mode), before, 0

    def reset(self):
        self.asked = 0

    def predict(self, *_, **__):
        self.asked += 1
        self.before(self.asked)
        return np.zeros((8, 26), np.float32)


def run(robot, controller, **options):
    runner = RobotRunner(robot, controller, SafetyEnvelope(controller.contract, LIMITS))
    return runner.run("stand", **({"seconds": 0.6} | options))


def check(robot, farthest=ALLOWED):
    assert robot.told and max(robot.distances) <= farthest
    assert np.abs(robot.told[-1][1] - robot.pose).max() <= farthest  # told to stay, not to go to zero


def test_start_and_end():
    robot = Humanoid()
    rollout = run(robot, SynchronousController(Chunks()))
    assert rollout.steps == 30 and rollout.stopped is None and len(robot.told) == 31
    check(robot)
    assert (np.abs(robot.pose) < np.abs(START)).all()  # it did move


def test_a_late_chunk_is_held_at_what_the_robot_was_told():
    robot = Humanoid()
    controller = AsynchronousController(Chunks(lambda number: time.sleep(0.5 if number == 2 else 0)), on_miss="hold")
    rollout = run(robot, controller)
    controller.close()
    assert rollout.stopped is None and controller.times.missed > 0
    check(robot)


def test_the_watchdog_and_a_policy_that_breaks():
    def stuck(number):
        if number == 3:
            time.sleep(0.6)
            raise ConnectionError("gone")

    robot = Humanoid()
    with pytest.raises(ConnectionError):
        run(robot, SynchronousController(Chunks(stuck)))
    assert "watchdog" in [name for name, _ in robot.told]
    check(robot)


def test_interrupted_by_the_keyboard_before_and_after_the_first_command(tmp_path):
    def interrupt(number):
        if number == first:
            raise KeyboardInterrupt

    for first in (1, 4):
        robot = Humanoid()
        controller = SynchronousController(Chunks(interrupt))
        runner = RobotRunner(robot, controller, SafetyEnvelope(controller.contract, LIMITS))
        task = RobotTask("stand", "stand")
        evaluator = RobotEvaluator(runner, [task], tmp_path / str(first), seconds=1, prepare=lambda planned: None)
        with pytest.raises(KeyboardInterrupt):
            evaluator.run()
        check(robot)
        if first == 1:  # nothing was commanded: it is to stay where it is
            np.testing.assert_allclose(robot.told[-1][1], START, atol=1e-6)


def test_outside_its_limits_it_comes_back_in_steps():
    robot = Humanoid()
    robot.pose[3] = 3.5
    run(robot, SynchronousController(Chunks()))
    check(robot)
    assert robot.pose[3] < 3.5


def test_without_an_envelope_it_holds_its_last_target():
    robot = Humanoid()
    controller = SynchronousController(Chunks())
    RobotRunner(robot, controller).run("stand", seconds=0.1)
    assert (robot.told[-1][1] == robot.told[-2][1]).all()


def test_a_wider_lead_lets_a_slow_robot_keep_up():
    far = LIMITS.replace(max_lead=(0.1,) * 26)
    robots = Humanoid(), Humanoid()
    for robot, limits in zip(robots, (LIMITS, far), strict=True):
        controller = SynchronousController(Chunks())
        RobotRunner(robot, controller, SafetyEnvelope(controller.contract, limits)).run("stand", seconds=0.6)
    check(robots[1], 0.1 + 1e-5)
    assert robots[1].pose[0] > robots[0].pose[0] + 0.1


def test_velocities_stop_at_zero_and_are_limited_themselves():
    envelope = SafetyEnvelope(contract("velocity"), LIMITS)
    assert envelope.check(np.full(26, 2.0)).tolist() == [1.0] * 26
    assert envelope.hold(np.ones(26)).tolist() == [0.0] * 26


def test_nothing_moves_under_an_unknown_mode():
    robot = Humanoid()
    for make in (
        lambda: RobotRunner(robot, SynchronousController(Chunks(mode="unknown"))),
        lambda: AsynchronousController(Chunks(mode="unknown"), on_miss="hold"),
        lambda: SafetyEnvelope(contract("unknown"), LIMITS),
    ):
        with pytest.raises(ValueError, match=r"needs mode, unknown in the contract of 'humanoid'.*Declare mode"):
            make()
    assert not robot.told


def test_a_policy_that_learned_differences_commands_poses(backbone):
    """A model that answers zeros means "stay": the robot is told where it is, within its limits, in its own units."""
    learned = LearnedActions(AbsoluteToDelta(range(26)), VectorSpec(JOINTS, normalization="none"), sees_state=False)
    agreed = contract().replace(state=VectorSpec(JOINTS, normalization="none"), learned=learned, safety=LIMITS)
    agreed = agreed.replace(cameras=(CameraSpec("head", 32, 32),))
    vla = OneStepContinuousVLA.from_backbone(backbone("smolvlm"), agreed)
    for parameter in vla.head.parameters():
        torch.nn.init.zeros_(parameter)
    robot = Humanoid()
    robot.observation_features = robot.observation_features | {"head": (32, 32, 3)}
    seen = robot.get_observation
    robot.get_observation = lambda: seen() | {"head": np.zeros((32, 32, 3), np.uint8)}
    predictor = ChunkPredictor(vla, RoboVLMProcessor.from_backbone(backbone("smolvlm"), agreed))
    for make in (SynchronousController, AsynchronousController):
        runner = RobotRunner(robot, make(predictor), SafetyEnvelope(agreed), pace=False)
        with runner:
            rollout = runner.run("stay", seconds=0.2)
        assert rollout.stopped is None and rollout.steps == 10
        np.testing.assert_allclose(rollout.actions, np.tile(START, (10, 1)), atol=1e-5)
    assert max(robot.distances) < 1e-5
