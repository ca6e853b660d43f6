"""The LeRobot plug-in: batches to a server (without LeRobot), and `lerobot-eval` itself where there is a LeRobot."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from robovlms import Policy
from robovlms.serving import PolicyServer, random_observation
from robovlms.serving.background import in_background

PLUGINS = Path(__file__).parent.parent / "plugins"


@pytest.fixture(scope="module")
def served_policy():
    """The plug-in's module that needs no LeRobot, over the client as its own package has it."""
    modules = {
        "robovlms_client": PLUGINS / "robovlms_client" / "robovlms_client.py",
        "served_policy": PLUGINS / "lerobot_policy_robovlms" / "lerobot_policy_robovlms" / "served_policy.py",
    }
    for name, path in modules.items():
        spec = importlib.util.spec_from_file_location(name, path)
        sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[name])
    yield sys.modules["served_policy"]
    for name in modules:
        del sys.modules[name]


def batch_of(observations, tasks, names=("static", "gripper")):
    """What LeRobot's evaluation makes: floats in [0, 1], channels first."""
    batch = {
        f"observation.images.{key}": torch.stack(
            [torch.from_numpy(each["images"][camera]).permute(2, 0, 1) / 255 for each in observations]
        )
        for camera, key in zip(("static", "gripper"), names, strict=True)
    }
    states = torch.stack([torch.from_numpy(each["state"]) for each in observations])
    return batch | {"observation.state": states, "task": tasks}


def test_rows_are_episodes_of_their_own(served_policy, predictor):
    policies = [Policy(predictor.model, predictor.processor) for _ in range(3)]
    tasks = ["push", "pick up the red block", "push"]
    with in_background(PolicyServer(predictor)) as server:
        served = served_policy.ServedPolicy("127.0.0.1", server.port)
        for episode in range(2):
            served.reset()
            for policy in policies:
                policy.reset()
            for step in range(5):
                observations = [random_observation(predictor.contract, 100 * row + step) for row in range(3)]
                actions = served.select_action(batch_of(observations, tasks))
                wanted = [
                    policy.select_action(observation, task)
                    for policy, observation, task in zip(policies, observations, tasks, strict=True)
                ]
                np.testing.assert_allclose(actions, wanted, atol=1e-5, err_msg=f"episode {episode}, step {step}")
        assert served.predict_action_chunk(batch_of(observations, tasks)).shape == (3, 5, 7)


def test_cameras_tasks_and_states_that_are_missing(served_policy, predictor):
    observations = [random_observation(predictor.contract, seed) for seed in range(2)]
    with in_background(PolicyServer(predictor)) as server:
        served = served_policy.ServedPolicy("127.0.0.1", server.port)
        batch = batch_of(observations, ["push", "push"], names=("front", "gripper"))
        with pytest.raises(ValueError, match=r"camera 'static' of the policy: which of .*front"):
            served.select_action(batch)
        with pytest.raises(ValueError, match="needs a task for each of 2 rows"):
            served.select_action(batch_of(observations, ["push", ""]))
        with pytest.raises(ValueError, match=r"needs 'observation\.state'"):
            whole = batch_of(observations, ["push", "push"])
            served.select_action({key: value for key, value in whole.items() if key != "observation.state"})
        renamed = served_policy.ServedPolicy("127.0.0.1", server.port, cameras={"static": "observation.images.front"})
        assert renamed.select_action(batch).shape == (2, 7)
        with pytest.raises(ValueError, match=r"the policy has no \['front'\]"):
            served_policy.ServedPolicy("127.0.0.1", server.port, cameras={"front": "x"})


PROBE = '''
import json, os
from dataclasses import dataclass, field
import gymnasium as gym
import numpy as np
from lerobot.configs.types import FeatureType, PolicyFeature
from lerobot.envs.configs import EnvConfig

class Probe(gym.Env):
    """Images and states that follow from seed and step; writes down what it is told."""

    metadata = {"render_modes": ["rgb_array"], "render_fps": 10}
    task, task_description, _max_episode_steps, render_mode = "push", "push", 6, "rgb_array"
    action_space = gym.spaces.Box(-10, 10, (7,), np.float32)
    sizes = {"static": (48, 64, 3), "gripper": (32, 32, 3)}
    observation_space = gym.spaces.Dict(
        pixels=gym.spaces.Dict({name: gym.spaces.Box(0, 255, size, np.uint8) for name, size in sizes.items()}),
        agent_pos=gym.spaces.Box(-1, 1, (3,), np.float64),
    )

    def reset(self, seed=None, options=None):
        self.number, self.steps = seed, 0
        return self.look(), {"is_success": False}

    def step(self, action):
        with open(os.environ["PROBE_ACTIONS"], "a") as file:
            file.write(json.dumps([self.number, self.steps, action.tolist()]) + "\\n")
        self.steps += 1
        done = self.steps == 6
        return self.look(), 0.0, done, False, {"is_success": done}

    def look(self):
        random = np.random.default_rng([self.number or 0, self.steps])
        images = {name: random.integers(0, 256, size, dtype=np.uint8) for name, size in self.sizes.items()}
        return {"pixels": images, "agent_pos": random.uniform(-0.2, 0.2, 3)}

    def render(self):
        return np.zeros((64, 64, 3), np.uint8)

gym.register("gym_probe/push", Probe)

@EnvConfig.register_subclass("probe")
@dataclass
class ProbeConfig(EnvConfig):
    task: str | None = "push"
    fps: int = 10
    features: dict[str, PolicyFeature] = field(default_factory=lambda: {
        "action": PolicyFeature(FeatureType.ACTION, (7,)),
        "agent_pos": PolicyFeature(FeatureType.STATE, (3,)),
        "pixels/static": PolicyFeature(FeatureType.VISUAL, (48, 64, 3)),
        "pixels/gripper": PolicyFeature(FeatureType.VISUAL, (32, 32, 3)),
    })
    features_map: dict[str, str] = field(default_factory=lambda: {
        "action": "action",
        "agent_pos": "observation.state",
        "pixels/static": "observation.images.static",
        "pixels/gripper": "observation.images.gripper",
    })

    @property
    def gym_kwargs(self) -> dict:
        return {}
'''


@pytest.mark.slow
def test_lerobot_eval(predictor, tmp_path):
    """In an environment with LeRobot and both plug-in packages, whose Python ROBOVLMS_LEROBOT_PYTHON names:
    `pip install 'lerobot[dataset,evaluation]==0.6.1' ./plugins/robovlms_client ./plugins/lerobot_policy_robovlms` (Python 3.12, 6 GB)."""
    python = os.environ.get("ROBOVLMS_LEROBOT_PYTHON")
    if python is None:
        pytest.skip("name a Python with LeRobot 0.6.1 and the plug-in in ROBOVLMS_LEROBOT_PYTHON")
    (tmp_path / "gym_probe").mkdir()
    (tmp_path / "gym_probe" / "__init__.py").write_text(PROBE)
    actions = tmp_path / "actions.jsonl"
    variables = {
        "PYTHONPATH": str(tmp_path),
        "PROBE_ACTIONS": str(actions),
        "ROBOVLMS_TOKEN": "s3cret",
        "OMP_NUM_THREADS": "1",
    }
    with in_background(PolicyServer(predictor, token="s3cret")) as server:
        command = [
            str(Path(python).parent / "lerobot-eval"),
            *("--policy.type=robovlms", f"--policy.port={server.port}", "--policy.device=cpu"),
            *("--env.type=probe", "--env.discover_packages_path=gym_probe", "--seed=7"),
            *("--eval.batch_size=2", "--eval.use_async_envs=false", "--eval.n_episodes=4"),
            f"--output_dir={tmp_path / 'out'}",
        ]
        run = subprocess.run(
            command,
            env=os.environ | variables,
            capture_output=True,
            text=True,
            timeout=400,
        )
        assert run.returncode == 0, run.stdout[-3000:] + run.stderr[-3000:]
        assert server.failed == server.refused == 0 and server.requests == 4 * 3
    report = json.loads((tmp_path / "out" / "eval_info.json").read_text())
    assert report["overall"]["n_episodes"] == 4 and report["overall"]["pc_success"] == 100
    told = [json.loads(line) for line in actions.read_text().splitlines()]
    assert len(told) == 4 * 6
    policies = {}
    for number, step, action in told:
        random = np.random.default_rng([number, step])
        images = {
            name: random.integers(0, 256, size, dtype=np.uint8)
            for name, size in (("static", (48, 64, 3)), ("gripper", (32, 32, 3)))
        }
        state = random.uniform(-0.2, 0.2, 3).astype(np.float32)
        policy = policies.setdefault(number, Policy(predictor.model, predictor.processor))
        np.testing.assert_allclose(action, policy.select_action({"images": images, "state": state}, "push"), atol=1e-5)
