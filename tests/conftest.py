"""What several test modules share: an example contract, tiny backbones, random samples."""

import os
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")

import hypothesis
import numpy as np
import pytest
import torch
from transformers.utils import logging

from robovlms import (
    ActionContract,
    CameraSpec,
    GripperSpec,
    OneStepContinuousVLA,
    RoboVLMProcessor,
    Statistics,
    VectorSpec,
)
from robovlms.serving import ChunkPredictor
from robovlms.testing import tiny_backbone

torch.set_num_threads(1)
logging.disable_progress_bar()
hypothesis.settings.register_profile("robovlms", deadline=None, derandomize=True, database=None, max_examples=100)
hypothesis.settings.load_profile("robovlms")

ACTION_NAMES = ("x", "y", "z", "roll", "pitch", "yaw", "gripper")


def example_statistics(width: int) -> Statistics:
    """A different, skewed range for every dimension."""
    high = [0.25 * (index + 1) for index in range(width)]
    return Statistics(
        q01=[-0.5 * value for value in high],
        q99=[0.75 * value for value in high],
        min=[-value for value in high],
        max=high,
        mean=[0.1 * value for value in high],
        std=[0.3 * value for value in high],
        count=1000,
        origin="example",
    )


def example_contract(**changes) -> ActionContract:
    """An arm with two cameras of different sizes, a three-dimensional state and an inverted gripper."""
    fields = {
        "embodiment": "arm",
        "action": VectorSpec(ACTION_NAMES, normalization="min_max", statistics=example_statistics(7)),
        "state": VectorSpec(("s0", "s1", "s2"), normalization="mean_std", statistics=example_statistics(3)),
        "cameras": (CameraSpec("static", 48, 64), CameraSpec("gripper", 32, 32)),
        "grippers": (GripperSpec(6, open_value=0.0, closed_value=1.0),),
        "control_frequency": 10.0,
        "chunk_size": 3,
    }
    return ActionContract(**(fields | changes))


def example_sample(contract: ActionContract, seed: int, instruction: str | None = None) -> dict:
    """A random window sample, as a dataset would return it: some history is padding, some actions do not count."""
    random = np.random.default_rng(seed)
    window, chunk = contract.window_size, contract.chunk_size
    frame_mask = np.arange(window) >= random.integers(0, window)
    action_mask = np.arange(chunk)[None] < random.integers(1, chunk + 1, (window, 1))
    actions = random.uniform(-0.2, 0.2, (window, chunk, contract.action_dim)).astype(np.float32)
    for gripper in contract.grippers:
        actions[..., gripper.dim] = random.choice([gripper.open_value, gripper.closed_value], (window, chunk))
    sample = {
        "images": {
            camera.name: random.integers(0, 256, (window, camera.height, camera.width, 3), dtype=np.uint8)
            for camera in contract.cameras
        },
        "actions": actions,
        "action_mask": action_mask,
        "frame_mask": frame_mask,
        "instruction": instruction or ["open", "pick up the red block", "push the block left"][seed % 3],
        "embodiment": contract.embodiment,
    }
    if contract.state is not None:
        sample["state"] = random.uniform(-0.2, 0.2, (window, contract.state_dim)).astype(np.float32)
    return sample


@pytest.fixture(autouse=True)
def seeded() -> None:
    """No test depends on those that ran before it."""
    torch.manual_seed(0)


@pytest.fixture(scope="session")
def contract() -> Callable[..., ActionContract]:
    """Makes the example contract, with changes."""
    return example_contract


@pytest.fixture(scope="session")
def sample() -> Callable[..., dict]:
    """Makes a random window sample of a contract."""
    return example_sample


@pytest.fixture(scope="session")
def backbone(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The folder of a tiny random checkpoint of a family, written once per session."""
    root = tmp_path_factory.mktemp("backbones")

    def folder(model_type: str) -> Path:
        return root / model_type if (root / model_type).exists() else tiny_backbone(model_type, root / model_type)

    return folder


@pytest.fixture(scope="session")
def predictor(backbone, contract) -> ChunkPredictor:
    """A tiny policy without history that executes two of five steps."""
    agreed = contract(chunk_size=5, n_action_steps=2)
    torch.manual_seed(0)
    vla = OneStepContinuousVLA.from_backbone(backbone("smolvlm"), agreed)
    return ChunkPredictor(vla, RoboVLMProcessor.from_backbone(backbone("smolvlm"), agreed))
