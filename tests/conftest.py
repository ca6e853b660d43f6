"""What several test modules share: an example contract, tiny backbones, random samples."""

import os
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")

import hypothesis
import pytest
import torch
from transformers.utils import logging

from robovlms import ActionContract, OneStepContinuousVLA, RoboVLMProcessor
from robovlms.serving import ChunkPredictor
from robovlms.testing import tiny_backbone
from robovlms.testing.samples import example_contract, example_sample

torch.set_num_threads(1)
logging.disable_progress_bar()
hypothesis.settings.register_profile("robovlms", deadline=None, derandomize=True, database=None, max_examples=100)
hypothesis.settings.load_profile("robovlms")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--families", metavar="A,B", help="of tests over backbone families, run these families' only")
    parser.addoption("--record", action="store_true", help="write robovlms.matrix and docs/backbones.md of this run")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if not (chosen := config.getoption("--families")):
        return
    chosen = set(chosen.split(","))
    family_of = {item: getattr(item, "callspec", None) and item.callspec.params.get("family") for item in items}
    if unknown := chosen - set(family_of.values()):
        raise pytest.UsageError(f"--families: no selected test has {sorted(unknown)}.")
    config.hook.pytest_deselected(items=[item for item in items if family_of[item] not in chosen])
    items[:] = [item for item in items if family_of[item] in chosen]


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
