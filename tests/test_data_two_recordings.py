"""Two recordings of one robot in one run: where their contracts differ the error says it, and the recipe which is right."""

import json
from pathlib import Path

import numpy as np
import pytest

from robovlms.data import LeRobotWriter
from robovlms.training import VLAArguments
from robovlms.training.datasets import build_contracts, build_dataset


def record(folder: Path, size=(48, 64), grip=(0.0, 1.0), **options) -> Path:
    random = np.random.default_rng(len(folder.name))
    action = np.stack([*random.normal(size=(2, 12)), np.tile(grip, 6)], axis=1)
    options = {"names": {"action": ["x", "y", "gripper"]}, "units": {"action": ["m", "m", "1"]}} | options
    with LeRobotWriter(folder, 10, "arm", use_videos=False, **options) as writer:
        pictures = random.integers(0, 255, (12, *size, 3), dtype=np.uint8)
        writer.add_episode({"images": {"top": pictures}, "state": action, "action": action}, "pick")
    return folder


def run(*datasets: dict, **options):
    texts = [json.dumps({"mode": "absolute"} | dataset) for dataset in datasets]
    arguments = VLAArguments(
        dataset=texts, structure="policy_head", window_size=2, chunk_size=4, n_action_steps=1, **options
    )
    dataset = build_dataset(arguments)
    return dataset, build_contracts(dataset, arguments)["arm"]


@pytest.mark.parametrize(
    ("options", "said", "told"),
    [
        ({"size": (24, 24)}, r"cameras\[0\].height: 48 and 24; cameras\[0\].width: 64 and 24.*'resize'", {"resize": "pad"}),
        (
            {"grip": (1.0, 1.0)},  # always open
            r"grippers: \[\{'dim': 2.*\}\] and \[\]\. .*'grippers'",
            {"grippers": [{"name": "gripper", "open_value": 1, "closed_value": 0}]},
        ),
        ({"units": {"action": ["mm", "m", "1"]}}, r"action.units\[0\]: m and mm\. .*'units'", {"units": ["m", "m", "1"]}),
        ({"names": {"action": ["x", "y", "claw"]}}, r"action.names\[2\]: gripper and claw", {"embodiment": "other"}),
    ],
)  # fmt: skip
def test_the_error_says_where_contracts_differ_and_the_recipe_what_is_right(tmp_path, options, said, told):
    first, second = {"path": str(record(tmp_path / "first"))}, {"path": str(record(tmp_path / "second", **options))}
    with pytest.raises(ValueError, match=rf"first' and .*second' are both of embodiment 'arm'.* differ in {said}"):
        run(first, second)
    dataset, contract = run(first, second | told)
    assert contract.grippers[0].dim == 2 and contract.action.units == ("m", "m", "1")
    assert contract.action.statistics is not None
    assert contract.action.statistics.count == (12 if "embodiment" in told else 24)
    if "resize" in told:
        assert {dataset[i]["images"]["top"].shape for i in range(len(dataset))} == {(2, 48, 64, 3)}


@pytest.mark.parametrize("how", ["pad", "stretch"])
def test_resized_pictures(tmp_path, how):
    first, second = {"path": str(record(tmp_path / "first"))}, {"path": str(record(tmp_path / "second", (24, 24)))}
    dataset, contract = run(first, second | {"resize": how}, augmentation="crop")
    assert (contract.cameras[0].height, contract.cameras[0].width) == (48, 64)
    small = dataset.datasets[1].dataset  # within the augmentation
    picture, original = small[5]["images"]["top"][-1], small.dataset[5]["images"]["top"][-1]
    if how == "pad":
        assert (picture[:, :8] == 0).all() and (picture[:, 56:] == 0).all() and picture[:, 8:56].any()
        picture = picture[:, 8:56]
    blocks = [np.asarray(p, float).reshape(4, p.shape[0] // 4, 4, -1, 3).mean((1, 3)) for p in (picture, original)]
    np.testing.assert_allclose(*blocks, atol=12)
    with pytest.raises(ValueError, match=r"has resize='pad', and no dataset of embodiment 'arm' without 'resize'"):
        run(second | {"resize": "pad"})
    with pytest.raises(ValueError, match=r"DatasetSpec.resize must be one of \['stretch', 'pad'\]"):
        run(second | {"resize": "crop"})


def test_a_recording_without_state(tmp_path):
    folders = [record(tmp_path / name) for name in ("first", "second")]
    info = folders[1] / "meta/info.json"
    told = json.loads(info.read_text())
    del told["features"]["observation.state"]
    info.write_text(json.dumps(told))
    with (
        pytest.warns(UserWarning, match="no proprioceptive state"),
        pytest.raises(ValueError, match=r"differ in state: \{.*\} and None"),
    ):
        run(*({"path": str(folder)} for folder in folders))
