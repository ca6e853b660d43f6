"""The policy server over real sockets: protocol, sessions, batching, limits, authentication, shutdown."""

import contextlib
import json
import os
import re
import shutil
import signal
import ssl
import subprocess
import sys
import threading
import time
import urllib.request
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch
import websockets.sync.client
from interpreters import interpreter
from PIL import Image

from robovlms import InterleavedContinuousVLA, LSTMHeadConfig, Policy, PolicyHeadContinuousVLA, RoboVLMProcessor
from robovlms.serving import ChunkPredictor, PolicyClient, PolicyServer, random_observation
from robovlms.serving.background import in_background
from robovlms.serving.client import (
    PolicyConnectionError,
    PolicyServerError,
    PolicyTimeoutError,
    packb,
    unpackb,
)
from robovlms.serving.limits import ServerLimits
from robovlms.serving.observation_layout import ObservationLayout

CLIENT_FILE = Path(__file__).parent.parent / "serving" / "client.py"
LSTM = LSTMHeadConfig(hidden_size=32, num_layers=1, decoder_sizes=(32,))


@pytest.fixture(scope="module")
def remembering(backbone, contract):
    """A policy with history: what it does depends on the whole episode."""
    agreed = contract(window_size=3, history_stride=2, chunk_size=5, n_action_steps=4)
    torch.manual_seed(0)
    vla = PolicyHeadContinuousVLA.from_backbone(backbone("smolvlm"), agreed, head_config=LSTM)
    return ChunkPredictor(vla, RoboVLMProcessor.from_backbone(backbone("smolvlm"), agreed))


@pytest.fixture(scope="module")
def checkpoint(predictor, tmp_path_factory):
    folder = tmp_path_factory.mktemp("served") / "arm"
    predictor.model.save_pretrained(folder)
    predictor.processor.save_pretrained(folder)
    return folder


def serving(predictor, **options):
    return in_background(PolicyServer(predictor, **options))


@contextmanager
def connected(server, **options):
    with websockets.sync.client.connect(f"ws://127.0.0.1:{server.port}", compression=None, **options) as connection:
        connection.metadata = unpackb(connection.recv(timeout=10))
        yield connection


def flat(observation, instruction="push"):
    """What openpi's LIBERO client sends."""
    return {
        "observation/image": observation["images"]["static"],
        "observation/wrist_image": observation["images"]["gripper"],
        "observation/state": observation["state"],
        "prompt": instruction,
    }


def test_client_equals_policy(predictor, remembering):
    for parts in (predictor, remembering):
        policy = Policy(parts.model, parts.processor)
        with serving(parts, name="arm") as server, PolicyClient(port=server.port) as client:
            assert client.metadata["policy"] == "arm" and client.metadata["contract_hash"] == parts.contract.hash
            for episode in range(2):
                policy.reset()
                client.reset()
                for step in range(9):
                    observation = random_observation(parts.contract, 10 * episode + step)
                    ours = policy.select_action(observation, "pick up the red block")
                    theirs = client.select_action(observation, "pick up the red block")
                    np.testing.assert_allclose(theirs, ours, atol=1e-6)


def test_layouts_of_other_clients(predictor, contract, backbone):
    observation = random_observation(predictor.contract)
    wanted, _ = predictor.answer([request_of(observation)], [predictor.new_cache()])
    turned = {name: image.transpose(2, 0, 1) for name, image in observation["images"].items()}
    floats = {name: (image / 255).astype(np.float32) for name, image in observation["images"].items()}
    with serving(predictor) as server, connected(server) as connection:
        for message in (
            flat(observation),
            {"images": observation["images"], "state": observation["state"].tolist(), "prompt": "push"},
            {"images": turned, "state": observation["state"], "prompt": "push"},
            {"images": floats, "observation/state": observation["state"], "task": "push"},
            flat(observation) | {"observation/third_image": np.zeros((9, 9, 3), np.uint8)},
        ):
            connection.send(packb(message))
            result = unpackb(connection.recv(timeout=10))
            np.testing.assert_allclose(result["actions"], wanted[0], atol=1e-6)
            assert {"infer_ms", "queue_ms", "batch_size"} <= set(result["server_timing"])


def request_of(observation, instruction="push"):
    from robovlms.serving.chunk_predictor import ChunkRequest

    return ChunkRequest(observation, instruction)


def test_keys_are_declared_and_can_be_changed(predictor, contract):
    from robovlms import CameraSpec

    one = ObservationLayout.of_contract(contract(cameras=(CameraSpec("gripper", 8, 8),)))
    assert "observation/image" in one.cameras["gripper"]  # a single camera takes the main image, whatever its name
    two = ObservationLayout.of_contract(predictor.contract)
    assert "observation/image" in two.cameras["static"] and "observation/wrist_image" in two.cameras["gripper"]
    outside = (CameraSpec("left", 8, 8), CameraSpec("right", 8, 8), CameraSpec("wrist", 8, 8))
    three = ObservationLayout.of_contract(contract(cameras=outside))
    assert not any("observation/image" in three.cameras[name] for name in ("left", "right"))  # which one is not known
    changed = two.with_keys({"static": "a/b", "state": "joints+gripper"})
    message = {
        "a": {"b": np.zeros((48, 64, 3), np.uint8)},
        "observation/wrist_image": np.ones((32, 32, 3), np.uint8),
        "joints": np.array([1.0, 2.0]),
        "gripper": 3.0,
        "prompt": "push",
    }
    seen = changed.observation(message)
    assert seen["state"].tolist() == [1, 2, 3] and seen["images"]["gripper"].max() == 1
    with pytest.raises(ValueError, match="no input 'front'"):
        two.with_keys({"front": "a"})


def test_images_of_another_size(predictor):
    image = np.zeros((96, 96, 3), np.uint8)
    image[:, 48:] = 200
    message = {"images": {"static": image, "gripper": image}, "state": [0.0, 0.0, 0.0], "prompt": "push"}
    with pytest.raises(ValueError, match=r"is 96x96, camera 'static' is 48x64.*--resize"):
        ObservationLayout.of_contract(predictor.contract).observation(message)
    stretched = ObservationLayout.of_contract(predictor.contract, "stretch").observation(message)["images"]["static"]
    padded = ObservationLayout.of_contract(predictor.contract, "pad").observation(message)["images"]["static"]
    assert stretched.shape == padded.shape == (48, 64, 3)
    assert stretched[:, -1].min() == 200 and padded[:, -1].max() == 0 and padded[:, 50].min() == 200


@pytest.mark.parametrize("seconds", [0, pytest.param(60, marks=pytest.mark.slow)])
def test_eight_clients_at_once_keep_their_episodes(remembering, seconds):
    """Each episode, run alone, is what it is among seven others; and requests do go through the model together."""
    contract, sentences = remembering.contract, ["push", "pick up the red block"]

    def episode(act, number):
        steps = [random_observation(contract, 100 * number + step) for step in range(12)]
        return np.stack([act(observation, sentences[number % 2]) for observation in steps])

    alone = []
    for number in range(8):
        policy = Policy(remembering.model, remembering.processor)
        alone.append(episode(policy.select_action, number))
    together, errors = {}, []
    with serving(remembering) as server:

        def run(number):
            try:
                with PolicyClient(port=server.port) as client:
                    end = time.monotonic() + seconds
                    while len(together.get(number, [])) < 3 or time.monotonic() < end:
                        client.reset()
                        together.setdefault(number, []).append(episode(client.select_action, number))
                    sizes.append(client.infer(flat(random_observation(contract)))["server_timing"]["batch_size"])
            except Exception as error:
                errors.append(error)

        sizes = []
        threads = [threading.Thread(target=run, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert not errors and max(sizes) > 1
    for number, episodes in together.items():
        for actions in episodes:
            np.testing.assert_allclose(actions, alone[number], atol=1e-4)
    assert min(np.abs(alone[i] - alone[j]).max() for i in range(8) for j in range(i)) > 1e-2


@pytest.mark.parametrize("attention", ["window", "banded"])
def test_episodes_with_instructions_of_different_length_share_a_batch(backbone, contract, attention):
    """Memories of different sizes are joined, and come apart again as they would have been alone."""
    agreed = contract(window_size=3, chunk_size=2)
    vla = InterleavedContinuousVLA.from_backbone(backbone("qwen2_vl"), agreed, frame_attention=attention)
    parts = ChunkPredictor(vla, RoboVLMProcessor.from_backbone(backbone("qwen2_vl"), agreed))
    sentences = ["push", "pick up the red block and put it on the plate", "open"]
    together = [parts.new_cache() for _ in sentences]
    alone = [parts.new_cache() for _ in sentences]
    for step in range(5):
        rows = [0, 1, 2] if step != 2 else [0, 2]  # the second asks less often
        requests = [request_of(random_observation(agreed, 10 * row + step), sentences[row]) for row in rows]
        chunks, caches = parts.answer(requests, [together[row] for row in rows])
        for index, row in enumerate(rows):
            together[row] = caches[index]
            wanted, (alone[row],) = parts.answer([requests[index]], [alone[row]])
            np.testing.assert_allclose(chunks[index], wanted[0], atol=1e-5)


def test_history_comes_in_one_request_or_in_several(remembering):
    frames = [random_observation(remembering.contract, seed) for seed in range(3)]
    with serving(remembering) as server, PolicyClient(port=server.port) as client:
        for frame in frames:
            one_by_one = client.predict(frame, "push")
        client.reset()
        at_once = client.predict(frames[2], "push", history=frames[:2])
        np.testing.assert_allclose(at_once, one_by_one, atol=1e-5)
        client.reset()
        assert np.abs(client.predict(frames[2], "push") - one_by_one).max() > 1e-3  # history matters
        with pytest.raises(PolicyServerError, match="'history' holds 3 observations, the policy sees 2"):
            client.predict(frames[0], "push", history=frames)


def test_refused_requests_say_why_and_leave_the_episode_alone(remembering):
    observation = random_observation(remembering.contract)
    limits = ServerLimits(max_prompt_characters=50, max_cameras=3, max_image_pixels=48 * 64)
    layout = ObservationLayout.of_contract(remembering.contract, limits=limits)
    policy = Policy(remembering.model, remembering.processor, n_action_steps=2)
    nan = np.full((48, 64, 3), np.nan, np.float32)
    wrong = {
        "lacks camera 'static'": {"images": {}, "state": observation["state"], "prompt": "push"},
        "lacks the instruction": {"images": observation["images"], "state": observation["state"]},
        "lacks the state": {"images": observation["images"], "prompt": "push"},
        "3 numbers": flat(observation) | {"observation/state": np.zeros(4)},
        "not finite": flat(observation) | {"observation/state": np.full(3, np.nan)},
        "finite values from 0 to 1": flat(observation) | {"observation/image": nan},
        "must be uint8": flat(observation) | {"observation/image": np.zeros((48, 64, 3), np.int32)},
        "pixels; allowed": flat(observation) | {"observation/image": np.zeros((480, 64, 3), np.uint8)},
        "51 characters": flat(observation, 51 * "x"),
        "must be a sentence": flat(observation, "  "),
        "4 images in one observation": flat(observation)
        | {name: np.zeros((2, 2, 3), np.uint8) for name in ("other", "another")},
        "may hold 'reset'": flat(observation) | {"robovlms": {"rest": True}},
        "a map of observations": [1, 2, 3],
        "(3, 7)" if False else "'running'": flat(observation)
        | {"robovlms": {"running": {"actions": np.zeros((3, 6)), "delay": 1}}},
    }
    with serving(remembering, layout=layout, limits=limits) as server, connected(server) as connection:
        for step in range(3):
            for reason, message in wrong.items():
                connection.send(packb(message))
                reply = connection.recv(timeout=10)
                assert isinstance(reply, str) and reason in reply, (reason, reply)
            observation = random_observation(remembering.contract, step)
            connection.send(packb(flat(observation)))
            action = unpackb(connection.recv(timeout=10))["actions"][0]
            np.testing.assert_allclose(action, policy.select_action(observation, "push"), atol=1e-6)
            policy.select_action(observation, "push")  # not looked at


def test_a_failing_request_fails_alone(predictor):
    """What only the model finds wrong is answered to whoever sent it, not to those in the same batch."""

    class Fragile(ChunkPredictor):
        def answer(self, requests, caches):
            if any(request.instruction == "explode" for request in requests):
                raise RuntimeError("secret detail")
            return super().answer(requests, caches)

    fragile = Fragile(predictor.model, predictor.processor)
    observation = random_observation(predictor.contract)
    with serving(fragile) as server, connected(server) as good, connected(server) as bad:
        for _ in range(3):
            bad.send(packb(flat(observation, "explode")))
            good.send(packb(flat(observation)))
            assert "actions" in unpackb(good.recv(timeout=10))
            reply = bad.recv(timeout=10)
            assert "the policy failed: RuntimeError" in reply and "secret" not in reply
            with pytest.raises(websockets.exceptions.ConnectionClosed):
                bad.recv(timeout=10)
            assert bad.close_code == 1011
            bad = websockets.sync.client.connect(f"ws://127.0.0.1:{server.port}", compression=None)
            bad.recv(timeout=10)
        bad.close()


def test_health_token_and_number_of_clients(predictor):
    with serving(predictor, token="s3cret", limits=ServerLimits(max_clients=2)) as server:
        health = urllib.request.urlopen(f"http://127.0.0.1:{server.port}/healthz", timeout=10)
        assert (health.status, health.read()) == (200, b"OK\n")
        for token in (None, "wrong", "s3cretx", "s3cre", "s3cr\u00e9t"):
            with pytest.raises(PolicyConnectionError, match="401"):
                PolicyClient(port=server.port, token=token)
        headers = {"Authorization": "Api-Key s3cret"}  # as openpi's client sends it
        with connected(server, additional_headers=headers), PolicyClient(port=server.port, token="s3cret"):
            refused = pytest.raises(PolicyConnectionError, match="503")
            with refused:
                PolicyClient(port=server.port, token="s3cret")
        time.sleep(0.1)
        PolicyClient(port=server.port, token="s3cret").close()
    with pytest.raises(ValueError, match="token is empty"):
        PolicyServer(predictor, token="")


def test_size_and_idleness(predictor):
    limits = ServerLimits(max_message_bytes=30_000, idle_seconds=0.3)
    with serving(predictor, limits=limits) as server:
        with connected(server) as connection:
            connection.send(bytes(40_000))
            with pytest.raises(websockets.exceptions.ConnectionClosed):
                connection.recv(timeout=10)
            assert connection.close_code == 1009
        idle = pytest.raises(websockets.exceptions.ConnectionClosed, match=r"idle for 0\.3 seconds")
        with connected(server) as connection, idle:
            connection.recv(timeout=10)
        with connected(server) as connection:
            connection.send("hello")
            assert "text" in connection.recv(timeout=10)
        message = packb(flat(random_observation(predictor.contract)))
        with connected(server) as connection:
            connection.send([message[:5000], message[5000:]])
            assert unpackb(connection.recv(timeout=10))["actions"].shape == (5, 7)
            with contextlib.suppress(websockets.exceptions.ConnectionClosed):
                connection.send(b"" for _ in range(100_000))
            with pytest.raises(websockets.exceptions.ConnectionClosed):
                connection.recv(timeout=10)
                connection.recv(timeout=10)
            assert connection.close_code == 1009


def test_tls(predictor, tmp_path):
    if shutil.which("openssl") is None:
        pytest.skip("openssl makes the certificate")
    certificate, key = tmp_path / "certificate.pem", tmp_path / "key.pem"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=localhost"),
            *("-addext", "subjectAltName=DNS:localhost", "-keyout", key, "-out", certificate),
        ],
        check=True,
        capture_output=True,
    )
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(certificate, key)
    with serving(predictor, tls=tls) as server:
        trusting = ssl.create_default_context(cafile=certificate)
        with PolicyClient("localhost", server.port, ssl=trusting) as client:
            assert client.predict(random_observation(predictor.contract), "push").shape == (5, 7)
        with pytest.raises(PolicyConnectionError, match="certificate"):
            PolicyClient("localhost", server.port, ssl=ssl.create_default_context())
        with pytest.raises(PolicyConnectionError):
            PolicyClient("localhost", server.port)


def test_stopping_answers_what_is_under_way(predictor):
    started = threading.Event()

    class Slow(ChunkPredictor):
        def answer(self, requests, caches):
            started.set()
            time.sleep(0.5)
            return super().answer(requests, caches)

    slow = Slow(predictor.model, predictor.processor)
    with ExitStack() as connections, ExitStack() as stop:
        server = stop.enter_context(serving(slow))
        busy, waiting = (connections.enter_context(connected(server)) for _ in range(2))
        started.clear()
        busy.send(packb(flat(random_observation(predictor.contract))))
        assert started.wait(10)
        stopping = threading.Thread(target=stop.close)
        stopping.start()
        assert unpackb(busy.recv(timeout=10))["actions"].shape == (5, 7)
        for connection in (busy, waiting):
            with pytest.raises(websockets.exceptions.ConnectionClosed):
                connection.recv(timeout=10)
            assert connection.close_code == 1001
        stopping.join()


class Command:
    """`robovlms serve` in a process of its own."""

    def __init__(self, checkpoint, *arguments, port=0):
        command = [sys.executable, "-m", "robovlms.cli", "serve", str(checkpoint), "--port", str(port), *arguments]
        self.process = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=os.environ | {"OMP_NUM_THREADS": "1"},
        )
        self.lines = []
        for line in self.process.stdout:
            self.lines.append(line)
            if found := re.search(r"at ws://[^:]+:(\d+)", line):
                self.port = int(found[1])
                return
        raise AssertionError("".join(self.lines))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()


def test_killed_hung_and_restarted(checkpoint, predictor):
    """The client goes on with the same server anew, gives up on a dead or hung one, and refuses another policy."""
    observation = random_observation(predictor.contract)
    wanted = Policy(predictor.model, predictor.processor).select_action(observation, "push")
    with Command(checkpoint) as first:
        client = PolicyClient(port=first.port, timeout=60)
        np.testing.assert_allclose(client.select_action(observation, "push"), wanted, atol=1e-6)
        first.process.send_signal(signal.SIGSTOP)
        client.timeout = 0.5
        client.reset()
        begun = time.monotonic()
        with pytest.raises((PolicyTimeoutError, PolicyConnectionError)):
            client.select_action(observation, "push")
        assert time.monotonic() - begun < 20  # it came back at all
        first.process.kill()
        first.process.wait()
        with pytest.raises(PolicyConnectionError, match="no policy server at"):
            client.select_action(observation, "push")
    client.timeout = 60
    with Command(checkpoint, port=first.port) as second:
        np.testing.assert_allclose(client.select_action(observation, "push"), wanted, atol=1e-6)
        second.process.send_signal(signal.SIGTERM)
        rest = second.process.communicate(timeout=30)[0]
        assert second.process.returncode == 0 and "1 requests answered, 0 refused, 0 failed" in rest
    another = pytest.raises(PolicyConnectionError, match="has another policy now")
    with Command(checkpoint, "--n-action-steps", "1", port=first.port), another:
        client.predict(observation, "push")


def test_history_lost_with_the_connection(remembering):
    observation = random_observation(remembering.contract)
    with serving(remembering) as server:
        client = PolicyClient(port=server.port, timeout=5)
        client.predict(observation, "push")
        client._socket.close()
        with pytest.raises(PolicyConnectionError, match="what the policy remembered of this episode"):
            client.predict(observation, "push")
        with pytest.raises(PolicyConnectionError, match=r"call reset\(\)"):
            client.predict(observation, "push")
        client.reset()
        assert client.predict(observation, "push").shape == (5, 7)
        client.close()


DRIVE = """
import importlib.util, json, sys
import numpy as np
spec = importlib.util.spec_from_file_location("client", sys.argv[1])
client = importlib.util.module_from_spec(spec)
sys.modules["client"] = client
spec.loader.exec_module(client)
assert "torch" not in sys.modules and "robovlms" not in sys.modules
with client.PolicyClient(port=int(sys.argv[2])) as policy:
    images = {name: np.full((height, width, 3), 99, np.uint8) for name, height, width in (("static", 48, 64), ("gripper", 32, 32))}
    print(json.dumps([policy.select_action({"images": images, "state": [0.1, 0.2, 0.3]}, "push").tolist() for _ in range(3)]))
"""


def plain_observation():
    sizes = {"static": (48, 64, 3), "gripper": (32, 32, 3)}
    images = {name: np.full(size, 99, np.uint8) for name, size in sizes.items()}
    return {"images": images, "state": np.array([0.1, 0.2, 0.3])}


@pytest.mark.parametrize("version", ["this Python", "Python 3.8"])
def test_client_file_alone(predictor, version):
    needs = "import sys, numpy, msgpack, websockets.sync.client; assert sys.version_info[:2] == (3, 8)"
    python = sys.executable if version == "this Python" else interpreter(["python3.8"], needs, "ROBOVLMS_PYTHON38")
    if python is None:
        pytest.skip("no Python 3.8 with numpy, msgpack and websockets; name one in ROBOVLMS_PYTHON38")
    policy = Policy(predictor.model, predictor.processor)
    with serving(predictor) as server:
        run = subprocess.run(
            [python, "-c", DRIVE, CLIENT_FILE, str(server.port)], capture_output=True, text=True, timeout=60
        )
    assert run.returncode == 0, run.stderr
    wanted = [policy.select_action(plain_observation(), "push") for _ in range(3)]
    np.testing.assert_allclose(json.loads(run.stdout), wanted, atol=1e-6)


OPENPI = """
import json, sys
import numpy as np
from openpi_client.action_chunk_broker import ActionChunkBroker
from openpi_client.websocket_client_policy import WebsocketClientPolicy
policy = WebsocketClientPolicy("127.0.0.1", int(sys.argv[1]), api_key="s3cret")
assert policy.get_server_metadata()["contract"]["embodiment"] == "arm"
broker = ActionChunkBroker(policy, action_horizon=policy.get_server_metadata()["contract"]["n_action_steps"])
observation = {
    "observation/image": np.full((48, 64, 3), 99, np.uint8),
    "observation/wrist_image": np.full((32, 32, 3), 99, np.uint8),
    "observation/state": np.array([0.1, 0.2, 0.3]),
    "prompt": "push",
}
actions = []
for step in range(6):
    observation["observation/image"][:] = 20 * step
    actions.append(broker.infer(observation)["actions"].tolist())
try:
    policy.infer({"prompt": "push"})
    raise SystemExit("no error")
except RuntimeError as error:
    assert "lacks camera" in str(error)
print(json.dumps(actions))
"""


def test_the_real_openpi_client(predictor):
    needs = "import openpi_client.websocket_client_policy"
    python = interpreter([], needs, "ROBOVLMS_OPENPI_PYTHON")
    if python is None:
        pytest.skip("name a Python with openpi-client and typing_extensions in ROBOVLMS_OPENPI_PYTHON")
    policy = Policy(predictor.model, predictor.processor)
    with serving(predictor, token="s3cret") as server:
        run = subprocess.run([python, "-c", OPENPI, str(server.port)], capture_output=True, text=True, timeout=60)
    assert run.returncode == 0, run.stderr
    wanted = []
    for step in range(6):
        observation = plain_observation()
        observation["images"]["static"][:] = 20 * step
        wanted.append(policy.select_action(observation, "push"))
    np.testing.assert_allclose(json.loads(run.stdout), wanted, atol=1e-6)


def test_a_client_gives_pictures_in_whatever_form(predictor):
    observation = random_observation(predictor.contract)
    picture = observation["images"]["static"]
    with serving(predictor) as server, PolicyClient(port=server.port) as client:
        expected = client.predict(observation, "push")
        for same in (picture[::-1].copy()[::-1], Image.fromarray(picture), torch.from_numpy(picture).permute(2, 0, 1)):
            images = observation["images"] | {"static": same}
            state = torch.from_numpy(observation["state"])
            np.testing.assert_array_equal(client.predict({"images": images, "state": state}, "push"), expected)
        for instruction in (b"push", None, 7, ["push"], "  "):
            with pytest.raises(ValueError, match="'instruction' must be a sentence, got"):
                client.predict(observation, instruction)
