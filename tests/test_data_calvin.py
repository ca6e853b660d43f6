"""CALVIN folders: the windows, masks and labels that the original implementation computed, and safe unpickling."""

import json
import pickle
import sys
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from robovlms.data import CalvinDataset, DatasetError
from robovlms.data.restricted_pickle import load_array

GOLDEN = Path(__file__).parents[1].parent / "shared" / "reference" / "golden" / "_calvin"
needs_golden = pytest.mark.skipif(not GOLDEN.exists(), reason=f"the golden values are not at {GOLDEN}")


def write_folder(folder: Path, segments, texts, frames: dict[int, dict]) -> Path:
    training = folder / "training"
    (training / "lang_annotations").mkdir(parents=True)
    annotations = {"info": {"indx": segments}, "language": {"ann": texts, "emb": np.zeros((len(texts), 1, 4))}}
    np.save(training / "lang_annotations" / "auto_lang_ann.npy", annotations, allow_pickle=True)
    np.save(training / "ep_start_end_ids.npy", np.array([[min(frames), max(frames)]]))
    for number, frame in frames.items():
        np.savez(training / f"episode_{number:07d}.npz", **frame)
    return folder


@pytest.fixture(scope="module")
def golden(tmp_path_factory):
    config, values = json.loads((GOLDEN / "config.json").read_text()), load_file(GOLDEN / "values.safetensors")
    keys = ("rel_actions", "robot_obs", "rgb_static", "rgb_gripper")
    frames = {
        int(number): {key: values[f"in.{key}"][row] for key in keys}
        for row, number in enumerate(values["in.frame_ids"])
    }
    folder = write_folder(tmp_path_factory.mktemp("calvin"), config["segments"], config["annotations"], frames)
    dataset = CalvinDataset(folder, window_size=config["window_size"], chunk_size=config["fwd_pred_next_n"])
    return config, values, frames, dataset


@needs_golden
def test_windows_and_masks_are_the_originals(golden):
    config, values, frames, dataset = golden
    starts = [int(dataset.frame_ids(index)[0]) for index in range(len(dataset))]
    assert starts == values["lookup.episode"].tolist()
    assert [dataset[i]["episode"] for i in range(len(dataset))] == values["lookup.lang"].tolist()
    for row, index in enumerate(values["pick"].tolist()):
        sample = dataset[index]
        assert (sample["action_mask"] == values["out.chunck_mask"][row].astype(bool)).all()
        assert sample["frame_mask"].all() and sample["instruction"] == config["annotations"][sample["episode"]]
        for camera, key in (("static", "rgb_static"), ("gripper", "rgb_gripper")):
            expected = np.stack([frames[frame][key] for frame in dataset.frame_ids(index).tolist()])
            assert (sample["images"][camera] == expected).all()
        expected = np.stack([frames[frame]["robot_obs"] for frame in dataset.frame_ids(index).tolist()])
        assert (sample["state"] == expected.astype(np.float32)).all()


@needs_golden
def test_labels_are_the_originals_after_its_normalisation(golden):
    config, values, _, dataset = golden
    low, high = config["norm_min"], config["norm_max"]
    for row, index in enumerate(values["pick"].tolist()):
        actions = dataset[index]["actions"].astype(np.float64)
        pose = 2 * (np.clip(actions[..., :6], low, high) - low) / (high - low) - 1
        gripper = (actions[..., 6:] + 1) // 2
        expected = values["out.action_chunck"][row]
        np.testing.assert_allclose(np.concatenate([pose, gripper], -1), expected, atol=1e-6)


def small_folder(tmp_path: Path) -> Path:
    random = np.random.default_rng(0)
    frames = {
        number: {
            "rgb_static": random.integers(0, 255, (8, 8, 3), dtype=np.uint8),
            "rgb_gripper": random.integers(0, 255, (6, 6, 3), dtype=np.uint8),
            "rel_actions": random.normal(size=7),
            "actions": random.normal(size=7),
            "robot_obs": random.normal(size=15),
        }
        for number in range(20)
    }
    return write_folder(tmp_path / "calvin", [(0, 8), (10, 18)], ["one", "two"], frames)


def test_scenes_statistics_and_errors(tmp_path):
    folder = small_folder(tmp_path)
    scenes = {"calvin_scene_A": [0, 9], "calvin_scene_D": [10, 19]}
    np.save(folder / "training" / "scene_info.npy", scenes, allow_pickle=True)
    dataset = CalvinDataset(folder, window_size=4, chunk_size=2, scenes="D", actions="actions")
    assert [text for *_, text in dataset.annotations] == ["two"] and len(dataset) == 5
    assert dataset.action.shape == (8, 7) and dataset.state.shape == (8, 15)
    with pytest.raises(DatasetError, match=r"no scenes \['B'\]"):
        CalvinDataset(folder, scenes="AB")
    with pytest.raises(DatasetError, match="no annotated stretch has 9 frames"):
        CalvinDataset(folder, window_size=9)
    (folder / "training" / "episode_0000012.npz").write_bytes(b"nonsense")
    (folder / "training" / "episode_0000003.npz").unlink()
    dataset = CalvinDataset(folder, window_size=4, chunk_size=2)
    with pytest.raises(DatasetError, match=r"missing file.*episode 0.*episode_0000003"):
        dataset[0]
    with pytest.raises(DatasetError, match=r"not a readable CALVIN frame.*episode 1.*episode_0000012"):
        dataset[6]
    np.save(folder / "training" / "ep_start_end_ids.npy", np.array([[0, 9], [12, 19]]))
    with pytest.raises(DatasetError, match=r"annotation 10 \.\.\. 18 is not inside one recording"):
        CalvinDataset(folder)


class Command:
    def __reduce__(self):
        return sys.exit, (3,)


def test_annotation_files_cannot_run_code(tmp_path):
    folder = small_folder(tmp_path)
    file = folder / "training" / "lang_annotations" / "auto_lang_ann.npy"
    np.save(file, {"info": Command()}, allow_pickle=True)
    with pytest.raises(pickle.UnpicklingError, match=r"asks for sys\.exit"):
        load_array(file)
    with pytest.raises(DatasetError, match="asks for"):
        CalvinDataset(folder)
