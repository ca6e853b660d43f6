"""Importing the package costs little, and transformers' Auto classes know its models in whatever order things come."""

import subprocess
import sys

import pytest

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
    import robovlms

    assert all(getattr(robovlms, name) is not None for name in robovlms.__all__)
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        _ = robovlms.Nothing


def test_processes_of_environments_do_without_the_models_libraries():
    """They import simulators: torch and transformers would cost each of them 7 CPU seconds and 0.4 GB."""
    heavy = ("torch", "transformers", "datasets", "matplotlib")
    code = (
        "import sys, gymnasium\nfrom robovlms.simulators.tabletop import TabletopEnv\n"
        f"print([name for name in {heavy} if name in sys.modules])"
    )
    assert run(code) == "[]"
