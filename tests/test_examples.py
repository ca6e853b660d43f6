"""The examples run as printed; the recipes parse."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from accelerate.commands.config.config_args import load_config_from_file

from robovlms.training import DatasetSpec, parse_arguments
from robovlms.training.scratch_arguments import GROUPS

ROOT = Path(__file__).parents[1]
RECIPES = ROOT / "training" / "recipes"
ENVIRONMENT = os.environ | {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
PRINTED = re.findall(r"^(python|torchrun \S+ \d) (examples/\w+\.py)$", (ROOT / "examples/README.md").read_text(), re.M)
IS_TRAINING = {file.name for file in RECIPES.glob("*.yaml") if "distributed_type" not in file.read_text()}


@pytest.mark.parametrize(("launcher", "script"), PRINTED, ids=[" ".join(line) for line in PRINTED])
def test_example(launcher, script, tmp_path):
    start = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"] if "torchrun" in launcher else []
    output = tmp_path / "out"
    command = [sys.executable, *start, str(ROOT / script), "--output_dir", str(output), "--max_steps", "2"]
    done = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stderr[-3000:]
    assert "train_loss" in done.stdout or "trained in" in done.stdout  # as the Trainer or `monitor` says it


def test_every_example_is_printed():
    shared = {"stand_ins.py", "half_trained_policy.py"}
    scripts = {path.name for path in (ROOT / "examples").glob("*.py")} - shared
    printed = set(re.findall(r"examples/(\w+\.py)", (ROOT / "examples/README.md").read_text()))
    assert printed == scripts


@pytest.mark.parametrize("name", sorted(IS_TRAINING))
def test_training_recipe_parses(name):
    flags = ["--config", str(RECIPES / name), "--use_cpu", "true", "--bf16", "false"]
    flags += [] if "dataset:" in (RECIPES / name).read_text() else ["--dataset", "me/mine"]
    vla, training, *_ = parse_arguments(GROUPS, flags, "robovlms train")
    assert [DatasetSpec.parse(text) for text in vla.dataset]
    assert training.bf16 is False and training.learning_rate < 1e-3  # flags go before the file
    assert json.loads(vla.head_options) is not None


@pytest.mark.parametrize("name", sorted({file.name for file in RECIPES.glob("*.yaml")} - IS_TRAINING))
def test_launch_recipe_parses(name):
    config = load_config_from_file(str(RECIPES / name))
    assert config.num_processes >= 8 and config.mixed_precision == "bf16"


@pytest.mark.parametrize("file", sorted(RECIPES.glob("*.json")), ids=lambda file: file.name)
def test_deepspeed_recipe_parses(file):
    assert json.loads(file.read_text())["zero_optimization"]["stage"] in (2, 3)


def test_a_mistake_in_the_file_is_named(tmp_path):
    for text, wanted in (("learning_rat: 1", "learning_rat"), ("- 1", "mapping"), ("structure: cube", "cube")):
        (tmp_path / "run.yaml").write_text(text)
        with pytest.raises(ValueError, match=wanted):
            parse_arguments(GROUPS, ["--config", str(tmp_path / "run.yaml"), "--dataset", "x"], "robovlms train")
