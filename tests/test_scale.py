"""Runs as a lab has them: two processes, and processes that are killed. Real processes, real signals."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModel

import robovlms  # noqa: F401  (registers the models)
from robovlms.testing import write_demonstrations

ENVIRONMENT = os.environ | {"OMP_NUM_THREADS": "1", "TRANSFORMERS_VERBOSITY": "error"}
TORCHRUN = ("-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2")


@pytest.fixture(scope="module")
def demonstrations(tmp_path_factory) -> Path:
    return write_demonstrations(tmp_path_factory.mktemp("data") / "demonstrations")


def command(dataset: Path, backbone: Path, output: Path, *launcher: str, **options) -> list[str]:
    defaults = {
        "dataset": dataset,
        "backbone": backbone,
        "output_dir": output,
        "window_size": 2,
        "history_stride": 1,
        "chunk_size": 4,
        "n_action_steps": 2,
        "head_options": '{"hidden_size": 32, "num_layers": 2, "dropout": 0.1, "decoder_sizes": [32]}',
        "logging_steps": 1,
        "disable_tqdm": True,
        "lr_scheduler_type": "linear",
        "warmup_steps": 0,
        "learning_rate": 1e-3,
    }
    flags = [part for name, value in (defaults | options).items() for part in (f"--{name}", str(value))]
    return [sys.executable, *launcher, "-m", "robovlms.cli", "train", *flags]


def run(arguments: list[str]) -> None:
    done = subprocess.run(arguments, env=ENVIRONMENT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]


def losses(output: Path) -> list[float]:
    history = json.loads((output / "trainer_state.json").read_text())["log_history"]
    return [entry["loss"] for entry in history if "loss" in entry]


def parts(output: Path) -> list[float]:
    history = json.loads((output / "trainer_state.json").read_text())["log_history"]
    names = ("pose_loss", "gripper_loss", "action_error/x", "action_error/gripper")
    return [entry[name] for entry in history if "loss" in entry for name in names]


def test_two_processes_have_the_loss_curve_of_one(demonstrations, backbone, tmp_path):
    """The same global batch of eight windows, many of them with masked chunks, in two micro-batches."""
    options = {
        "max_steps": 6,
        "gradient_accumulation_steps": 2,
        "dataloader_drop_last": True,  # else two processes fill an epoch's odd last batch up, and one does not
        "save_strategy": "no",
        "head_options": '{"hidden_size": 32, "num_layers": 1, "decoder_sizes": [32], "gripper_loss_weight": 0.1}',
    }
    model = backbone("smolvlm")
    run(command(demonstrations, model, tmp_path / "one", per_device_train_batch_size=4, **options))
    run(command(demonstrations, model, tmp_path / "two", *TORCHRUN, per_device_train_batch_size=2, **options))
    one, two = losses(tmp_path / "one"), losses(tmp_path / "two")
    assert len(one) == 6 and one[-1] < one[0]
    assert two == pytest.approx(one, rel=1e-4)
    assert parts(tmp_path / "two") == pytest.approx(parts(tmp_path / "one"), rel=1e-3)

    weights = [AutoModel.from_pretrained(tmp_path / name).state_dict() for name in ("one", "two")]
    start = AutoModel.from_pretrained(tmp_path / "one").state_dict()
    assert weights[0].keys() == weights[1].keys() == start.keys()
    for name, value in weights[0].items():
        torch.testing.assert_close(weights[1][name], value, rtol=1e-3, atol=2e-4)


def checkpoints(output: Path) -> list[int]:
    return sorted(int(path.name.partition("-")[2]) for path in output.glob("checkpoint-*"))


def kill_at(arguments: list[str], output: Path, step: int, delay: float) -> None:
    """Start the run, and kill it without warning `delay` seconds after it began to write checkpoint `step`."""
    with subprocess.Popen(arguments, env=ENVIRONMENT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        while process.poll() is None and not any(found >= step for found in checkpoints(output)):
            time.sleep(0.005)
        time.sleep(delay)
        assert process.poll() is None, "the run ended before it could be killed"
        process.send_signal(signal.SIGKILL)


RUN = {"max_steps": 40, "save_steps": 3, "per_device_train_batch_size": 3}


def resumed_like_whole(demonstrations, model, folder: Path, whole: Path, step: int, delay: float) -> None:
    arguments = command(demonstrations, model, folder, **RUN)
    kill_at(arguments, folder, step, delay)
    assert not (folder / "model.safetensors").exists()
    run(arguments)
    ended, uninterrupted = load_file(folder / "model.safetensors"), load_file(whole / "model.safetensors")
    assert ended.keys() == uninterrupted.keys()
    assert all(torch.equal(ended[name], value) for name, value in uninterrupted.items())
    assert losses(folder) == losses(whole)  # hence the same windows in the same order


@pytest.fixture(scope="module")
def whole(demonstrations, backbone, tmp_path_factory) -> Path:
    """The uninterrupted run: several epochs, with dropout."""
    folder = tmp_path_factory.mktemp("runs") / "whole"
    run(command(demonstrations, backbone("smolvlm"), folder, **RUN))
    return folder


def test_a_killed_run_ends_like_an_uninterrupted_one(demonstrations, backbone, whole, tmp_path):
    """Killed while it writes its second checkpoint, or just after."""
    resumed_like_whole(demonstrations, backbone("smolvlm"), tmp_path / "killed", whole, step=6, delay=0.0)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_killed_anywhere(seed, demonstrations, backbone, whole, tmp_path):
    chance = random.Random(seed)
    step, delay = 3 * chance.randrange(1, 10), chance.uniform(0.0, 0.15)
    resumed_like_whole(demonstrations, backbone("smolvlm"), tmp_path / "killed", whole, step, delay)


FULLY_SHARD = """
import sys
import torch
from torch import distributed
from torch.distributed.fsdp import fully_shard, register_fsdp_forward_method
from torch.distributed.tensor import DTensor
from transformers import AutoModel, AutoProcessor
import robovlms
from robovlms.data import LeRobotDataset, VLACollator

checkpoint, dataset, sharded = sys.argv[1], sys.argv[2], sys.argv[3] == "sharded"
torch.set_num_threads(1)
distributed.init_process_group("gloo")
rank = distributed.get_rank()
vla = AutoModel.from_pretrained(checkpoint)
if sharded:
    for module in vla.modules():
        if type(module).__name__ in vla._no_split_modules:
            fully_shard(module)
    fully_shard(vla)
    register_fsdp_forward_method(vla, "predict_action_chunk")
    assert all(isinstance(parameter, DTensor) for parameter in vla.parameters())
samples = LeRobotDataset(dataset, window_size=2, chunk_size=4)
collate = VLACollator(AutoProcessor.from_pretrained(checkpoint))
optimizer = torch.optim.SGD([p for p in vla.parameters() if p.requires_grad], lr=0.5)
for step in range(3):
    halves = [collate([samples[8 * step + 4 * part + i] for i in range(4)]) for part in range(2)]
    items = sum((half["labels"] != -100).sum() for half in halves)
    if sharded:  # gradients are averaged over processes
        loss = 2 * vla(**halves[rank], num_items_in_batch=items).loss
        loss.backward()
        loss = loss.detach() / 2
        distributed.all_reduce(loss)
    else:
        loss = sum(vla(**half, num_items_in_batch=items).loss for half in halves)
        loss.backward()
    optimizer.step()
    optimizer.zero_grad()
    if rank == 0:
        print("LOSS", float(loss), flush=True)
inputs = {name: value for name, value in halves[0].items() if name not in ("actions", "labels")}
chunk = vla.predict_action_chunk(**inputs)
if rank == 0:
    print("ACTION", float(chunk.double().sum()), flush=True)
distributed.destroy_process_group()
"""


def test_fully_sharded_over_two_processes(demonstrations, whole, tmp_path):
    """torch's own `fully_shard`: parameters are DTensors, losses and actions those of one process. (The Trainer's FSDP
    falls back to DDP on a CPU.)"""
    script = tmp_path / "fully_shard.py"
    script.write_text(FULLY_SHARD)
    printed = []
    for launcher, mode in ((TORCHRUN, "sharded"), ((*TORCHRUN[:-1], "--nproc_per_node=1"), "whole")):
        arguments = [sys.executable, *launcher, str(script), str(whole), str(demonstrations), mode]
        done = subprocess.run(arguments, env=ENVIRONMENT, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr[-3000:]
        lines = [line.split() for line in done.stdout.splitlines() if line.startswith(("LOSS", "ACTION"))]
        printed.append([float(value) for _, value in lines])
    assert len(printed[0]) == 4
    assert printed[0] == pytest.approx(printed[1], rel=1e-4)
