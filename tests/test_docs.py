"""The pages' own snippets, run in their order on a tiny backbone."""

import inspect
import re
import sys
import textwrap
from functools import partial
from pathlib import Path

import cloudpickle
import gymnasium
import numpy as np
import pytest
from rlds_writer import write_rlds
from torch.utils.data import DataLoader
from transformers import TrainingArguments

from robovlms import (
    ActionContract,
    LSTMHeadConfig,
    OneStepContinuousVLA,
    OneStepDiscreteVLA,
    Policy,
    PolicyHeadContinuousVLA,
    RoboVLMProcessor,
)
from robovlms.data import EpisodeBlockSampler, LeRobotDataset, Mixture, RLDSDataset, VLACollator, action_contract
from robovlms.evaluation import RandomPolicy
from robovlms.serving import ChunkPredictor, PolicyClient, PolicyServer, random_observation
from robovlms.serving.background import in_background
from robovlms.simulators.tabletop.environment import TabletopEnv
from robovlms.simulators.tabletop.expert_chunks import tabletop_contract
from robovlms.testing.demonstrations import write_demonstrations
from robovlms.training import VLATrainer

# Environment processes cannot import test modules: send what is defined here by value.
cloudpickle.register_pickle_by_value(sys.modules[__name__])

DOCS = Path(__file__).parents[1] / "docs"
PAGES = sorted((DOCS / "structures").glob("*.md"))
WINDOWS = {"interleaved": 3, "policy_head": 3}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_snippets_run(page, backbone, contract, sample):
    own = contract(window_size=WINDOWS.get(page.stem, 1), state=None)
    frame = sample(own.replace(window_size=1), 0)["images"]
    names = {
        "backbone": str(backbone("smolvlm")),
        "contract": own,
        "frame": frame,
        "sentence": "push the block",
        "state": None,
        "chunks": np.random.default_rng(0).uniform(-0.2, 0.2, (100, own.chunk_size, own.action_dim)),
    }
    snippets = re.findall(r"```python\n(.*?)```", page.read_text(), re.DOTALL)
    assert snippets
    for snippet in snippets:
        exec(snippet, names)


@pytest.mark.parametrize("page", ["serving", "robots"])
def test_snippets_about_serving_run(page, backbone, tmp_path):
    """Those marked `python no-run` need somebody else's package or robot."""
    contract = tabletop_contract(chunk_size=10, n_action_steps=4)
    camera = {"serving": "front", "robots": "static"}[page]
    contract = contract.replace(cameras=(contract.cameras[0].replace(name=camera),))
    vla = OneStepContinuousVLA.from_backbone(backbone("smolvlm"), contract)
    processor = RoboVLMProcessor.from_backbone(backbone("smolvlm"), contract)
    vla.save_pretrained(tmp_path)
    processor.save_pretrained(tmp_path)
    observation = random_observation(contract)
    names = {"checkpoint": str(tmp_path), "image": observation["images"][camera], "state": observation["state"]}
    snippets = re.findall(r"```python\n(.*?)```", (DOCS / f"{page}.md").read_text(), re.DOTALL)
    assert snippets
    with in_background(PolicyServer(ChunkPredictor(vla, processor))) as server:
        for snippet in snippets:
            exec(snippet, names | {"port": server.port})


def test_snippets_about_post_training_run(backbone, contract, sample, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    own = contract(state=None)
    names = {
        "vla": OneStepContinuousVLA.from_backbone(backbone("smolvlm"), own),
        "processor": RoboVLMProcessor.from_backbone(backbone("smolvlm"), own),
        "actions": [sample(own, seed) for seed in range(8)],
        "picture": np.zeros((32, 32, 3), dtype=np.uint8),
    }
    snippets = re.findall(r"```python\n(.*?)```", (DOCS / "post_training.md").read_text(), re.DOTALL)
    assert snippets
    for snippet in snippets:
        exec(snippet, names)


def test_snippets_about_the_hub_run(backbone, contract, sample, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    own = contract()
    names = {
        "vla": OneStepContinuousVLA.from_backbone(backbone("smolvlm"), own),
        "processor": RoboVLMProcessor.from_backbone(backbone("smolvlm"), own),
        "samples": [sample(own, seed) for seed in range(8)],
        "folder": str(tmp_path / "my_vla"),
    }
    snippets = re.findall(r"```python\n(.*?)```", (DOCS / "hub.md").read_text(), re.DOTALL)
    assert len(snippets) == 4
    for snippet in snippets:
        exec(snippet, names)


def test_snippets_about_evaluation_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    env = partial(TabletopEnv, image_size=16, max_steps=1000)
    names = {"make_env": lambda: TaskByName(env()), "policy": RandomPolicy(env().action_space)}
    snippets = re.findall(r"```python\n(.*?)```", (DOCS / "evaluation.md").read_text(), re.DOTALL)
    assert snippets
    for snippet in snippets:
        exec(snippet, names)
    assert (tmp_path / "results" / "report.html").exists()


HEAD = LSTMHeadConfig(hidden_size=32, num_layers=1, decoder_sizes=(32,))
EXAMPLES = (
    ActionContract,
    LeRobotDataset,
    RLDSDataset,
    Mixture,
    VLACollator,
    RoboVLMProcessor,
    PolicyHeadContinuousVLA,
    OneStepDiscreteVLA,
    VLATrainer,
    Policy,
    PolicyClient,
)


@pytest.fixture(scope="module")
def met_first(backbone, tmp_path_factory):
    """What the examples of classes take for granted, and what stands here for the ids and addresses in them."""
    folder = tmp_path_factory.mktemp("examples")
    random = np.random.default_rng(0)
    demonstrations = write_demonstrations(folder / "demonstrations")
    steps = {
        "action": random.uniform(-1, 1, (6, 7)).astype(np.float32),
        "observation/state": random.uniform(-1, 1, (6, 2)).astype(np.float32),
        "observation/image": random.integers(0, 255, (6, 32, 32, 3), dtype=np.uint8),
        "language_instruction": ["push the block"] * 6,
    }
    write_rlds(folder, "my_dataset", [steps])
    dataset = LeRobotDataset(demonstrations, window_size=2, chunk_size=4)
    contract = action_contract(dataset, n_action_steps=2)
    vla = PolicyHeadContinuousVLA.from_backbone(str(backbone("smolvlm")), contract, head_config=HEAD)
    processor = RoboVLMProcessor.from_backbone(str(backbone("smolvlm")), contract)
    vla.save_pretrained(folder / "my_vla")
    processor.save_pretrained(folder / "my_vla")
    image = np.zeros((32, 32, 3), dtype=np.uint8)
    names = {kind.__name__: kind for kind in (*EXAMPLES, DataLoader, EpisodeBlockSampler, TrainingArguments)}
    names |= {"vla": vla, "processor": processor, "dataset": dataset, "contract": contract}
    names |= {"image": image, "images": np.stack([image, image]), "state": np.zeros(2), "states": np.zeros((2, 2))}
    names |= {"action_contract": action_contract, "LSTMHeadConfig": lambda: HEAD}
    stands_for = {
        '"Qwen/Qwen2-VL-2B-Instruct"': repr(str(backbone("smolvlm"))),
        '"me/my_vla"': repr(str(folder / "my_vla")),
        '"me/demonstrations"': repr(str(demonstrations)),
        '"me/corrections"': repr(str(demonstrations)),
        '"tensorflow_datasets/my_dataset"': repr(str(folder / "my_dataset")),
        '"outputs/my_vla"': repr(str(folder / "run")),
        "10_000": "2",
        "bf16=True": "use_cpu=True",
    }
    return names, stands_for


@pytest.mark.parametrize("kind", EXAMPLES, ids=lambda kind: kind.__name__)
def test_examples_of_classes_run(kind, met_first, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names, stands_for = met_first
    monkeypatch.setenv("ROBOVLMS_CACHE", str(tmp_path))
    example = inspect.getdoc(kind).split("\nExample:\n")[1].split("\n\n")[0]
    for word, mine in stands_for.items():
        example = example.replace(word, mine)
    names = dict(names)
    if kind is OneStepDiscreteVLA:
        names |= {"contract": names["contract"].replace(window_size=1, state=None), "images": names["images"][:1]}
    if kind is not PolicyClient:
        exec(textwrap.dedent(example), names)
        return
    with in_background(PolicyServer(ChunkPredictor(names["vla"], names["processor"]))) as server:
        exec(textwrap.dedent(example).replace("8000", str(server.port)), names)


class TaskByName(gymnasium.Wrapper):
    """The tabletop under the page's task names."""

    def reset(self, *, seed=None, options=None):
        return self.env.reset(seed=seed, options={"task": "open_drawer"})


def test_the_architecture_page_names_what_exists():
    """Each row of its questions names a file, and a class or function of it."""
    rows = re.findall(r"^\| .+\? \| `([^`]+)` \| (.+) \|$", (DOCS / "architecture.md").read_text(), re.MULTILINE)
    assert len(rows) == 10
    for file, look_at in rows:
        path = DOCS.parent / file
        assert path.exists(), file
        if names := re.findall(r"^`(\w+)`$", look_at):
            assert re.search(rf"^ *(class|def) {names[0]}\b", path.read_text(), re.MULTILINE), (file, names)


@pytest.mark.parametrize("page", ["README.md", "docs/README.md", "docs/architecture.md", "examples/README.md"])
def test_links_lead_somewhere(page):
    file = DOCS.parent / page
    links = re.findall(r"\]\(([^)#]+)[^)]*\)", file.read_text())
    assert [link for link in links if "://" not in link and not (file.parent / link).exists()] == []
