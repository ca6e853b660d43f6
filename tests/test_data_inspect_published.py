"""`data inspect` on what people publish: missing episodes in one line, frozen states, drop-outs, wrapped encoders, copies."""

import json
from pathlib import Path

import numpy as np
import pytest
from rlds_writer import write_rlds

from robovlms.cli import main
from robovlms.data import LeRobotWriter, inspect_dataset

REAL = Path(__file__).parents[1].parent / "shared" / "real_data"
G1, BRIDGE = REAL / "unitree_g1_bottle", REAL / "octo_bridge"


@pytest.fixture(autouse=True)
def cache(monkeypatch, tmp_path):
    monkeypatch.setenv("ROBOVLMS_CACHE", str(tmp_path / "cache"))


@pytest.mark.skipif(not G1.exists(), reason=f"no recordings of a Unitree G1 at {G1}")
def test_98_missing_episodes_are_one_line_and_the_two_good_ones_are_shown(tmp_path):
    file = tmp_path / "found.json"
    assert main(["data", "inspect", str(G1), "--output", str(tmp_path / "page.html"), "--json", str(file)]) == 1
    found = json.loads(file.read_text())
    (missing,) = [problem for problem in found["problems"] if "missing file" in problem]
    assert "98 of 100 episodes have no data file (0-28, 31-99); choose the others with `episodes`: 29-30" in missing
    assert found["conventions"]["mode"] == "absolute" and found["conventions"]["rotation"] == "none"
    assert {one["episode"] for one in found["conventions"]["evidence"]["idle_stretches"]} <= {29, 30}
    assert found["names"]["action"][0] == "kLeftShoulderPitch" and len(found["statistics"]["action"]["mean"]) == 26
    chosen = inspect_dataset(G1, episodes=[29, 30], frames=2)
    assert not [problem for problem in chosen.problems if "missing" in problem]
    assert [(e, c) for e, c, *_ in chosen.filmstrips] == [(29, "cam_high"), (30, "cam_high")]


def damaged(kind: str) -> list[tuple[np.ndarray, np.ndarray]]:
    """(state, action) of three episodes of 80 frames at 10 Hz."""
    random, episodes = np.random.default_rng(0), []
    for _ in range(3):
        state = 1 + np.cumsum(random.normal(size=(80, 4)) * 0.05, axis=0)
        episodes.append((state, state + random.normal(size=(80, 4)) * 0.01))
    state, _ = episodes[1]
    if kind == "frozen":
        state[20:60] = state[20]
    elif kind == "drops out":
        state[30:34] = 0
    elif kind == "wraps around":
        state[:, 2] = (np.linspace(0, 9, 80) + np.pi) % (2 * np.pi) - np.pi
    elif kind == "near-duplicates":
        episodes[2] = tuple(values + random.normal(size=(80, 4)) * 1e-5 for values in episodes[1])
    return episodes


@pytest.mark.parametrize("form", ["lerobot", "rlds"])
@pytest.mark.parametrize("kind", ["frozen", "drops out", "wraps around", "near-duplicates", "sound"])
def test_what_checkers_find(tmp_path, kind, form):
    images = np.random.default_rng(0).integers(0, 255, (80, 8, 8, 3), dtype=np.uint8)
    if form == "lerobot":
        with LeRobotWriter(tmp_path / "set", 10, "arm", use_videos=False) as writer:
            for state, action in damaged(kind):
                writer.add_episode({"images": {"top": images}, "state": state, "action": action}, "pick")
    else:
        write_rlds(tmp_path, "set", [rlds_episode(state, action, images) for state, action in damaged(kind)])
    found = inspect_dataset(tmp_path / "set", filmstrips=1, frames=1)
    if kind == "sound":
        assert found.problems == []
        assert found.conventions["mode"] == "absolute" and found.conventions["delay"] == 0
    else:
        assert any(kind in problem for problem in found.problems), found.problems
        assert any("1" in problem for problem in found.problems)


def rlds_episode(state: np.ndarray, action: np.ndarray, images: np.ndarray) -> dict:
    numbers = {"action": action.astype(np.float32), "observation/state": state.astype(np.float32)}
    return numbers | {"observation/top": images, "language_instruction": ["pick"] * len(action)}


def test_an_rlds_folder_with_a_damaged_record_and_a_missing_file(tmp_path, capsys):
    random = np.random.default_rng(0)
    images = random.integers(0, 255, (40, 8, 8, 3), dtype=np.uint8)
    states = [np.cumsum(random.normal(size=(41, 3)), axis=0) for _ in range(6)]
    episodes = [rlds_episode(state[:-1], np.diff(state, axis=0), images) for state in states]
    root = write_rlds(tmp_path, "my_arm", episodes, files=3)
    first, second, third = sorted(root.glob("*.tfrecord*"))
    content = bytearray(second.read_bytes())
    content[-100] ^= 1  # in the second of its two records
    second.write_bytes(content)
    third.unlink()
    page, file = tmp_path / "page.html", tmp_path / "found.json"
    command = ["data", "inspect", str(root), "--output", str(page), "--json", str(file)]
    assert main(command) == 1
    found = json.loads(file.read_text())
    words = ("is damaged", "1 of 3 files", "dataset_info.json says 2 episodes, it has 1")
    assert len(found["problems"]) == len(words), found["problems"]
    assert all(any(word in problem for problem in found["problems"]) for word in words)
    assert second.name in found["problems"][0] and "offset" in found["problems"][0]
    assert (found["summary"]["episodes"], found["summary"]["fps"], found["lengths"]) == (3, "unknown", [40] * 3)
    conventions = found["conventions"]
    assert (conventions["mode"], conventions["delay"]) == ("delta", 1)
    assert [one["reading"] for one in conventions["evidence"]["dimensions"]] == ["delta"] * 3
    text = page.read_text()
    assert text.count("data:image/jpeg") == 3 and text.count("<polyline") == 6 and "mode delta" in text
    assert "action_0                delta      state_0" in capsys.readouterr().out
    assert main([*command, "--options", "{fps: 1}", "--episodes", "0,2"]) == 1
    found = json.loads(file.read_text())
    assert found["summary"]["fps"] == 1 and found["conventions"]["mode"] == "velocity" and found["lengths"] == [40, 40]
    assert [episode for episode, *_ in inspect_dataset(root, episodes=[2]).filmstrips] == [2]
    first.unlink()
    second.write_bytes(second.read_bytes()[:20])
    (problem, nothing) = inspect_dataset(root).problems
    assert "is cut off" in problem and "no steps" in nothing
    with pytest.raises(ValueError, match="options are for RLDS"):
        inspect_dataset(tmp_path, options={"fps": 1})


@pytest.mark.skipif(not BRIDGE.exists(), reason=f"no recordings of BridgeData V2 at {BRIDGE}")
def test_bridge_has_no_problems(tmp_path):
    assert main(["data", "inspect", str(BRIDGE), "--output", str(tmp_path / "page.html"), "--decode-all"]) == 0
    assert (tmp_path / "page.html").read_text().count("data:image/jpeg") == 8
