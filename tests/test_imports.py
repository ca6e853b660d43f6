"""Importing the package costs little, and transformers' Auto classes know its models in whatever order things come."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from bare_environment import bare_environment

import robovlms

FOUND = """
from transformers import AutoConfig, AutoModel, AutoModelForImageTextToText, AutoProcessor
from transformers.models.auto.modeling_auto import MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING, MODEL_MAPPING
from transformers.models.auto.processing_auto import PROCESSOR_MAPPING
config = type(AutoConfig.for_model("robovlms_one_step_discrete", vlm_config=None))
print(config.__name__, MODEL_MAPPING[config].__name__, MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING[config].__name__,
      PROCESSOR_MAPPING[config].__name__)
"""


def run(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.strip()


@pytest.mark.parametrize(
    "first",
    [
        "import robovlms.auto_classes",
        "import robovlms\nfrom robovlms import RoboVLMProcessor, VLAOutput",
        "from transformers import AutoModel\nimport robovlms",
    ],
)
def test_auto_classes_know_the_models(first):
    expected = "OneStepDiscreteConfig OneStepDiscreteVLA OneStepDiscreteVLA RoboVLMProcessor"
    assert run(f"{first}\n{FOUND}") == expected


def test_loading_data_imports_neither_models_nor_torchvision():
    heavy = ("torchvision", "torch._dynamo", "scipy", "pandas", "diffusers", "robovlms.modeling_robovlms")
    code = f"import sys, robovlms.data\nprint([name for name in {heavy} if name in sys.modules])"
    assert run(code) == "[]"


def test_public_names_are_there():
    assert all(getattr(robovlms, name) is not None for name in robovlms.__all__)
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        _ = robovlms.Nothing


EPISODE = """
import sys, gymnasium
env = gymnasium.make("robovlms.simulators:robovlms/Tabletop-v0", image_size=32, max_steps=3, render_mode="rgb_array")
observation, info = env.reset(seed=0)
truncated = False
while not truncated:
    observation, _, _, truncated, info = env.step(env.action_space.sample())
print(observation["images"]["static"].shape, env.render().shape, type(info["instruction"]).__name__)
try:
    import torch
except ImportError:
    print("without torch")
"""


def test_the_tabletop_needs_numpy_gymnasium_and_mujoco_alone(tmp_path):
    """Environments run in processes of their own: torch would cost each of them 7 CPU seconds and 0.4 GB."""
    python = bare_environment(tmp_path / "bare", ("numpy", "gymnasium", "mujoco"))
    source = str(Path(robovlms.__file__).parents[1])
    done = subprocess.run(
        [python, "-c", EPISODE], env=os.environ | {"PYTHONPATH": source}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split("\n")[:2] == ["(32, 32, 3) (256, 256, 3) str", "without torch"]


@pytest.mark.parametrize("mode", ["sync", "async"])
def test_gymnasium_makes_environments_by_module_and_id(mode):
    code = (
        "import gymnasium\n"
        "envs = gymnasium.make_vec('robovlms.simulators:robovlms/Tabletop-v0', num_envs=2, image_size=16, "
        f"vectorization_mode='{mode}')\n"
        "print(envs.reset(seed=0)[0]['images']['gripper'].shape)\n"
        "envs.close()"
    )
    assert run(code) == "(2, 16, 16, 3)"


def test_help_of_training_needs_neither_torch_nor_the_models():
    heavy = ("torch", "datasets", "peft", "robovlms.modeling_robovlms")
    code = (
        "import sys\nfrom robovlms.cli import main\nassert main(['train', '--help']) == 0\n"
        f"print([name for name in {heavy} if name in sys.modules])"
    )
    said = run(code).splitlines()
    assert said[-1] == "[]" and any("--learning_rate" in line for line in said)


def test_structures_of_the_command_line_are_all():
    from robovlms import STRUCTURES
    from robovlms.training.arguments import STRUCTURE_NAMES

    assert set(STRUCTURE_NAMES) == set(STRUCTURES)
