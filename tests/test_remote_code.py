"""Checkpoints load without the package: same code, same actions."""

import json
import logging
import subprocess
import sys
from contextlib import contextmanager
from functools import partial
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from bare_environment import bare_environment
from transformers import AutoModel
from transformers.dynamic_module_utils import get_imports

from robovlms import (
    InterleavedContinuousVLA,
    OneStepContinuousVLA,
    OneStepDiscreteVLA,
    PolicyHeadContinuousVLA,
    RoboVLMProcessor,
    VectorSpec,
    __version__,
)
from robovlms.checkpoint.code import write_code
from robovlms.checkpoint.joining import RemoteCodeError, join_definitions, read_source
from robovlms.configuration import AbsoluteToDelta, Chain, ConvertRotation, LearnedActions
from robovlms.configuration.head_configs import DiffusionHeadConfig
from robovlms.modeling_robovlms import families
from robovlms.testing.samples import ACTION_NAMES

FAMILIES = ("smolvlm", "kosmos-2", "qwen2_vl", "paligemma", "molmo2", "idefics3")
WINDOWS = {OneStepContinuousVLA: 1, OneStepDiscreteVLA: 1, InterleavedContinuousVLA: 3, PolicyHeadContinuousVLA: 3}
# What a checkpoint's code may need wherever it is loaded.
ALLOWED = {"torch", "transformers", "numpy", "huggingface_hub", "tokenizers"}

IN_THE_BARE_ENVIRONMENT = """
import importlib.util, json, sys
from pathlib import Path
import numpy as np, torch
from transformers import AutoConfig, AutoModel, AutoModelForImageTextToText, AutoProcessor

torch.set_num_threads(1)
for name in ("robovlms", "diffusers", "scipy", "peft", "datasets"):
    assert importlib.util.find_spec(name) is None, name
for folder in sorted(Path(sys.argv[1]).iterdir()):
    config = AutoConfig.from_pretrained(folder, trust_remote_code=True)
    try:
        model = AutoModel.from_pretrained(folder, trust_remote_code=True).eval()
    except ImportError as error:
        print("REFUSED", folder.name, error)
        continue
    processor = AutoProcessor.from_pretrained(folder, trust_remote_code=True)
    sample = dict(np.load(folder / "sample.npz"))
    images = {name.removeprefix("image_"): value for name, value in sample.items() if name.startswith("image_")}
    inputs = processor(images, "push the block left", state=sample.get("state"))
    actions = model.predict_action_chunk(**inputs)
    decoded = processor.decode_actions(actions, state=sample.get("reference"))
    np.savez(folder / "bare.npz", actions=actions, decoded=decoded)
    assert type(model).__module__.startswith("transformers_modules"), type(model)
    if "AutoModelForImageTextToText" in config.auto_map:
        again = AutoModelForImageTextToText.from_pretrained(folder, trust_remote_code=True).eval()
        assert torch.equal(again.predict_action_chunk(**inputs), actions)
    if folder.name.endswith("smolvlm"):  # saved from the remote code, it is still whole
        model.save_pretrained(folder / "again")
        processor.save_pretrained(folder / "again")
        again = AutoModel.from_pretrained(folder / "again", trust_remote_code=True).eval()
        inputs = AutoProcessor.from_pretrained(folder / "again", trust_remote_code=True)(
            images, "push the block left", state=sample.get("state"))
        assert torch.equal(again.predict_action_chunk(**inputs), actions)
    print("LOADED", folder.name)
"""


def write_checkpoint(folder: Path, vla_class, backbone: str, agreed, sample, **fields) -> dict[str, np.ndarray]:
    """A checkpoint and a sample in `folder`; returns the installed package's action."""
    discrete = vla_class is OneStepDiscreteVLA
    agreed = agreed(window_size=WINDOWS[vla_class], **({"state": None} if discrete else {}))
    processor = RoboVLMProcessor.from_backbone(backbone, agreed, action_bins=16 if discrete else None)
    if discrete:
        fields["action_token_ids"] = processor.action_tokenizer.token_ids
    vla = vla_class.from_backbone(backbone, agreed, **fields).eval()
    vla.save_pretrained(folder)
    processor.save_pretrained(folder)
    one = sample(agreed, 0)
    state = {} if discrete else {"state": one["state"]}
    reference = None if agreed.transform is None else one["state"][-1:]
    state |= {} if reference is None else {"reference": reference}
    np.savez(folder / "sample.npz", **{f"image_{name}": pixels for name, pixels in one["images"].items()}, **state)
    installed = AutoModel.from_pretrained(folder).eval()
    assert type(installed) is vla_class
    actions = installed.predict_action_chunk(**processor(one["images"], "push the block left", state=one.get("state")))
    return {"actions": actions.numpy(), "decoded": processor.decode_actions(actions, state=reference)}


def pose_deltas(contract):
    """Makes the contract of a model that learns six-dimensional rotations relative to a state that it does not see."""
    poses = Chain(AbsoluteToDelta(rotation="euler_xyz"), ConvertRotation("euler_xyz", "rot6d"))
    vector = VectorSpec(tuple(poses.names(ACTION_NAMES)), normalization="none")
    state = VectorSpec(ACTION_NAMES[:6], normalization="none")
    return partial(contract, state=state, learned=LearnedActions(poses, vector, sees_state=False), mode="absolute")


@pytest.mark.parametrize("chosen", [FAMILIES[:3], pytest.param(FAMILIES[3:], marks=pytest.mark.slow)])
def test_without_the_package_actions_are_the_same(chosen, backbone, contract, sample, tmp_path):
    expected = {}
    for family in chosen:
        for vla_class in WINDOWS:
            name = f"{vla_class.__name__}-{family}"
            folder = tmp_path / "checkpoints" / name
            expected[name] = write_checkpoint(folder, vla_class, str(backbone(family)), contract, sample)
    name, agreed = "relative-smolvlm", pose_deltas(contract)
    folder = tmp_path / "checkpoints" / name
    expected[name] = write_checkpoint(folder, OneStepContinuousVLA, str(backbone("smolvlm")), agreed, sample)
    head = DiffusionHeadConfig(denoiser_size=32, denoiser_layers=1, denoiser_heads=2)
    diffusion = tmp_path / "checkpoints" / "diffusion"
    write_checkpoint(diffusion, OneStepContinuousVLA, str(backbone("smolvlm")), contract, sample, head_config=head)

    python = bare_environment(tmp_path / "environment")
    environment = {
        "PATH": "/usr/bin:/bin",
        "HF_HOME": str(tmp_path / "home"),
        "HF_HUB_OFFLINE": "1",
        "OMP_NUM_THREADS": "1",
    }
    script = [str(python), "-c", IN_THE_BARE_ENVIRONMENT, str(tmp_path / "checkpoints")]
    done = subprocess.run(script, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    loaded = [line.split()[1] for line in done.stdout.splitlines() if line.startswith("LOADED")]
    assert sorted(loaded) == sorted(expected) and len(loaded) == 13
    assert "REFUSED diffusion" in done.stdout and "diffusers" in done.stdout  # a head may need more; it says so
    for name, ours in expected.items():
        theirs = np.load(tmp_path / "checkpoints" / name / "bare.npz")
        for key, value in ours.items():
            np.testing.assert_array_equal(theirs[key], value, err_msg=f"{name}: {key}")


def test_the_code_is_generated_and_asks_for_little(backbone, contract, tmp_path):
    folder = tmp_path / "checkpoint"
    vla = PolicyHeadContinuousVLA.from_backbone(str(backbone("qwen2_vl")), contract(window_size=2))
    vla.save_pretrained(folder)
    RoboVLMProcessor.from_backbone(str(backbone("qwen2_vl")), contract(window_size=2)).save_pretrained(folder)
    files = sorted(folder.glob("*.py"))
    assert sum(len(file.read_text().splitlines()) for file in files) <= 3500
    assert [file.stem for file in files] == ["configuration_robovlms", "modeling_robovlms", "processing_robovlms"]
    for file in files:
        assert file.read_text().startswith(f"# Generated from robovlms {__version__};")
        absolute = {name for name in get_imports(file) if name not in sys.stdlib_module_names}
        assert absolute <= ALLOWED, (file.name, absolute)
    config = json.loads((folder / "config.json").read_text())
    assert config["auto_map"] == {
        "AutoConfig": "configuration_robovlms.PolicyHeadContinuousConfig",
        "AutoModel": "modeling_robovlms.PolicyHeadContinuousVLA",
        "AutoProcessor": "processing_robovlms.RoboVLMProcessor",
    }
    processor_config = json.loads((folder / "processor_config.json").read_text())
    assert processor_config["auto_map"] == {"AutoProcessor": "processing_robovlms.RoboVLMProcessor"}
    assert processor_config["robovlms"]["version"] == __version__


def test_code_holds_nothing_that_the_checkpoint_does_without(backbone, contract, tmp_path):
    """Every family's structures; what is generated is ordinary Python, in which every name is known."""
    structures = (OneStepDiscreteVLA, InterleavedContinuousVLA, PolicyHeadContinuousVLA)
    for family, vla_class in product(FAMILIES, structures):
        folder = tmp_path / f"{vla_class.__name__}-{family}"
        tokens = {"action_token_ids": list(range(16))} if vla_class is OneStepDiscreteVLA else {}
        agreed = contract(window_size=WINDOWS[vla_class], state=None)
        vla = vla_class.from_backbone(str(backbone(family)), agreed, **tokens)
        folder.mkdir()
        write_code(vla, folder)
        modeling = (folder / "modeling_robovlms.py").read_text()
        assert ("def join_images" in modeling) is (vla_class is InterleavedContinuousVLA)
        assert "def from_backbone" not in modeling and "travels_with" not in modeling
        used = {cls.__name__ for cls in type(vla.runner).__mro__}
        assert [name for name in families.__all__ if f"class {name}" in modeling and name not in used] == []
        assert [cls.__name__ for cls in WINDOWS if f"class {cls.__name__}(" in modeling] == [vla_class.__name__]
    lint = [sys.executable, "-m", "ruff", "check", "--isolated", "--select", "F", "--output-format", "concise"]
    found = subprocess.run([*lint, str(tmp_path)], capture_output=True, text=True, check=False).stdout
    faults = [line for line in found.splitlines() if ".py:" in line]
    assert faults == [], faults


def test_what_is_not_of_this_package_stays_with_its_author(backbone, contract, tmp_path):
    class MyVLA(OneStepContinuousVLA):
        pass

    folder = tmp_path / "checkpoint"
    OneStepContinuousVLA.from_backbone(str(backbone("smolvlm")), contract()).save_pretrained(folder)
    assert list(folder.glob("*.py"))
    with warnings_of("robovlms.checkpoint.code") as messages:
        MyVLA.from_backbone(str(backbone("smolvlm")), contract()).save_pretrained(folder)
    assert "test_remote_code" in messages[0] and "MyVLA is not of robovlms" in messages[0]
    assert not list(folder.glob("*.py")) and not json.loads((folder / "config.json").read_text()).get("auto_map")


@contextmanager
def warnings_of(name):
    messages, handler = [], logging.Handler(logging.WARNING)
    handler.emit = lambda record: messages.append(record.getMessage())
    logger = logging.getLogger(name)
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.WARNING)
    yield messages
    logger.removeHandler(handler)
    logger.setLevel(level)


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"entry.py": "from .a import x as y\nwanted = y\n"}, "imports 'x' of shippable.a as 'y'"),
        (
            {"entry.py": "from .a import x\nfrom .b import y\nwanted = x, y\n"},
            "'z' is one thing in .*a and another in .*b",
        ),
        (
            {"entry.py": "def wanted():\n    from .a import x\n"},
            "entry, line 2: relative imports must stand at the top",
        ),
        ({"entry.py": "print()\nwanted = 1\n"}, "entry, line 1: .* may only define"),
        (
            {
                "entry.py": "class wanted:\n    @travels_with('a')\n    def stays(self): ...\n"
                "    def goes(self):\n        self.stays()\n"
            },
            "entry, line 5: wanted.stays does not travel with 'b'",
        ),
    ],
)
def test_what_cannot_travel_is_named(files, message, tmp_path, monkeypatch):
    package = tmp_path / "shippable"
    package.mkdir()
    files = {"__init__.py": "", "a.py": "z = 1\nx = z\n", "b.py": "z = 2\ny = z\n"} | files
    for name, text in files.items():
        (package / name).write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path))
    try:
        with pytest.raises(RemoteCodeError, match=message):
            join_definitions([("shippable.entry", "wanted")], lambda module: "file", {"file": "Joined."}, "b")
    finally:
        read_source.cache_clear()
        for name in [name for name in sys.modules if name.split(".")[0] == "shippable"]:
            del sys.modules[name]
