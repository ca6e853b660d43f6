"""The command line, as its user runs it."""

import json
import subprocess
import sys

import pytest

from robovlms.cli import main


def robovlms(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "robovlms.cli", *map(str, arguments)], capture_output=True, text=True, check=False
    )


def test_quickstart_fast(tmp_path):
    folder = tmp_path / "run"
    first = robovlms("quickstart", "--output", folder, "--fast")
    assert first.returncode == 0, first.stderr[-3000:]
    record = json.loads((folder / "evaluation.json").read_text())
    assert {"success_rate", "episodes", "interval", "per_task", "minutes", "controls"} <= set(record)
    assert set(record["controls"]) == {"shuffled_instruction", "black_images", "random_policy"}
    checkpoint = folder / "checkpoint"
    for name in ("model.safetensors", "config.json", "processor_config.json", "README.md", "evaluation.json"):
        assert (checkpoint / name).exists()
    pictures = {file.name for file in (checkpoint / "pictures").iterdir()}
    assert {"losses.png", "success.png", "controls.png", "contact_sheet.png", "rollouts.gif"} <= pictures
    assert not [file.name for file in checkpoint.glob("*.*n") if str(tmp_path) in file.read_text()]
    card = (checkpoint / "README.md").read_text()
    assert "pipeline_tag: robotics" in card and record["per_task"].keys() <= set(card.split())

    again = robovlms("quickstart", "--output", folder, "--fast")
    assert again.returncode == 0 and again.stdout.count("done before") == 4
    other = robovlms("quickstart", "--output", folder)
    assert other.returncode == 1 and "another recipe" in other.stderr


def test_mistakes_are_told_in_one_line(capsys, tmp_path):
    assert main(["train", "--dataset", str(tmp_path / "nothing"), "--output_dir", str(tmp_path / "out")]) == 1
    assert "nothing" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["train", "--dataset", "x", "--structure", "no_such_structure"])
    assert "no_such_structure" in capsys.readouterr().err
