"""Datasets as people publish them: other names, depth beside colour, clocks that jitter, edited and broken folders."""

import io
import json
import os
import subprocess
import sys
import warnings
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from robovlms.data import DatasetError, LeRobotDataset, LeRobotWriter, action_contract
from robovlms.data.dimension_names import flat_names
from robovlms.training.datasets import DatasetSpec

G1 = Path(__file__).parents[1].parent / "shared" / "real_data" / "unitree_g1_bottle"
FPS, ROWS = 10, 12
IMAGE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
DATA, VIDEO = "data/chunk-000/file-000.parquet", "videos/observation.images.front/chunk-000/file-000.mp4"


def png(pixels: np.ndarray) -> dict:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return {"bytes": file.getvalue(), "path": None}


def publish(folder: Path, pictures: dict, vectors: dict, names=None, shapes=None, files=(), rows=ROWS) -> Path:
    """A v2.1 folder of one episode: `pictures` {column: PNG structs or arrays}, `vectors` {column: (rows, width)}."""
    (folder / "meta").mkdir(parents=True)
    (folder / "data/chunk-000").mkdir(parents=True)
    columns, features = {}, {}
    for key, values in pictures.items():
        is_png = isinstance(values[0], dict)
        columns[key] = pa.array(values, IMAGE) if is_png else pa.array([v.tolist() for v in values])
        shape = (shapes or {}).get(key, [24, 32, 3])
        features[key] = {"dtype": "image" if is_png else str(values[0].dtype), "shape": shape, "names": None}
        if not is_png:
            kind = pa.from_numpy_dtype(values[0].dtype)
            for _ in shape:
                kind = pa.list_(kind)
            columns[key] = columns[key].cast(kind)
    for key, values in vectors.items():
        columns[key] = pa.array(values.astype(np.float32).tolist(), pa.list_(pa.float32()))
        features[key] = {"dtype": "float32", "shape": [values.shape[1]], "names": (names or {}).get(key)}
    columns |= {
        "timestamp": pa.array((np.arange(rows) / FPS).astype(np.float32)),
        "frame_index": pa.array(range(rows)),
    }
    columns |= {"episode_index": pa.array([0] * rows), "task_index": pa.array([0] * rows)}
    pq.write_table(pa.table(columns), folder / "data/chunk-000/episode_000000.parquet")
    info = {"codebase_version": "v2.1", "robot_type": "arm", "fps": FPS, "chunks_size": 1000, "features": features}
    info |= {"splits": {"train": "0:"}, "video_path": None}
    info |= {"data_path": "data/chunk-{episode_chunk:03d}/episode_{episode_index:06d}.parquet"}
    texts = {"info.json": info, "tasks.jsonl": {"task_index": 0, "task": "put the cup on the señal"}}
    texts |= {"episodes.jsonl": {"episode_index": 0, "tasks": [], "length": rows}, **dict(files)}
    for name, content in texts.items():
        (folder / "meta" / name).write_text(json.dumps(content, ensure_ascii=False) + "\n", encoding="utf-8")
    return folder


def colour_pngs(seed: int = 0) -> list[dict]:
    random = np.random.default_rng(seed)
    return [png(random.integers(0, 256, (24, 32, 3), dtype=np.uint8)) for _ in range(ROWS)]


def vector(width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(ROWS, width)).astype(np.float32)


def record(folder: Path, lengths=(20, 20), cameras=("front",), **columns) -> Path:
    """A v3.0 folder whose pictures show 5 x their number, with videos."""
    with LeRobotWriter(folder, FPS, "arm") as writer:
        for length in lengths:
            grey = np.broadcast_to(5 * np.arange(length, dtype=np.uint8)[:, None, None, None], (length, 64, 64, 3))
            images = {camera: grey for camera in cameras}
            writer.add_episode({"images": images, "action": np.ones((length, 3)) * np.arange(length)[:, None]}, "pick")
    return folder


def edit(folder: Path, change, file: str = DATA) -> Path:
    pq.write_table(change(pq.read_table(folder / file)), folder / file)
    return folder


def replace(table: pa.Table, name: str, values) -> pa.Table:
    return table.set_column(table.column_names.index(name), name, pa.array(values))


def shown(dataset: LeRobotDataset, camera: str = "front") -> list[int]:
    return [round(float(dataset[i]["images"][camera][-1].mean()) / 5) for i in range(len(dataset))]


@pytest.mark.parametrize(("action", "state"), [("actions", "state"), ("action", "state")])
def test_openpis_layout_is_found(tmp_path, action, state):
    vectors = {state: vector(8), action: vector(7, 1)}
    folder = publish(tmp_path / "set", {"image": colour_pngs(), "wrist_image": colour_pngs(1)}, vectors)
    dataset = LeRobotDataset(folder, window_size=2, chunk_size=4)
    assert list(dataset.camera_keys) == ["image", "wrist_image"] and dataset[0]["instruction"].endswith("señal")
    assert (dataset[5]["state"][-1] == vectors[state][5]).all() and (
        dataset[5]["actions"][-1, 0] == vectors[action][5]
    ).all()
    state_spec = action_contract(dataset).state
    assert state_spec is not None and state_spec.dim == 8


def test_columns_are_told_in_python_and_in_a_recipe(tmp_path):
    vectors = {"cmd_arm": vector(6), "cmd_hand": vector(1, 1), "q": vector(6, 2)}
    names = {"cmd_arm": list("abcdef"), "cmd_hand": ["grip"]}
    folder = publish(tmp_path / "set", {"cam_a": colour_pngs(), "cam_b": colour_pngs(1)}, vectors, names)
    with pytest.raises(DatasetError, match=r"which column is the action.*'cmd_arm' \(6\).*columns="):
        LeRobotDataset(folder)
    columns = {"action": ["cmd_hand", "cmd_arm"], "state": "q", "images": {"front": "cam_b"}}
    spec = DatasetSpec.parse(json.dumps({"path": str(folder), "columns": columns, "tolerance_s": 0.01}))
    assert spec.tolerance_s == 0.01 and spec.columns is not None
    dataset = LeRobotDataset(folder, window_size=1, chunk_size=1, columns=spec.columns)
    assert dataset.action_names == ["grip", *"abcdef"] and list(dataset.camera_keys) == ["front"]
    assert (dataset[3]["actions"][0, 0] == np.concatenate([vectors["cmd_hand"][3], vectors["cmd_arm"][3]])).all()
    assert (dataset[3]["state"][0] == vectors["q"][3]).all()
    without = LeRobotDataset(folder, columns={"action": "cmd_arm"})
    assert without.state is None and without.state_candidates == ["cmd_hand", "q"]
    with pytest.raises(DatasetError, match=r"columns\['action'\] names 'cmd'.*cmd_arm"):
        LeRobotDataset(folder, columns={"action": "cmd"})
    with pytest.raises(ValueError, match="no entry 'actions'"):
        DatasetSpec("x", columns={"actions": "cmd_arm"})


def test_columns_are_a_mapping(tmp_path):
    folder = publish(tmp_path / "set", {"image": colour_pngs()}, {"actions": vector(2)})
    with pytest.raises(ValueError, match=r"columns must be a mapping of .* got \['actions'\]"):
        LeRobotDataset(folder, 1, 1, columns=["actions"])


def test_bodies_in_several_columns(tmp_path):
    keys = ("actions.joint.position", "actions.effector.position", "observation.states.joint.position")
    vectors = {key: vector(width, width) for key, width in zip(keys, (14, 2, 14), strict=True)}
    folder = publish(tmp_path / "set", {"head": colour_pngs()}, vectors)
    dataset = LeRobotDataset(folder, window_size=1, chunk_size=1)
    assert dataset.action.shape == (ROWS, 16) and dataset.state is not None and dataset.state.shape == (ROWS, 14)
    assert dataset.action_names[0] == "joint.position_0" and dataset.action_names[-1] == "effector.position_1"
    assert (dataset.action == np.hstack([vectors[key] for key in keys[:2]])).all()
    twice = publish(tmp_path / "twice", {}, {"actions.joint.position": vector(7), "actions.joint.velocity": vector(7)})
    with pytest.raises(DatasetError, match=r"joint.velocity"):  # two ways to say the same
        LeRobotDataset(twice)


def test_gr00ts_modality_file_names_slices_and_cameras(tmp_path):
    arms = {
        "left_arm": {"start": 0, "end": 3},
        "left_hand": {"start": 3, "end": 4},
        "right_arm": {"start": 4, "end": 7},
    }
    modality = {"action": arms, "state": {"right_arm": {"start": 4, "end": 7}}}
    modality |= {"video": {"ego_view": {"original_key": "observation.images.cam_0"}}}
    vectors = {"action": vector(7), "observation.state": vector(7, 1)}
    names = {"action": [f"motor_{number}" for number in range(7)]}
    pictures = {"observation.images.cam_0": colour_pngs()}
    folder = publish(tmp_path / "set", pictures, vectors, names, files={"modality.json": modality}.items())
    dataset = LeRobotDataset(folder, window_size=1, chunk_size=1)
    assert dataset.action_names == [
        *(f"left_arm_{i}" for i in range(3)),
        "left_hand",
        *(f"right_arm_{i}" for i in range(3)),
    ]
    assert list(dataset.camera_keys) == ["ego_view"]
    assert dataset.state is not None and (dataset.state == vectors["observation.state"][:, 4:]).all()
    right = LeRobotDataset(folder, columns={"action": ["right_arm", "left_hand"]})
    assert (right.action == vectors["action"][:, [4, 5, 6, 3]]).all()


JOINTS = ["waist", "elbow", "gripper"]


@pytest.mark.parametrize(
    ("names", "width", "expected"),
    [
        ([JOINTS], 3, JOINTS),
        ({"motors": JOINTS}, 3, JOINTS),
        ({"y": 1, "x": 0}, 2, ["x", "y"]),
        ({"left": JOINTS, "right": JOINTS}, 6, [f"{arm}_{joint}" for arm in ("left", "right") for joint in JOINTS]),
        ({"left": {"arm": ["x"], "hand": ["g"]}, "right": {"arm": ["x"], "hand": ["g"]}}, 4, None),
        (JOINTS + JOINTS, 6, [f"arm{arm}_{joint}" for arm in (1, 2) for joint in JOINTS]),
        (["x", "y", "x"], 3, ["x_1", "y", "x_2"]),
        ([["left", "right"], ["x", "y", "z"]], 6, ["left_x", "left_y", "left_z", "right_x", "right_y", "right_z"]),
        (["state"], 8, None),
        ("state", 5, None),
        (None, 3, None),
    ],
)
def test_names_of_dimensions_survive(names, width, expected):
    found = flat_names(names, width)
    if isinstance(names, dict) and "left" in names and width == 4:
        assert found == ["left_arm_x", "left_hand_g", "right_arm_x", "right_hand_g"]
    else:
        assert found == expected


@pytest.mark.skipif(not G1.exists(), reason=f"no recordings of a Unitree G1 at {G1}")
def test_a_real_humanoid_of_which_98_episodes_are_missing():
    dataset = LeRobotDataset(G1, window_size=2, chunk_size=4, episodes=[29, 30])
    assert dataset.action_names[0] == "kLeftShoulderPitch" and dataset.action_names[-1] == "kRightHandThumbRotation"
    assert dataset.camera_shapes == {"cam_high": (480, 640)} and dataset[250]["episode"] == 30
    with pytest.raises(DatasetError, match=r"98 of 100 episodes have no data file \(0-28, 31-99\).*`episodes` 29-30"):
        LeRobotDataset(G1)
    with pytest.raises(DatasetError, match=r"unknown episodes .* in `episodes`"):
        LeRobotDataset(G1, episodes=[100])


def test_names_that_fit_no_dimension_are_told(tmp_path):
    pictures, action = {"observation.images.front": colour_pngs()}, {"action": vector(3)}
    names = {"axes": ["x", "y", "z"], "unit": "m"}
    with pytest.warns(UserWarning, match=r"'action' are numbered, since info.json has 4 names for 3 dimensions.*unit"):
        dataset = LeRobotDataset(publish(tmp_path / "set", pictures, action, {"action": names}), 1, 1)
    assert dataset.action_names == ["action_0", "action_1", "action_2"]
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # one name of the whole vector, as openpi writes it
        LeRobotDataset(publish(tmp_path / "whole", pictures, action, {"action": ["action"]}), 1, 1)


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"columns": {"action": ["action", "action"]}}, r"columns\['action'\] must be .*different columns"),
        ({"cameras": ["front", "front"]}, r"cameras has \['front'\] more than once"),
        ({"cameras": "front"}, "cameras must be a list of names, got 'front'"),
        ({"tolerance_s": "0.1"}, "tolerance_s must be a positive number, got '0.1'"),
        ({"window_size": 1.5}, "window_size must be a whole number, got 1.5"),
    ],
)
def test_options_of_another_kind_are_refused_by_name(tmp_path, options, problem):
    folder = publish(tmp_path / "set", {"observation.images.front": colour_pngs()}, {"action": vector(3)})
    with pytest.raises(ValueError, match=problem):
        LeRobotDataset(folder, **options)


def test_depth_is_no_colour_camera_and_is_read_in_metres(tmp_path):
    millimetres = np.linspace(400, 2500, 24 * 32).reshape(24, 32).astype(np.uint16)
    pictures = {"observation.images.front": colour_pngs(), "observation.images.front_depth": [png(millimetres)] * ROWS}
    pictures["array_depth"] = [millimetres] * ROWS
    shapes = {"observation.images.front_depth": [24, 32, 1], "array_depth": [24, 32]}
    folder = publish(tmp_path / "set", pictures, {"action": vector(6)}, shapes=shapes)
    with pytest.warns(UserWarning, match=r"depth cameras \['front_depth', 'array_depth'\] are left out"):
        dataset = LeRobotDataset(folder, window_size=2, chunk_size=2)
    assert list(dataset.camera_keys) == ["front"] and [c.name for c in action_contract(dataset).cameras] == ["front"]
    with pytest.raises(DatasetError, match=r"hold depth, not colour.*depth="):
        LeRobotDataset(folder, cameras=["front", "front_depth"])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        dataset = LeRobotDataset(folder, 2, 2, depth=["front_depth", "array_depth"])
    for name in ("front_depth", "array_depth"):
        depth = dataset[3]["depth"][name]
        assert depth.dtype == np.float32 and depth.shape == (2, 24, 32)
        np.testing.assert_allclose(depth[1], millimetres / 1000, atol=1e-6)


@pytest.mark.parametrize("kind", ["rgba", "grey", "arrays", "arrays first", "grey arrays", "floats", "other size"])
def test_odd_pictures_come_out_right(tmp_path, kind):
    random = np.random.default_rng(0)
    pixels = random.integers(0, 256, (ROWS, 24, 32, 3), dtype=np.uint8)
    expected, shape = pixels, [24, 32, 3]
    if kind == "rgba":
        alpha = np.full((ROWS, 24, 32, 1), 255, np.uint8)
        pictures, shape = [png(p) for p in np.concatenate([pixels, alpha], -1)], [24, 32, 4]
    elif kind == "grey":
        pictures, shape, expected = [png(p[..., 0]) for p in pixels], [24, 32], pixels[..., :1].repeat(3, -1)
    elif kind == "arrays":
        pictures = list(pixels)
    elif kind == "arrays first":
        pictures, shape = list(pixels.transpose(0, 3, 1, 2)), [3, 24, 32]
    elif kind == "floats":
        pictures = list((pixels / 255).astype(np.float32))
    elif kind == "grey arrays":
        pictures, shape, expected = list(pixels[..., 0]), [24, 32], pixels[..., :1].repeat(3, -1)
    else:
        pictures, shape = [png(p) for p in pixels], [480, 640, 3]
    folder = publish(tmp_path / "set", {"observation.images.top": pictures}, {"action": vector(6)}, None,
                     {"observation.images.top": shape})  # fmt: skip
    dataset = LeRobotDataset(folder, window_size=1, chunk_size=1)
    assert dataset.camera_shapes == {"top": (24, 32)}
    assert all((dataset[i]["images"]["top"][0] == expected[i]).all() for i in range(ROWS))


def test_a_picture_of_another_size_is_named(tmp_path):
    pictures = [*colour_pngs()[:5], png(np.zeros((20, 20, 3), np.uint8)), *colour_pngs()[:6]]
    folder = publish(tmp_path / "set", {"observation.images.top": pictures}, {"action": vector(6)})
    with pytest.raises(DatasetError, match=r"observation\.images\.top.* 24x32.*frame 5 has 20x20.*episode_000000"):
        LeRobotDataset(folder, window_size=1)[5]


@pytest.mark.parametrize("tolerance", [0.01, 0.04, 0.1])
@pytest.mark.parametrize("clock", ["exact", "jitter", "drift", "a gap"])
def test_every_row_shows_its_own_picture_whatever_the_clock(tmp_path, clock, tolerance):
    times = np.arange(20) / FPS
    if clock == "jitter":
        times = times + np.random.default_rng(0).uniform(-0.004, 0.004, 20)
    if clock == "drift":
        times = times * 1.03  # at the end more than half a frame
    if clock == "a gap":
        times[10:] += 0.06  # more than half a frame
    folder = edit(record(tmp_path / "set"), lambda t: replace(t, "timestamp", np.tile(times, 2).astype(np.float32)))
    if clock in ("drift", "a gap") and tolerance < 0.1:
        with pytest.raises(DatasetError, match="tolerance_s"):
            LeRobotDataset(folder, 1, 1, tolerance_s=tolerance)
        return
    assert shown(LeRobotDataset(folder, 1, 1, tolerance_s=tolerance, cache_bytes=0)) == [*range(20), *range(20)]


def write_video(path: Path, times: list[int], levels: list[int]) -> None:
    """Pictures at `times` (hundredths of a second) whose grey is 5 x their level."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=FPS, options={"bf": "0"})
        stream.width = stream.height = 64
        stream.pix_fmt, stream.codec_context.time_base = "yuv420p", Fraction(1, 100)
        for time, level in zip(times, levels, strict=True):
            frame = av.VideoFrame.from_ndarray(np.full((64, 64, 3), 5 * level, np.uint8), format="rgb24")
            frame.pts, frame.time_base = time, Fraction(1, 100)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


def test_videos_whose_first_picture_is_not_at_0(tmp_path):
    folder = record(tmp_path / "set", lengths=(20,))
    write_video(folder / VIDEO, [20 + 10 * i for i in range(20)], list(range(20)))
    assert shown(LeRobotDataset(folder, 1, 1)) == list(range(20))  # all pictures are there: it is the clock
    two = record(tmp_path / "two", lengths=(10, 10))
    write_video(two / VIDEO, [50 + 10 * i for i in range(20)], [*range(10), *range(10)])
    assert shown(LeRobotDataset(two, 1, 1)) == [*range(10), *range(10)]
    assert shown(LeRobotDataset(two, 1, 1, episodes=[1])) == list(range(10))
    late = edit(record(tmp_path / "late"), lambda t: replace(t, "timestamp", np.tile(np.arange(20) / FPS + 0.5, 2)))
    assert shown(LeRobotDataset(late, 1, 1, tolerance_s=0.6)) == [*range(20), *range(20)]
    write_video(two / VIDEO, [50 + 10 * i for i in range(18)], [*range(10), *range(8)])
    with pytest.raises(DatasetError, match=r"18 pictures from 0\.5000 s on for 20 frames.*episode 1"):
        LeRobotDataset(two, 1, 1, episodes=[1])
    write_video(folder / VIDEO, [20 + 10 * i for i in range(18)], list(range(18)))
    for tolerance in (1e-4, 0.3):
        with pytest.raises(DatasetError, match=r"18 pictures from 0\.2000 s on for 20 frames.*file-000\.mp4"):
            LeRobotDataset(folder, 1, 1, tolerance_s=tolerance)


def test_a_missing_camera_file_is_found_at_the_start(tmp_path):
    folder = tmp_path / "set"
    with LeRobotWriter(folder, FPS, video_mb=0.0001) as writer:
        for _ in range(3):
            episode = {"images": {"front": np.zeros((5, 64, 64, 3), np.uint8)}, "action": np.ones((5, 2))}
            writer.add_episode(episode, "pick")
    (folder / VIDEO.replace("file-000", "file-001")).unlink()
    with pytest.raises(DatasetError, match=r"missing file.*episode 1.*file-001\.mp4"):
        LeRobotDataset(folder)
    assert len(LeRobotDataset(folder, episodes=[0, 2])) == 10


def test_edited_tables(tmp_path):
    folder = record(tmp_path / "set", cameras=("front", "side"))
    for name in ("frame_index", "episode_index", "task_index"):
        edit(folder, lambda t, name=name: replace(t, name, t[name].to_numpy().astype(np.float64)))
    episodes = "meta/episodes/chunk-000/file-000.parquet"
    for name in ("episode_index", "length", "data/file_index"):
        edit(folder, lambda t, name=name: replace(t, name, t[name].to_numpy().astype(np.float64)), episodes)
    side = "videos/observation.images.side/"
    for name in ("chunk_index", "file_index", "from_timestamp"):
        edit(folder, lambda t, name=name: replace(t, side + name, [0.0, float("nan")]), episodes)
    assert shown(LeRobotDataset(folder, 1, 1, cameras=["front"])) == [*range(20), *range(20)]
    with pytest.raises(DatasetError, match=r"no video of 'observation\.images\.side'.*episode 1"):
        LeRobotDataset(folder)
    assert list(LeRobotDataset(folder, episodes=[0]).camera_keys) == ["front", "side"]


def test_array2d_columns_with_and_without_the_datasets_library(tmp_path):
    import datasets

    folder = publish(tmp_path / "set", {"observation.images.top": colour_pngs()}, {"action": vector(6)})
    file = folder / "data/chunk-000/episode_000000.parquet"
    feature = datasets.Features({"action": datasets.Array2D((2, 3), "float32")})
    values = np.arange(ROWS * 6, dtype=np.float32).reshape(ROWS, 2, 3)
    column = datasets.Dataset.from_dict({"action": values.tolist()}, features=feature).data.column("action")
    table = pq.read_table(file)
    pq.write_table(table.set_column(table.column_names.index("action"), "action", column), file)
    info = json.loads((folder / "meta/info.json").read_text(encoding="utf-8"))
    info["features"]["action"]["shape"] = [2, 3]
    (folder / "meta/info.json").write_text(json.dumps(info))
    assert (LeRobotDataset(folder).action == values.reshape(ROWS, 6)).all()


def test_folders_that_are_something_else_are_called_by_their_name(tmp_path, monkeypatch):
    folder = record(tmp_path / "set")
    pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 12345\n"
    video = (folder / VIDEO).read_bytes()
    (folder / VIDEO).write_text(pointer)
    with pytest.raises(DatasetError, match=r"Git LFS pointer.*file-000\.mp4"):
        LeRobotDataset(folder)
    (folder / VIDEO).write_bytes(video)
    table = folder / "meta/episodes/chunk-000/file-000.parquet"
    whole = table.read_bytes()
    table.write_text(pointer)
    with pytest.raises(DatasetError, match=r"Git LFS pointer.*meta/episodes"):
        LeRobotDataset(folder)
    table.write_bytes(whole)
    monkeypatch.setenv("HF_LEROBOT_HOME", str(tmp_path / "home"))
    monkeypatch.setattr("robovlms.data.source.snapshot_download", _offline)
    (tmp_path / "home/me").mkdir(parents=True)
    folder.rename(tmp_path / "home/me/recorded")
    dataset = LeRobotDataset("me/recorded", 1, 1)
    assert len(dataset) == 40 and dataset.metadata.splits == {"train": (0, 2)}
    info = tmp_path / "home/me/recorded/meta/info.json"
    info.write_text(json.dumps(json.loads(info.read_text()) | {"storage_format": "lance"}))
    with pytest.raises(DatasetError, match="storage_format 'lance'"):
        LeRobotDataset("me/recorded")


def _offline(*_, **__):
    from huggingface_hub.errors import LocalEntryNotFoundError

    raise LocalEntryNotFoundError("no network")


def test_an_episode_table_that_lacks_rows_is_refused_with_the_numbers(tmp_path):
    folder = record(tmp_path / "set", lengths=(10, 10, 10))
    edit(folder, lambda t: t.slice(0, 2), "meta/episodes/chunk-000/file-000.parquet")  # as LeRobot without finalize()
    with pytest.raises(DatasetError, match="10 frames of episodes 2, which the episode table lacks"):
        LeRobotDataset(folder)
    edit(folder, lambda t: t.slice(0, 20))
    with pytest.raises(DatasetError, match=r"total_episodes = 3, the episode table has 2; total_frames = 30.* 20"):
        LeRobotDataset(folder)
    assert len(LeRobotDataset(folder, episodes=[0, 1])) == 20


JOINTS = ["waist", "shoulder", "gripper"]


@pytest.mark.parametrize(
    ("names", "found"),
    [
        ([f"{arm}_{joint}" for arm in ("left", "right") for joint in JOINTS], [2, 5]),
        (JOINTS + JOINTS, [2, 5]),
        ({"left_arm": JOINTS, "right_arm": JOINTS}, [2, 5]),
        (["x", "y", "gripper", "z", "roll", "terminate"], [2]),
        (["x", "y", "left_hand", "z", "roll", "right_claw"], [2, 5]),
        (None, [2, 5]),
    ],
)
def test_grippers_are_found_anywhere(tmp_path, names, found):
    action = np.random.default_rng(0).normal(size=(ROWS, 6))
    action[:, [2, 5]] = np.array([[0, 1], [1, 0]] * (ROWS // 2))
    pictures = {"observation.images.top": [png(np.zeros((24, 32, 3), np.uint8))] * ROWS}
    folder = publish(tmp_path / "arm", pictures, {"action": action}, {"action": names})
    with pytest.warns(UserWarning, match="no proprioceptive state"):
        contract = action_contract(LeRobotDataset(folder, window_size=1, chunk_size=2))
    assert [(one.dim, one.open_value, one.closed_value) for one in contract.grippers] == [(d, 1, 0) for d in found]


def test_a_state_that_was_not_found_is_not_left_out_silently(tmp_path):
    vectors = {"action": np.random.default_rng(0).normal(size=(ROWS, 3)), "posture": np.zeros((ROWS, 3))}
    pictures = {"observation.images.top": [png(np.zeros((24, 32, 3), np.uint8))] * ROWS}
    dataset = LeRobotDataset(publish(tmp_path / "arm", pictures, vectors), window_size=1, chunk_size=2)
    with pytest.raises(ValueError, match=r"use_state is True.*columns.*posture"):
        action_contract(dataset)
    assert action_contract(dataset, use_state=False).state is None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"fps": "10"}, r"fps must be a number, got '10'.*info\.json"),
        ({"features": {"action": {"dtype": "float32", "shape": 3}}}, "feature 'action' needs a dtype and a shape"),
    ],
)
def test_an_info_file_that_is_no_such_thing_is_named(tmp_path, change, message):
    folder = record(tmp_path / "set", lengths=(3,))
    info = folder / "meta/info.json"
    info.write_text(json.dumps(json.loads(info.read_text()) | change))
    with pytest.raises(DatasetError, match=message):
        LeRobotDataset(folder)


def test_texts_are_utf8_whatever_the_locale(tmp_path):
    """Instructions, names and findings that a locale without them can't write."""
    names = {"action": ["épaule", "coude", "pince"]}
    folder = publish(tmp_path / "set", {"image": colour_pngs()}, {"action": vector(3)}, names)
    file = tmp_path / "found.json"
    command = [sys.executable, "-m", "robovlms.cli", "data", "inspect", str(folder), "--json", str(file)]
    environment = os.environ | {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONPATH": os.pathsep.join(sys.path)}
    run = subprocess.run([*command, "--output", str(tmp_path / "page.html")], env=environment, capture_output=True)
    assert b"Traceback" not in run.stderr, run.stderr.decode(errors="replace")
    found = json.loads(file.read_text(encoding="utf-8"))
    assert found["names"]["action"][0] == "épaule" and "épaule" in (tmp_path / "page.html").read_text(encoding="utf-8")
