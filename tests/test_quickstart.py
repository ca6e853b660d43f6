"""The command line, as its user runs it."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from robovlms.cli import main


def robovlms(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "robovlms.cli", *map(str, arguments)], capture_output=True, text=True, check=False
    )


def test_quickstart_fast(tmp_path, capsys):
    folder = tmp_path / "run"
    first = robovlms("quickstart", "--output", folder, "--fast")
    assert first.returncode == 0, first.stderr[-3000:]
    record = json.loads((folder / "evaluation.json").read_text())
    low, high = record["interval"]
    assert 0 <= low <= record["success_rate"] <= high <= 1 and record["minutes"] > 0
    assert record["episodes"] == sum(score["episodes"] for score in record["per_task"].values())
    assert len(record["per_task"]) >= 6
    assert set(record["controls"]) == {"shuffled_instruction", "black_images", "random_policy"}
    checkpoint = folder / "checkpoint"
    for name in ("model.safetensors", "config.json", "processor_config.json", "README.md", "evaluation.json"):
        assert (checkpoint / name).exists()
    pictures = {file.name for file in (checkpoint / "pictures").iterdir()}
    assert {"losses.png", "success.png", "controls.png", "contact_sheet.png", "rollouts.gif"} <= pictures
    card = (checkpoint / "README.md").read_text()
    for file in (folder / "evaluation.json", *checkpoint.glob("*.json"), checkpoint / "README.md"):
        text = file.read_text()
        for place in (tmp_path, Path(__file__).parents[1], Path(sys.prefix), Path.home()):
            assert f"{place}/" not in text, (file.name, place)  # nothing of this machine
    assert "pipeline_tag: robotics" in card and record["per_task"].keys() <= set(card.split())

    files = {file: file.stat().st_mtime_ns for file in checkpoint.glob("*.safetensors")}
    assert files and main(["quickstart", "--output", str(folder), "--fast"]) == 0
    assert capsys.readouterr().out.count("done before") == 4
    assert files == {file: file.stat().st_mtime_ns for file in checkpoint.glob("*.safetensors")}
    assert json.loads((folder / "evaluation.json").read_text()) == record
    assert main(["quickstart", "--output", str(folder)]) == 1
    assert "another recipe" in capsys.readouterr().err


def test_mistakes_are_told_in_one_line(capsys, tmp_path):
    assert main(["train", "--dataset", str(tmp_path / "nothing"), "--output_dir", str(tmp_path / "out")]) == 1
    assert "nothing" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["train", "--dataset", "x", "--structure", "no_such_structure"])
    assert "no_such_structure" in capsys.readouterr().err
