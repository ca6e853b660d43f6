"""`robovlms study --fast`: every stage runs, nothing is done twice, and so small a study decides nothing."""

import json

import pytest

from robovlms.cli import main


@pytest.mark.slow
def test_study_fast(tmp_path, capsys):
    folder = tmp_path / "study"
    assert main(["study", "--output", str(folder), "--fast"]) == 0
    study = json.loads((folder / "study.json").read_text())
    assert study["protocol"]["seeds"] == 1
    assert len(study["runs"]) == 12 and len(study["claims"]) == 4
    assert {claim["verdict"] for claim in study["claims"]} == {"undecided"}
    assert {"study.png", "study.md", "study.html"} <= {file.name for file in folder.iterdir()}
    capsys.readouterr()
    assert main(["study", "--output", str(folder), "--fast"]) == 0
    assert capsys.readouterr().out.count("done before") == 3 + 2 * 12
    assert json.loads((folder / "study.json").read_text()) == study
