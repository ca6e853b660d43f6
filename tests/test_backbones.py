"""Every family of vision-language models under every structure; recorded as `robovlms.matrix` and `docs/backbones.md`."""

import json
from importlib.metadata import version
from pathlib import Path

import pytest

from robovlms.cli import main
from robovlms.matrix import load_matrix, render_page
from robovlms.matrix.known_families import HUB_IDS, ORIGINAL, QUIRKS
from robovlms.testing import SUPPORTED, UNUSABLE
from robovlms.testing.checks import STRUCTURES
from robovlms.testing.families_checked import KNOWN_FAILURES, OPTIONAL_LIBRARIES, check_family

REPOSITORY = Path(__file__).parents[1]
DEFAULT = [  # at least one of every kind
    "blip",  # one image, read by cross-attention
    "blip-2",  # no base model, queries in front of the text
    "florence2",  # encoder and decoder
    "gemma3",  # image tokens see each other
    "idefics",  # cross-attention
    "internvl",  # tiles switched off
    "kosmos-2",  # no base model, absolute positions
    "llava",
    "mllama",  # cross-attention in the cache
    "paligemma",  # prefix language model
    "qwen2_vl",  # M-RoPE
    "qwen3_5",  # linear attention
    "qwen3_vl",  # M-RoPE and deepstack
    "smolvlm",  # images side by side
    "t5gemma2",  # encoder and decoder, the decoder's own embeddings
    "vision-encoder-decoder",  # the prompt is the decoder's
]


@pytest.fixture(scope="session")
def record(request):
    """Entries of the matrix; with `--record` they replace the recorded ones at the end."""
    entries = {}
    yield entries
    if request.config.getoption("--record"):
        write_matrix(entries)


def write_matrix(entries: dict) -> None:
    kept = {}
    if len(entries) < len(SUPPORTED):
        kept = load_matrix()
        if kept["transformers"] != version("transformers"):
            raise ValueError(f"The table is of transformers {kept['transformers']}: record every family anew.")
        kept = kept["families"]
    matrix = {
        "transformers": version("transformers"),
        "torch": version("torch").split("+")[0],
        "structures": list(STRUCTURES),
        "families": dict(sorted((kept | entries).items())),
        "unusable": UNUSABLE,
        "original": ORIGINAL,
    }
    text = json.dumps(matrix, indent=1, ensure_ascii=False) + "\n"
    (REPOSITORY / "src/robovlms/matrix/matrix.json").write_text(text)
    (REPOSITORY / "docs/backbones.md").write_text(render_page(matrix))


def check(model_type: str, folder: Path, entries: dict) -> None:
    if model_type in OPTIONAL_LIBRARIES:
        pytest.importorskip(OPTIONAL_LIBRARIES[model_type])
    entry = entries[model_type] = check_family(model_type, folder)
    failed = {name: outcome for name, outcome in entry["structures"].items() if outcome["status"] == "failed"}
    assert bool(failed) == (model_type in KNOWN_FAILURES), failed
    serves = [name for name, outcome in entry["structures"].items() if outcome["status"] == "ok"]
    assert failed or {"one_step", "policy_head"} <= set(serves)


@pytest.mark.parametrize("family", DEFAULT)
def test_family(family, tmp_path, record):
    check(family, tmp_path / "backbone", record)


@pytest.mark.matrix
@pytest.mark.parametrize("family", SUPPORTED)
def test_every_family(family, tmp_path, record):
    check(family, tmp_path / "backbone", record)


def test_the_page_is_the_recorded_run():
    matrix = load_matrix()
    assert '"/' not in (text := json.dumps(matrix)) and " /" not in text  # no path of the machine that recorded it
    assert (REPOSITORY / "docs/backbones.md").read_text() == render_page(matrix)
    families = matrix["families"]
    assert set(families) <= set(SUPPORTED) and len(families) >= 92
    failed = {name for name, family in families.items() if family["status"] == "failed"}
    assert failed == set(KNOWN_FAILURES) and len(families) - len(failed) >= 88
    for name, family in families.items():
        assert family["quirks"] == QUIRKS.get(name) and family["hub_id"] == HUB_IDS.get(name)
        assert all(bool(out["reason"]) == (out["status"] != "ok") for out in family["structures"].values())


def test_command(tmp_path, capsys):
    assert main(["backbones"]) == 0
    printed = capsys.readouterr().out
    assert all(f"\n{family} " in printed for family in load_matrix()["families"])
    assert main(["backbones", "--json", str(tmp_path / "table.json")]) == 0
    assert json.loads((tmp_path / "table.json").read_text()) == load_matrix()
