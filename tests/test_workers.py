"""The workers for simulators in their own Python, against a real server, in this Python and in Python 3.8.

The simulators are stand-ins with the interface of the true ones (`old_simulators`).
"""

import json
import os
import subprocess
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from interpreters import interpreter
from scipy.spatial.transform import Rotation

from robovlms import OneStepContinuousVLA, RoboVLMProcessor
from robovlms.cli import main
from robovlms.configuration import CameraSpec, GripperSpec, VectorSpec
from robovlms.evaluation import EvaluationRecord, compare
from robovlms.serving import ChunkPredictor, PolicyServer
from robovlms.serving.background import in_background
from robovlms.serving.observation_layout import ObservationLayout

ROOT = Path(__file__).parents[1]
WORKERS, CLIENT = ROOT / "simulators" / "workers", ROOT / "plugins" / "robovlms_client"
OLD = Path(__file__).parent / "old_simulators"
NEEDS = "import sys, numpy, msgpack, websockets.sync.client, scipy, gymnasium; assert sys.version_info[:2] == (3, 8)"
NAMES = ("x", "y", "z", "roll", "pitch", "yaw", "gripper")


@pytest.fixture(params=["this Python", "Python 3.8"])
def python(request):
    if request.param == "this Python":
        return sys.executable
    found = interpreter(["python3.8"], NEEDS, "ROBOVLMS_PYTHON38")
    if found is None:
        pytest.skip(
            "no Python 3.8 with numpy, msgpack, websockets, scipy and gymnasium; name one in ROBOVLMS_PYTHON38"
        )
    return found


def work(python, script, port, *options):
    paths = os.pathsep.join(map(str, (CLIENT, OLD)))
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"} | {"PYTHONPATH": paths}
    return subprocess.run(
        [python, WORKERS / script, "--port", str(port), *map(str, options)],
        env=environment, capture_output=True, text=True, timeout=300,
    )  # fmt: skip


def server(backbone, contract, cameras, frequency, state=None):
    agreed = contract(
        chunk_size=4,
        n_action_steps=4,
        action=VectorSpec(NAMES, normalization="none"),
        state=state,
        cameras=tuple(CameraSpec(*camera) for camera in cameras),
        control_frequency=frequency,
        grippers=(GripperSpec(6, 1.0, 0.0),),
        rotation="euler_xyz",
    )
    torch.manual_seed(0)
    vla = OneStepContinuousVLA.from_backbone(backbone("smolvlm"), agreed)
    predictor = ChunkPredictor(vla, RoboVLMProcessor.from_backbone(backbone("smolvlm"), agreed))
    return in_background(PolicyServer(predictor, "tiny", ObservationLayout.of_contract(agreed, "stretch")))


def test_google_robot(backbone, contract, python, tmp_path):
    (tmp_path / "assets" / "real_inpainting").mkdir(parents=True)
    state = VectorSpec(tuple("abcdefgh"), normalization="none")
    options = ["--assets", tmp_path / "assets", "--tasks", "pick_coke_can", "--episodes-per-task"]
    with server(backbone, contract, [("front", 32, 32)], 3.0, state) as serving:
        truncated = ()
        for termination, folder in (("truncate", "end"), ("accumulate", "any")):
            asked = (*options, 10, "--termination", termination, "--output", tmp_path / folder)
            truncated = truncated or asked
            run = work(python, "simpler_google_robot.py", serving.port, *asked)
            assert run.returncode == 0, run.stderr
            again = work(python, "simpler_google_robot.py", serving.port, *asked)
            assert "10 of them finished before" in again.stdout
        once_more = work(python, "simpler_google_robot.py", serving.port, *truncated, "--retry-crashed")
        assert "9 of them finished before" in once_more.stdout
        other = work(python, "simpler_google_robot.py", serving.port, *asked, "--sticky-steps", "0")
        assert other.returncode and "another evaluation" in other.stderr
    for folder in ("end", "any"):
        assert main(["eval-record", str(tmp_path / folder), "--policy", "tiny"]) == 0
    end, early = (EvaluationRecord.load(tmp_path / folder / "evaluation.json") for folder in ("end", "any"))
    assert end.suite == "simpler_google_robot" and end.control_frequency == 3 and end.n_action_steps == 4
    assert end.suite_facts["gripper"] == "sticky for 15 steps" and end.suite_facts["protocol"] == "visual matching"
    assert "last step" in end.termination and "first success" in early.termination
    places = [episode["options"]["start"]["object"] for episode in end.episode_list]
    crashed = [episode for episode in end.episode_list if episode["steps"] < 80]
    assert len(places) == 10 and [place[0] for place in places].count(-0.35) == 1  # undone at the last step
    assert len(crashed) == end.crashed_episodes == 1 and "the physics exploded" in crashed[0]["reason"]
    assert end.successes == 8
    assert early.successes == 10 and {episode["steps"] for episode in early.episode_list} == {3}
    assert "python" in end.versions and "torch" not in end.versions
    assert compare(end, early).overall.difference == pytest.approx(0.2)
    repeat = "simpler_google_robot.py --tasks pick_coke_can --protocol visual_matching --termination truncate"
    assert repeat in (tmp_path / "end" / "report.html").read_text()


def test_original_calvin(backbone, contract, python, tmp_path):
    (tmp_path / "data" / "validation" / ".hydra").mkdir(parents=True)
    options = ["--dataset", tmp_path / "data", "--chains", 2, "--output", tmp_path / "results"]
    with server(backbone, contract, [("static", 200, 200), ("gripper", 84, 84)], 30.0) as serving:
        run = work(python, "calvin_original.py", serving.port, *options)
        assert run.returncode == 0, run.stderr
    assert main(["eval-record", str(tmp_path / "results")]) == 0
    record = EvaluationRecord.load(tmp_path / "results" / "evaluation.json")
    assert record.suite == "calvin" and record.policy == "tiny" and record.episodes == 0
    assert record.chains.completed == [4, 0] and record.chains.average_length == 2
    assert record.chains.chains[0][0] == "open_drawer" and record.chains.seeds == [0, 1]
    lines = [json.loads(line) for line in (tmp_path / "results" / "episodes.jsonl").read_text().splitlines()]
    assert [line["result"]["steps"] for line in lines[1:]] == [3 + 4 + 5 + 6 + 360, 360]
    assert lines[1]["result"]["instruction"] == "please open drawer"
    assert compare(record, record).chains.difference == 0


def test_a_server_that_is_gone_or_for_another_robot(backbone, contract, tmp_path):
    (tmp_path / "real_inpainting").mkdir()
    options = ["--assets", tmp_path, "--output", tmp_path / "out", "--timeout", "2"]
    run = work(sys.executable, "simpler_google_robot.py", 1, *options)
    assert run.returncode and "no policy server" in run.stderr and "Traceback" not in run.stderr
    with server(backbone, contract, [("front", 32, 32)], 5.0) as serving:
        run = work(sys.executable, "simpler_google_robot.py", serving.port, *options)
    assert run.returncode and "5.0 Hz, this robot at 3.0 Hz" in run.stderr
    with server(backbone, partial(contract, frame="world"), [("front", 32, 32)], 3.0) as serving:
        run = work(sys.executable, "simpler_google_robot.py", serving.port, *options)
    assert run.returncode and "frame: the policy's contract says 'world'" in run.stderr


def test_published_episodes_and_conventions(monkeypatch):
    for folder in (WORKERS, CLIENT):
        monkeypatch.syspath_prepend(str(folder))
    import google_robot_protocol as protocol
    import simpler_google_robot as worker

    counts = {
        kind: [len(worker.published(task, kind, None)) for task in protocol.TASKS]
        for kind in ("visual_matching", "variant_aggregation")
    }
    assert counts == {"visual_matching": [300, 240, 108, 108, 108], "variant_aggregation": [825, 600, 189, 189, 189]}
    for task in protocol.TASKS:
        for kind in counts:
            episodes = worker.published(task, kind, None)
            assert len({(episode.options["variant"], episode.options["number"]) for episode in episodes}) == len(
                episodes
            )
            assert len({episode.options["variant"] for episode in worker.published(task, kind, 9)}) > 3
    turn = protocol.reset_options({"robot": (0.0, 0.0, -0.09), "episode": 1})["robot_init_options"]["init_rot_quat"]
    wanted = Rotation.from_euler("z", -0.09) * Rotation.from_euler("z", np.pi)
    assert Rotation.from_quat([*turn[1:], turn[0]]).as_matrix() == pytest.approx(wanted.as_matrix(), abs=1e-12)

    gripper = worker.StickyGripper(3)
    assert [gripper(opening) for opening in (1, 1, 0, 0, 1, 1, 1)] == [0, 0, 1, 1, 1, 0, 0]
    assert [worker.StickyGripper(0)(opening) for opening in (1, 0)] == [0, 0]
    each = worker.StickyGripper(0)
    assert [each(opening) for opening in (1, 0, 0, 1)] == [0, 1, 0, -1]
    action = worker.robot_action([0.1, 0, 0, 0, 0, 0.2, 1], worker.StickyGripper(15))
    assert action == pytest.approx([0.1, 0, 0, 0, 0, 0.2, 0])
    position, quaternion = worker.in_frame(np.array([1.0, 0, 0, 0, 0, 0, 1]), np.array([0.0, 0, 2, 0, 0, 0, 1]))
    assert position == pytest.approx([1, 0, 2]) and abs(quaternion) == pytest.approx([0, 0, 0, 1])
