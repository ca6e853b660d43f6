"""`data inspect` on what people publish: missing episodes in one line, frozen states, drop-outs, wrapped encoders, copies."""

import json
from pathlib import Path

import numpy as np
import pytest

from robovlms.cli import main
from robovlms.data import LeRobotWriter, inspect_dataset

G1 = Path(__file__).parents[1].parent / "shared" / "real_data" / "unitree_g1_bottle"


@pytest.mark.skipif(not G1.exists(), reason=f"no recordings of a Unitree G1 at {G1}")
def test_98_missing_episodes_are_one_line_and_the_two_good_ones_are_shown(tmp_path):
    file = tmp_path / "found.json"
    assert main(["data", "inspect", str(G1), "--output", str(tmp_path / "page.html"), "--json", str(file)]) == 1
    found = json.loads(file.read_text())
    (missing,) = [problem for problem in found["problems"] if "missing file" in problem]
    assert "98 of 100 episodes have no data file (0-28, 31-99); choose the others with `episodes`: 29-30" in missing
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


@pytest.mark.parametrize("kind", ["frozen", "drops out", "wraps around", "near-duplicates", "sound"])
def test_what_checkers_find(tmp_path, kind):
    with LeRobotWriter(tmp_path / "set", 10, "arm", use_videos=False) as writer:
        for state, action in damaged(kind):
            images = np.random.default_rng(0).integers(0, 255, (80, 8, 8, 3), dtype=np.uint8)
            writer.add_episode({"images": {"top": images}, "state": state, "action": action}, "pick")
    problems = inspect_dataset(tmp_path / "set", filmstrips=1, frames=1).problems
    if kind == "sound":
        assert problems == []
    else:
        assert any(kind in problem for problem in problems), problems
        assert any("1" in problem for problem in problems)
