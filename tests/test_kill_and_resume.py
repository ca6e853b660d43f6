"""Runs of real processes that are killed, stopped or run out of disk, and go on: on as many processes, on more, on fewer."""

import json
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
import torch
from safetensors.torch import load_file

from robovlms import Policy
from robovlms.testing import write_demonstrations
from robovlms.training.checkpoints import complete_checkpoints

ENVIRONMENT = os.environ | {"OMP_NUM_THREADS": "1", "TRANSFORMERS_VERBOSITY": "error"}
SAMPLES_PER_UPDATE, STEPS = 4, 14
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def demonstrations(tmp_path_factory) -> Path:
    """An epoch of ten updates, so that runs go on in the midst of one and behind one."""
    return write_demonstrations(tmp_path_factory.mktemp("data") / "demonstrations")


def command(dataset: Path, output: Path, processes: int, *flags: str, **options) -> list[str]:
    defaults = {
        "dataset": dataset,
        "output_dir": output,
        "max_steps": STEPS,
        "save_steps": 3,
        "save_total_limit": 2,
        "per_device_train_batch_size": SAMPLES_PER_UPDATE // processes,
        "window_size": 2,
        "history_stride": 1,
        "chunk_size": 4,
        "logging_steps": 1,
        "disable_tqdm": True,
        "warmup_steps": 0,
        "learning_rate": 1e-3,
        "use_cpu": True,
        "dataloader_drop_last": True,  # else two processes fill an epoch's odd last batch up, and one does not
    }
    values = [part for name, value in (defaults | options).items() for part in (f"--{name}", str(value))]
    launcher = ["-m", "torch.distributed.run", "--standalone", f"--nproc_per_node={processes}"]
    return [sys.executable, *(launcher if processes > 1 else []), "-m", "robovlms.cli", "train", *values, *flags]


def run(arguments: list[str]) -> str:
    done = subprocess.run(arguments, env=ENVIRONMENT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def interrupt(
    arguments: list[str], when: Callable[[], bool], act: Callable[[int], None]
) -> subprocess.CompletedProcess:
    """Start the run, and act on it (its id) as soon as it is time."""
    with subprocess.Popen(
        arguments, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        while process.poll() is None and not when():
            time.sleep(0.002)
        assert process.poll() is None, "the run ended before it could be interrupted"
        act(process.pid)
        out, err = process.communicate()
    return subprocess.CompletedProcess(arguments, process.returncode, out, err)


def complete(folder: Path) -> list[int]:
    return [int(path.name.partition("-")[2]) for path in complete_checkpoints(folder)]


def losses(folder: Path) -> list[float]:
    history = json.loads((folder / "trainer_state.json").read_text())["log_history"]
    logged = [entry for entry in history if "loss" in entry]
    assert [entry["step"] for entry in logged] == list(range(1, STEPS + 1))  # no step twice
    return [entry["loss"] for entry in logged]


@pytest.fixture(scope="module")
def whole(demonstrations, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("whole") / "run"
    run(command(demonstrations, folder, 2))
    return folder


def kill_all(process: int) -> None:
    """The launcher and its processes, which are in groups of their own."""
    launcher = psutil.Process(process)
    for one in [launcher, *launcher.children(recursive=True)]:
        one.kill()


def terminate_all(process: int) -> None:
    """As Slurm does it: whatever belongs to the job is told, data loaders' workers too."""
    launcher = psutil.Process(process)
    for one in [launcher, *launcher.children(recursive=True)]:
        one.terminate()


INTERRUPTIONS = {
    "kill while training": (lambda folder: len(complete(folder)) == 2, kill_all),
    "kill while saving": (lambda folder: (folder / "checkpoint-9").exists(), kill_all),
    "SIGTERM to the launcher": (lambda folder: 3 in complete(folder), lambda pid: os.kill(pid, signal.SIGTERM)),
    "SIGTERM to all": (lambda folder: 3 in complete(folder), terminate_all),
}


@pytest.mark.parametrize("how", INTERRUPTIONS)
@pytest.mark.parametrize(("before", "after"), [(1, 2), (2, 1), (2, 2)])
def test_killed_and_resumed(before, after, how, demonstrations, whole, tmp_path, capsys):
    """Samples go on where they were: without dropout, another number of processes has the losses of the unbroken run."""
    folder, (when, act) = tmp_path / "run", INTERRUPTIONS[how]
    workers = {"dataloader_num_workers": 1} if how == "SIGTERM to all" else {}
    ended = interrupt(command(demonstrations, folder, before, **workers), lambda: when(folder), act)
    left = complete(folder)
    everything = sorted(path.name for path in folder.glob("checkpoint-*"))
    assert left and ended.returncode != 0 and not (folder / "model.safetensors").exists()
    assert Policy.from_pretrained(str(complete_checkpoints(folder)[-1]))
    if how.startswith("SIGTERM"):
        assert f"told to stop (SIGTERM) at step {left[-1]}." in ended.stderr
        assert f"checkpoint-{left[-1]}. The same command goes on from it." in ended.stderr
    elif how == "kill while training":
        assert left == [3, 6]
    else:
        assert left[:1] in ([3], [6]) and len(left) >= 2

    others = [] if before == after else ["--resume"]
    if others:  # is asked for, and nothing is touched
        refused = subprocess.run(
            command(demonstrations, folder, after, **workers),
            env=ENVIRONMENT,
            capture_output=True,
            text=True,
            check=False,
        )
        assert refused.returncode != 0 and f"processes was {before} and is {after}" in refused.stderr
        assert complete(folder) == left and sorted(path.name for path in folder.glob("checkpoint-*")) == everything
    said = run(command(demonstrations, folder, after, *others, **workers))
    assert f"checkpoint-{left[-1]}, step {left[-1]}; what came after it is trained again" in said
    assert complete(folder) == [12, STEPS] and len(complete(folder)) >= len(left)
    found, wanted = losses(folder), losses(whole)
    difference = max(abs(a - b) / abs(b) for a, b in zip(found, wanted, strict=True))
    assert abs(found[-1] - wanted[-1]) < 1e-4 and difference < 1e-3
    if before == after:
        ours, theirs = load_file(folder / "model.safetensors"), load_file(whole / "model.safetensors")
        assert all(torch.equal(ours[name], value) for name, value in theirs.items())
    with capsys.disabled():
        print(
            f"\n{before} to {after}, {how}: complete {left} of {everything}; largest difference of a loss {difference:.1e}"
        )


def test_a_full_disk(demonstrations, tmp_path):
    folder = tmp_path / "run"
    limit = (2**20, resource.RLIM_INFINITY)  # larger than a report, smaller than the weights
    ended = interrupt(
        command(demonstrations, folder, 1, max_steps=1000),
        lambda: 3 in complete(folder),
        lambda pid: resource.prlimit(pid, resource.RLIMIT_FSIZE, limit),
    )
    last = complete_checkpoints(folder)[-1]
    assert (
        ended.returncode == 1
        and f"The last complete checkpoint, which is a policy as it stands, is {last}" in ended.stderr
    )
    assert Policy.from_pretrained(str(last)) and sorted(folder.glob("checkpoint-*"), key=os.path.getmtime)[-1] != last
    assert "Traceback" not in ended.stderr


def test_blocks_of_episodes_go_on_in_their_order(demonstrations, tmp_path):
    """Frames that don't fit in memory are drawn in an order that depends on processes and workers: the first ones'."""
    options = {"cache_gib": 2e-5, "lr_scheduler_type": "constant", "dataloader_drop_last": False}
    run(command(demonstrations, tmp_path / "whole", 1, **options))
    run(command(demonstrations, tmp_path / "run", 1, **options, max_steps=6))
    more = {"per_device_train_batch_size": 2, "gradient_accumulation_steps": 2, "dataloader_num_workers": 2}
    run(command(demonstrations, tmp_path / "run", 1, "--resume", **options | more))
    assert losses(tmp_path / "run") == pytest.approx(losses(tmp_path / "whole"), rel=1e-4)
