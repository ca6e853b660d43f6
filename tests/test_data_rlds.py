"""RLDS folders, read without TensorFlow: 25 real trajectories of BridgeData V2."""

import io
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from robovlms.data import DatasetError, Mixture, RLDSDataset, action_contract, infer_conventions, statistics
from robovlms.data.crc32c import crc32c, crc32c_by_numpy
from robovlms.data.tfrecord import parse_example, records

BRIDGE = Path(__file__).parents[1].parent / "shared" / "real_data" / "octo_bridge"
FILE = "bridge_dataset-train.tfrecord-00000-of-00001"


@pytest.fixture(autouse=True)
def cache(monkeypatch, tmp_path):
    monkeypatch.setenv("ROBOVLMS_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.mark.parametrize("checksum", [crc32c, crc32c_by_numpy])
def test_checksums(checksum):
    """The check value of CRC-32C, those of RFC 3720, and long contents against the definition byte by byte."""
    assert checksum(b"123456789") == 0xE3069283 and checksum(b"") == 0
    assert checksum(bytes(32)) == 0x8A9136AA and checksum(b"\xff" * 32) == 0x62A8AB43
    for length in (512, 513, 5000, 100_003):
        content = np.random.default_rng(length).bytes(length)
        crc = 0xFFFFFFFF
        for byte in content:
            crc ^= byte
            for _ in range(8):
                crc = (crc >> 1) ^ (0x82F63B78 if crc & 1 else 0)
        assert checksum(content) == crc ^ 0xFFFFFFFF


def test_what_is_no_example():
    for content in (b"\x0a\xff\x01", b"\x0b", b"\x0a\x04\x0a\x02\x08\x01"):
        with pytest.raises(ValueError, match=r"not a tf\.train\.Example"):
            parse_example(content)


needs_bridge = pytest.mark.skipif(not BRIDGE.exists(), reason="needs recordings of BridgeData V2")


@needs_bridge
def test_bridge(cache):
    dataset = RLDSDataset(BRIDGE, window_size=2, chunk_size=4, cameras=["image_0", "image_3"])
    assert (dataset.num_episodes, len(dataset), dataset.fps) == (25, 250, 5)
    examples = [parse_example(content) for _, content in records(BRIDGE / FILE, "bridge")]
    for episode, frame in ((0, 0), (7, 3), (24, 9)):
        sample, example = dataset[10 * episode + frame], examples[episode]
        for camera in dataset.cameras:
            with Image.open(io.BytesIO(example[f"steps/observation/{camera}"][frame])) as picture:
                assert (sample["images"][camera][-1] == np.asarray(picture)).all()
        actions, states = (np.reshape(example[f"steps/{key}"], (10, 7)) for key in ("action", "observation/state"))
        assert (sample["state"][-1] == states[frame]).all() and (sample["episode"], sample["frame"]) == (
            episode,
            frame,
        )
        wanted = actions[np.minimum(frame + np.arange(4), 9)]
        assert (sample["actions"][-1] == wanted).all()
        assert sample["action_mask"][-1].tolist() == [frame + k < 10 for k in range(4)]
        assert sample["frame_mask"].tolist() == [frame > 0, True]
        assert sample["instruction"] == example["steps/language_instruction"][frame].decode()
    (index,) = (cache / "rlds").iterdir()
    again = RLDSDataset(BRIDGE, window_size=2, chunk_size=4)
    assert list((cache / "rlds").iterdir()) == [index] and (again.action == dataset.action).all()
    assert again.cameras == ["image_0"] and sorted(Mixture([again, dataset]).lengths) == [250, 250]
    assert statistics(again)["state"]["count"] == 250


@needs_bridge
def test_the_numbers_agree_with_what_is_known_of_bridge():
    dataset = RLDSDataset(BRIDGE, window_size=1, chunk_size=4)
    found = infer_conventions(dataset)
    assert found["mode"] == "delta" and found["delay"] in (1, 2)
    (gripper,) = found["grippers"]  # 1 goes with the larger opening of the state, and every episode begins open
    assert (gripper["dim"], gripper["state_dim"], gripper["values"], gripper["starts_at"]) == (6, 6, [0, 1], 1)
    assert gripper["correlation"] > 0.8
    contract = action_contract(dataset)
    assert (contract.mode, contract.frame, contract.rotation) == ("delta", "base", "euler_xyz")
    (known,) = contract.grippers
    assert (known.dim, known.open_value, known.closed_value) == (6, 1, 0) and "measured" in contract.notes


@needs_bridge
@pytest.mark.parametrize(
    ("place", "message"), [(3, "length of the record at offset 0"), (5000, "offset 0 is damaged")]
)
def test_damage_is_named_by_file_and_offset(tmp_path, place, message):
    folder = Path(shutil.copytree(BRIDGE, tmp_path / "bridge"))
    (folder / FILE).chmod(0o644)
    content = bytearray((folder / FILE).read_bytes())
    content[place] ^= 1
    (folder / FILE).write_bytes(content)
    with pytest.raises(DatasetError, match=rf"{message}.*{FILE}|{FILE}.*{message}"):
        RLDSDataset(folder)


@needs_bridge
def test_a_file_that_is_cut_off_and_features_that_are_not_there(tmp_path):
    folder = tmp_path / "bridge"
    folder.mkdir()
    for name in ("features.json", "dataset_info.json"):
        shutil.copyfile(BRIDGE / name, folder / name)
    with pytest.raises(DatasetError, match=r"no files of split 'train'"):
        RLDSDataset(folder)
    (folder / FILE).write_bytes((BRIDGE / FILE).read_bytes()[:-1000])
    with pytest.raises(DatasetError, match=r"record at offset \d+ is cut off"):
        RLDSDataset(folder)
    for options, message in (
        ({"cameras": ["front"]}, r"unknown cameras \['front'\].*image_0"),
        ({"action": "actions"}, r"no numeric feature 'actions'.*name action= of .*'action'"),
        ({"instruction": "words"}, "no text feature 'words'.*language_instruction"),
    ):
        with pytest.raises(DatasetError, match=message):
            RLDSDataset(folder, **options)
