"""Nothing that was trained is lost: refusals, finished runs, NaN, SIGTERM, Ctrl-C and a full disk, in this process."""

import json
import os
import re
import resource
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from robovlms import Policy
from robovlms.cli import main
from robovlms.testing import write_demonstrations
from robovlms.training import last_complete_checkpoint


@pytest.fixture(scope="module")
def demonstrations(tmp_path_factory) -> Path:
    return write_demonstrations(tmp_path_factory.mktemp("data") / "demonstrations")


@pytest.fixture
def train(demonstrations, tmp_path) -> Callable[..., int]:
    """`robovlms train` into `tmp_path/run`; returns its exit status."""

    def run(*flags: str, **options) -> int:
        common = {"dataset": str(demonstrations), "output_dir": str(tmp_path / "run"), "max_steps": 4, "save_steps": 2}
        common |= {"per_device_train_batch_size": 2, "window_size": 1, "history_stride": 1, "disable_tqdm": True}
        file = tmp_path / "options.yaml"
        file.write_text(yaml.safe_dump(common | {"chunk_size": 4, "n_action_steps": 2, "warmup_steps": 0} | options))
        return main(["train", "--config", str(file), *flags])

    return run


def files(folder: Path) -> dict[str, int]:
    return {str(path.relative_to(folder)): path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}


def losses(folder: Path) -> dict[int, float]:
    history = json.loads((folder / "trainer_state.json").read_text())["log_history"]
    return {entry["step"]: entry["loss"] for entry in history if "loss" in entry}


def test_a_folder_goes_on_or_stays_as_it_is(train, tmp_path, capsys):
    folder = tmp_path / "run"
    assert train(logging_steps=50, save_total_limit=1) == 0  # shorter than its logging interval
    assert losses(folder).keys() == {4} and (folder / "report.html").exists() and Policy.from_pretrained(str(folder))
    before = files(folder)
    capsys.readouterr()
    assert train() == 0
    assert "finished before, at step 4. For more steps raise --max_steps" in capsys.readouterr().out
    for options, flags, named in (
        ({"learning_rate": 0.5, "max_steps": 6}, ("--resume",), "learning_rate was 0.002 and is 0.5"),
        ({"chunk_size": 3}, (), "chunk_size was 4 and is 3.*another --output_dir"),
        ({"per_device_train_batch_size": 3, "max_steps": 6}, ("--resume",), "samples_per_update was 2 and is 3"),
        ({"per_device_train_batch_size": 1, "gradient_accumulation_steps": 2, "max_steps": 6}, (), "Give --resume"),
        ({"resume_from_checkpoint": "x"}, (), "--resume"),
    ):
        assert train(*flags, **options) == 1
        assert re.search(named, capsys.readouterr().err)
    assert files(folder) == before

    cut_off = folder / "checkpoint-9"  # by a kill, of an earlier attempt
    cut_off.mkdir()
    (cut_off / "optimizer.pt").write_bytes(b"PK")
    halves = {"per_device_train_batch_size": 1, "gradient_accumulation_steps": 2}
    assert train("--resume", max_steps=7, logging_steps=1, save_total_limit=2, **halves) == 0
    assert f"going on from {folder / 'checkpoint-4'}, step 4" in capsys.readouterr().out
    assert {path.name for path in folder.glob("*checkpoint-*")} == {
        "checkpoint-6",
        "checkpoint-7",
        "incomplete-checkpoint-9",
    }
    assert list(losses(folder)) == [4, 5, 6, 7]
    (folder / "README.md").unlink()  # as if killed while the policy was written
    weights = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(b"")
    assert train("--resume", max_steps=7, logging_steps=1, save_total_limit=2, **halves) == 0
    assert (folder / "model.safetensors").read_bytes() == weights and list(losses(folder)) == [4, 5, 6, 7]


def after_checkpoint(folder: Path, step: int, act: Callable[[], None]) -> None:
    """Do something as soon as a checkpoint or a later one is there, from another thread."""

    def wait() -> None:
        while int((last_complete_checkpoint(folder) or "-0").rpartition("-")[2]) < step:
            time.sleep(0.01)
        act()

    threading.Thread(target=wait, daemon=True).start()


def test_whatever_ends_a_run_leaves_a_policy(train, tmp_path, capsys):
    folder, long = tmp_path / "run", {"max_steps": 60, "save_steps": 2, "save_total_limit": 2}

    def ended(status: int, said: str, **options) -> str:
        assert train(**long | options) == status
        message = capsys.readouterr().err
        last = last_complete_checkpoint(folder)
        assert said in message and last is not None and f"is {last}. The same command goes on" in message
        assert Policy.from_pretrained(last) and not (folder / "model.safetensors").exists()
        return last

    after_checkpoint(folder, 2, lambda: os.kill(os.getpid(), signal.SIGTERM))
    last = ended(143, "told to stop (SIGTERM) at step")
    step = int(last.rpartition("-")[2])
    allowed = resource.getrlimit(resource.RLIMIT_FSIZE)
    after_checkpoint(folder, step + 2, lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (2**16, allowed[1])))
    try:
        last = ended(1, "")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, allowed)
    step = int(last.rpartition("-")[2])
    ours = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it
    after_checkpoint(folder, step + 2, lambda: os.kill(os.getpid(), signal.SIGINT))
    ended(130, "interrupted")
    signal.signal(signal.SIGINT, ours)


def test_a_loss_that_is_not_finite_is_not_saved(train, tmp_path, capsys):
    assert train(learning_rate=1e30, max_steps=20, save_steps=1, lr_scheduler_type="constant") == 1
    message = capsys.readouterr().err
    assert "not" in message and "finite" in message
