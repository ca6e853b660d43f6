"""`robovlms robot evaluate` as a process, on a humanoid with 26 joints and absolute targets: start, late chunks, the end,
a robot that hangs, Ctrl-C. No command is farther from the present pose than the envelope allows."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from robovlms import CameraSpec, OneStepContinuousVLA, RoboVLMProcessor, VectorSpec
from robovlms.cli import main

JOINTS = tuple(f"joint_{number}" for number in range(26))
FREQUENCY, SPEED = 20, 1.0
ALLOWED = SPEED / FREQUENCY + 1e-5
ROBOT = """
import json, os, signal, threading, time
import numpy as np

JOINTS = [f"joint_{number}" for number in range(26)]


class Humanoid:
    '''Goes a third of the way to its target at each command; writes down how far each target was from where it stood.'''

    action_features = dict.fromkeys(JOINTS, float)
    observation_features = action_features | {"head": (32, 32, 3)}

    def __init__(self):
        self.pose, self.told, self.is_connected = np.linspace(-1.5, 2.0, 26), 0, False
        self.has_hung = self.was_interrupted = False

    def connect(self, calibrate=True):
        self.is_connected = True

    def disconnect(self):
        self.is_connected = False

    def get_observation(self):
        if self.told >= 16 and not self.has_hung:
            self.has_hung = True
            time.sleep(2.5)  # the watchdog waits for 1 s
        return dict(zip(JOINTS, self.pose.tolist())) | {"head": np.zeros((32, 32, 3), np.uint8)}

    def send_action(self, action):
        target = np.array([action[name] for name in JOINTS])
        self.told += 1
        line = {"thread": threading.current_thread().name, "distance": float(np.abs(target - self.pose).max())}
        self.pose += (target - self.pose) / 3
        with open(os.environ["TOLD"], "a") as file:
            file.write(json.dumps(line | {"left": float(np.abs(target - self.pose).max())}) + "\\n")
        if self.told >= 24 and not self.was_interrupted:
            self.was_interrupted = True
            os.kill(os.getpid(), signal.SIGINT)  # as Ctrl-C does
        return action
"""


@pytest.fixture(scope="module")
def command(backbone, contract, tmp_path_factory):
    """Writes a checkpoint of a humanoid in that mode, and gives the arguments of the command."""
    root = tmp_path_factory.mktemp("humanoid")
    (root / "humanoid_robot.py").write_text(ROBOT)
    limits = {"low": -3, "high": 3, "max_velocity": {"rad": SPEED}, "watchdog": 1.0, "on_violation": "clamp"}
    (root / "limits.json").write_text(json.dumps(limits))
    agreed = contract(
        embodiment="humanoid",
        action=VectorSpec(JOINTS, ("rad",) * 26, normalization="none"),
        state=None,
        cameras=(CameraSpec("head", 32, 32),),
        grippers=(),
        control_frequency=float(FREQUENCY),
        chunk_size=4,
        n_action_steps=2,
        frame="joint",
        mode="absolute",
    )
    torch.manual_seed(0)
    model = OneStepContinuousVLA.from_backbone(backbone("smolvlm"), agreed)

    def arguments(mode: str) -> list[str]:
        folder = root / mode
        model.save_pretrained(folder)
        RoboVLMProcessor.from_backbone(backbone("smolvlm"), agreed.replace(mode=mode)).save_pretrained(folder)
        told = ["robot", "evaluate", str(folder), "--robot", "humanoid_robot:Humanoid", "--task", "stand up"]
        told += ["--output", str(root / f"{mode}_output"), "--safety", str(root / "limits.json"), "--on-miss", "hold"]
        return [*told, "--seconds", "0.5", "--num-rollouts", "12"]

    return root, arguments


def test_no_command_is_farther_than_the_envelope_allows(command):
    root, arguments = command
    search = os.pathsep.join([str(root), *sys.path])
    environment = os.environ | {"PYTHONPATH": search, "TOLD": str(root / "told.jsonl"), "OMP_NUM_THREADS": "1"}
    run = subprocess.run(
        [sys.executable, "-m", "robovlms.cli", *arguments("absolute")],
        input="\nn\n" * 12,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        preexec_fn=lambda: signal.signal(
            signal.SIGINT, signal.SIG_DFL
        ),  # also where these tests run in the background
    )
    assert run.returncode in (-signal.SIGINT, 130), run.stderr[-3000:]
    told = [json.loads(line) for line in (root / "told.jsonl").read_text().splitlines()]
    assert len(told) > 22 and max(one["distance"] for one in told) <= ALLOWED
    assert max(one["distance"] for one in told) > ALLOWED / 2  # it was sent somewhere else
    assert told[-1]["left"] <= ALLOWED  # told to stay, at the end and at Ctrl-C
    assert "watchdog" in [one["thread"] for one in told]
    rollouts = [json.loads(line) for line in (root / "absolute_output/rollouts.jsonl").read_text().splitlines()]
    assert 2 <= len(rollouts) < 12 and "watchdog" in json.dumps(rollouts)


def test_under_an_unknown_mode_nothing_is_sent(command, monkeypatch, capsys):
    root, arguments = command
    monkeypatch.syspath_prepend(str(root))
    monkeypatch.setenv("TOLD", str(root / "unknown.jsonl"))
    assert main(arguments("unknown")) == 1
    assert not Path(root / "unknown.jsonl").exists()
    said = capsys.readouterr().err
    assert (
        "needs mode, unknown in the contract of 'humanoid'" in said
        and "Declare mode (delta, absolute, velocity)" in said
    )
