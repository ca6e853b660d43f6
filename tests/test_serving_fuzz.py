"""Malformed messages: each is refused or hangs up, nothing is executed, and a good client notices nothing."""

import threading
import time

import msgpack
import numpy as np
import pytest
import websockets.exceptions
import websockets.sync.client

from robovlms.serving import PolicyClient, PolicyServer, random_observation
from robovlms.serving.background import in_background
from robovlms.serving.client import packb, unpackb
from robovlms.serving.limits import ServerLimits

LIMITS = ServerLimits(max_message_bytes=200_000)


class Malformed:
    """Draws messages that are no valid request; every kind at the same rate."""

    def __init__(self, contract, seed):
        self.random = np.random.default_rng(seed)
        self.contract = contract
        self.kinds = [
            getattr(self, name)
            for name in sorted(dir(self))
            if not name.startswith("_") and callable(getattr(self, name))
        ]

    def __next__(self):
        return self.kinds[self.random.integers(len(self.kinds))]()

    def _good(self):
        observation = random_observation(self.contract, int(self.random.integers(1000)))
        images = {"observation/image": "static", "observation/wrist_image": "gripper"}
        images = {key: observation["images"][camera] for key, camera in images.items()}
        return images | {"observation/state": observation["state"], "prompt": "push"}

    def _with(self, value, key=None):
        key = key or str(self.random.choice(["observation/image", "observation/wrist_image", "observation/state"]))
        return packb(self._good() | {key: value})

    def _array(self, **changes):
        fields = {b"__ndarray__": True, b"data": b"\0" * 12, b"dtype": "<f4", b"shape": [3]}
        fields |= {name.encode(): value for name, value in changes.items()}
        return msgpack.packb({"observation/state": fields, "prompt": "push"})

    def truncated(self):
        message = packb(self._good())
        return message[: self.random.integers(len(message))]

    def flipped(self):
        message = bytearray(packb(self._good()))
        for place in self.random.integers(200, size=8):  # among the headers and the first keys
            message[place] ^= int(self.random.integers(1, 256))
        return bytes(message)

    def noise(self):
        return self.random.bytes(int(self.random.integers(1, 3000)))

    def trailing(self):
        return packb(self._good()) + self.random.bytes(int(self.random.integers(1, 50)))

    def text(self):
        return str(self.random.bytes(20))

    def too_big(self):
        return bytes(LIMITS.max_message_bytes + 1 + int(self.random.integers(100)))

    def nested(self):
        return b"\x91" * int(self.random.integers(1, 5000)) + b"\xc0"

    def many_lists(self):
        return b"\xdc\x03\xff" + b"\x90" * 1023 if self.random.random() < 0.5 else b"\xdd\0\x02\0\0" + b"\x90" * 2**17

    def claims_to_be_huge(self):
        return [b"\xdd\xff\xff\xff\xff", b"\xdf\xff\xff\xff\xff", b"\xc6\xff\xff\xff\xff"][self.random.integers(3)]

    def extension_type(self):
        return msgpack.packb({"prompt": msgpack.ExtType(int(self.random.integers(128)), b"cos\nsystem\n")})

    def not_a_map(self):
        return packb([[1, 2], "push", 3.5, None, True][self.random.integers(5)])

    def number_keys(self):
        return msgpack.packb({1: 2, 3: 4})

    def missing_key(self):
        message = self._good()
        message.pop(list(message)[self.random.integers(len(message))])
        return packb(message)

    def wrong_key(self):
        message = self._good()
        old = list(message)[self.random.integers(len(message))]
        return packb({key + "x" if key == old else key: value for key, value in message.items()})

    def huge_shape(self):
        return self._array(shape=[2 ** int(self.random.integers(20, 62)), 2 ** int(self.random.integers(20, 62))])

    def negative_shape(self):
        return self._array(shape=[-1, 3])

    def odd_shape(self):
        return self._array(shape=[None, "3", [3], 3.0, [1] * 40, True][self.random.integers(6)])

    def wrong_dtype(self):
        names = ["|O", "O", "V12", "c16", "U3", "S12", "M8[s]", "u1,u1", "f4", "x", "", 4, None, b"<f4", "<f" * 500]
        data = b"\0" * int(self.random.integers(1, 12))
        return self._array(dtype=names[self.random.integers(len(names))], data=data)

    def data_not_bytes(self):
        return self._array(data=["text", 3, None, [0] * 12][self.random.integers(4)])

    def odd_scalar(self):
        scalar = {
            b"__npgeneric__": True,
            b"data": [10**10, "x", None, [1], -1][self.random.integers(5)],
            b"dtype": "|u1",
        }
        return msgpack.packb({"observation/state": scalar, "prompt": "push"})

    def nan_image(self):
        return self._with(np.full((48, 64, 3), np.nan, np.float32), "observation/image")

    def loud_image(self):
        return self._with(np.full((48, 64, 3), 3.0, np.float32), "observation/image")

    def image_of_another_size(self):
        height, width = self.random.integers(0, 100, 2)
        return self._with(np.zeros((height, width + 65, 3), np.uint8), "observation/image")

    def image_of_another_kind(self):
        dtype = self.random.choice(["i8", "u2", "?", "i1"])
        return self._with(np.zeros((48, 64, 3), dtype), "observation/image")

    def image_of_other_axes(self):
        return self._with(np.zeros((1,) * int(self.random.integers(0, 8)), np.uint8), "observation/image")

    def not_an_image(self):
        return self._with([None, "cat", 3, [1, 2], {"a": 1}][self.random.integers(5)], "observation/image")

    def state_of_another_width(self):
        return self._with(np.zeros(int(self.random.choice([0, 1, 2, 4, 100]))), "observation/state")

    def state_not_finite(self):
        return self._with(np.array([0.0, self.random.choice([np.nan, np.inf, -np.inf]), 0.0]), "observation/state")

    def state_not_numbers(self):
        return self._with(
            [["a", "b", "c"], "abc", {"x": 1}, [[1], [2, 3]], [None] * 3][self.random.integers(5)], "observation/state"
        )

    def odd_prompt(self):
        return self._with(["", "   ", 3, None, "x" * 5000, b"push", ["push"]][self.random.integers(7)], "prompt")

    def odd_extension(self):
        odd = [
            3,
            {"exec": "import os"},
            {"history": [3]},
            {"history": [{}] * 4},
            {"running": {"actions": 3, "delay": 0}},
        ]
        odd += [
            {"running": {"actions": np.zeros((2, 7)), "delay": 3}},
            {"running": {"actions": np.full((2, 7), np.nan), "delay": 1}},
        ]
        odd += [
            {"running": {"actions": np.zeros((2000, 7)), "delay": 1}},
            {"running": {"delay": 1}},
            {"history": {"a": 1}},
        ]
        return self._with(odd[self.random.integers(len(odd))], "robovlms")

    def too_many_cameras(self):
        extra = {f"camera{number}": np.zeros((2, 2, 3), np.uint8) for number in range(20)}
        return packb(self._good() | extra)


def attack(server, malformed, count, outcomes):
    """Send malformed messages over as few connections as the server leaves open."""
    connection = None
    for _ in range(count):
        if connection is None:
            connection = websockets.sync.client.connect(
                f"ws://127.0.0.1:{server.port}", compression=None, max_size=None, close_timeout=2
            )
            connection.recv(timeout=30)
        try:
            connection.send(next(malformed))
            reply = connection.recv(timeout=30)
        except websockets.exceptions.ConnectionClosed:
            outcomes["closed"] += 1
            connection = None
            continue
        if isinstance(reply, str) and reply:
            outcomes["error"] += 1
        else:
            outcomes["answered"] += 1  # what is left after the flipping of bits may be a request after all
            assert unpackb(reply)["actions"].shape == (5, 7)
    if connection is not None:
        connection.close()


def resident_mib():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmRSS")) / 1024


@pytest.mark.parametrize("count", [1500, pytest.param(12_000, marks=pytest.mark.slow)])
def test_malformed_messages(predictor, count):
    observation = random_observation(predictor.contract)
    with (
        in_background(PolicyServer(predictor, limits=LIMITS)) as server,
        PolicyClient(port=server.port, timeout=30) as client,
    ):
        wanted = client.predict(observation, "push")
        outcomes = {"closed": 0, "error": 0, "answered": 0}
        attack(server, Malformed(predictor.contract, 0), 500, outcomes)
        before = resident_mib()
        rest = threading.Thread(target=attack, args=(server, Malformed(predictor.contract, 1), count - 500, outcomes))
        rest.start()
        served = 0
        while rest.is_alive():
            np.testing.assert_allclose(client.predict(observation, "push"), wanted, atol=1e-6)
            served += 1
            time.sleep(0.01)
        rest.join()
        assert sum(outcomes.values()) == count and outcomes["answered"] < 0.02 * count, outcomes
        assert outcomes["error"] > 0.3 * count and outcomes["closed"] > 0.1 * count, outcomes
        assert served > 10 and server.failed == 0
        assert resident_mib() - before < 100
        np.testing.assert_allclose(client.predict(observation, "push"), wanted, atol=1e-6)
