"""Mixtures, statistics, transforms inside datasets, sharing between processes, and batches from workers."""

import runpy
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from robovlms.data import (
    KNOWN_EMBODIMENTS,
    AbsoluteToDelta,
    Augmented,
    DatasetError,
    EpisodeBlockSampler,
    LeRobotDataset,
    LeRobotWriter,
    Mixture,
    RandomShift,
    ReusedBuffers,
    StreamingStatistics,
    VLACollator,
    action_contract,
    compute_statistics,
    known_embodiment,
    open_x_augmentation,
    statistics,
    statistics_by_embodiment,
)

SIMULATORS = Path(__file__).parents[1] / "simulators"


def write(folder: Path, lengths, seed: int = 0, robot_type: str = "arm", fps: float = 10, cameras=("static",)) -> Path:
    random = np.random.default_rng(seed)
    names = ["x", "y", "z", "roll", "pitch", "yaw", "gripper"]
    with LeRobotWriter(folder, fps, robot_type, names={"action": names, "state": [*names, "extra"]}) as writer:
        for number, length in enumerate(lengths):
            action = random.normal(size=(length, 7))
            action[:, -1] = random.integers(0, 2, length)
            images = np.full((length, 64, 64, 3), 10 * number, np.uint8)
            state = random.normal(size=(length, 8))
            writer.add_episode({"images": dict.fromkeys(cameras, images), "state": state, "action": action}, "go")
    return folder


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    root = tmp_path_factory.mktemp("mixture")
    return write(root / "a", [10, 20], 1), write(root / "b", [5] * 6, 2), write(root / "c", [8, 8], 3, "other_arm")


def load(folder: Path, **options) -> LeRobotDataset:
    return LeRobotDataset(folder, **{"window_size": 2, "chunk_size": 3, **options})


def test_weights(folders):
    a, b = load(folders[0]), load(folders[1])
    assert len(Mixture([a, b])) == 60 and Mixture([a, b]).weights == [0.5, 0.5]
    assert Mixture([a, b], "episodes").weights == [0.25, 0.75]
    mixture = Mixture([a, b], [9, 1], samples_per_epoch=100)
    drawn = Counter(mixture.locate(i) for i in range(100))
    assert {d: sum(n for (k, _), n in drawn.items() if k == d) for d in (0, 1)} == {0: 90, 1: 10}
    assert all(drawn[0, i] == 3 for i in range(30))  # 90 of 30: three whole passes
    for wrong in ([1], [1, 0], "size"):
        with pytest.raises(ValueError, match="weights must be"):
            Mixture([a, b], wrong)


def test_draw_depends_on_seed_and_epoch_only(folders):
    datasets = [load(folder, cameras=[]) for folder in folders[:2]]
    mixture = Mixture(datasets, [1, 2], samples_per_epoch=30, seed=5)
    sampler = EpisodeBlockSampler(mixture, seed=5, streams=2, batch_size=3)

    def epoch(number, workers):
        sampler.set_epoch(number)
        loader = DataLoader(mixture, 3, sampler=sampler, num_workers=workers, collate_fn=list)
        return [(s["embodiment"], s["episode"], s["frame"], s["actions"][-1, 0, 0]) for batch in loader for s in batch]

    first = epoch(0, 0)
    assert first == epoch(0, 2) and epoch(1, 0) == epoch(1, 1) != first
    assert len(set(first)) == 30  # without repetition
    again = Mixture(datasets, [1, 2], samples_per_epoch=30, seed=5)
    assert [again.locate(i) for i in range(30)] != [mixture.locate(i) for i in range(30)]  # that one is at epoch 1
    again.set_epoch(1)
    assert [again.locate(i) for i in range(30)] == [mixture.locate(i) for i in range(30)]


def test_persistent_workers_follow_the_epoch(folders):
    mixture = Mixture([load(folder, cameras=[]) for folder in folders[:2]], [1, 2], samples_per_epoch=12)
    loader = DataLoader(mixture, None, num_workers=2, persistent_workers=True)
    for number in (0, 1):
        mixture.set_epoch(number)
        here = [mixture[i]["actions"][-1, 0].tolist() for i in range(12)]
        assert [sample["actions"][-1, 0].tolist() for sample in loader] == here


def test_processes_share_an_epoch(folders):
    dataset = load(folders[0], cameras=[])
    shares = [list(EpisodeBlockSampler(dataset, batch_size=4, rank=r, world_size=4)) for r in range(4)]
    assert {len(share) for share in shares} == {8} and set().union(*shares) == set(range(30))
    assert len(EpisodeBlockSampler(dataset, batch_size=4, rank=0, world_size=4)) == 8
    with pytest.raises(ValueError, match="rank"):
        EpisodeBlockSampler(dataset, rank=4, world_size=4)


def test_an_interrupted_epoch_is_resumed(folders):
    for options in ({}, {"streams": 2}, {"rank": 1, "world_size": 2}):
        sampler = EpisodeBlockSampler(load(folders[0], cameras=[]), batch_size=4, **options)
        sampler.set_epoch(2)
        whole = list(sampler)
        sampler.set_epoch(2, start_batch=3)
        assert list(sampler) == whole[12:] and len(sampler) == len(whole) - 12
        sampler.set_epoch(3)
        assert len(list(sampler)) == len(whole) == len(sampler)


def test_statistics_of_a_mixture_are_those_of_the_concatenation(folders):
    a, b, c = (load(folder) for folder in folders)
    together = np.concatenate([a.action, b.action]).astype(np.float64)
    result = statistics(Mixture([a, b], [5, 1]))
    for name, value in {
        "q01": np.quantile(together, 0.01, axis=0),
        "q99": np.quantile(together, 0.99, axis=0),
        "min": together.min(0),
        "max": together.max(0),
        "mean": together.mean(0),
        "std": together.std(0),
    }.items():
        np.testing.assert_allclose(result["action"][name], value, rtol=1e-12)
    assert result["action"]["count"] == 60 and result["action"]["origin"] == "a; b"
    with pytest.raises(DatasetError, match=r"\['arm', 'other_arm'\]"):
        statistics(Mixture([a, c]))
    by_embodiment = statistics_by_embodiment(Mixture([a, b, c]))
    assert by_embodiment["arm"] == result and by_embodiment["other_arm"]["state"]["count"] == 16


def test_streamed_statistics_of_a_mixture_are_close(tmp_path):
    parts = [
        load(write(tmp_path / str(n), lengths, n, cameras=())) for n, lengths in enumerate(([4000], [3000, 3000]))
    ]
    together = np.concatenate([part.action for part in parts]).astype(np.float64)
    result = statistics(Mixture(parts, [1, 3]), exact_rows=1000)["action"]
    spread = np.quantile(together, 0.99, axis=0) - np.quantile(together, 0.01, axis=0)
    for name, q in (("q01", 0.01), ("q99", 0.99)):
        assert (np.abs(result[name] - np.quantile(together, q, axis=0)) <= 0.01 * spread).all()
    np.testing.assert_allclose(result["std"], together.std(0), rtol=1e-9)


@pytest.mark.parametrize("kind", ["normal", "heavy tails", "constant and drifting"])
def test_streaming_statistics_stay_within_their_bound(kind):
    random = np.random.default_rng(0)
    values = random.normal(size=(60_000, 3))
    if kind == "heavy tails":
        values = random.standard_t(3, size=(60_000, 3))
    if kind == "constant and drifting":
        values = np.stack([np.full(60_000, 0.25), np.linspace(-500, 500, 60_000), -np.arange(60_000.0)], axis=1)
    streaming = StreamingStatistics(exact_rows=1000)
    for piece in np.array_split(values, 37):
        streaming.update(piece)
    result, error = streaming.result(), np.array(streaming.quantile_error)
    assert not streaming.exact and result["count"] == 60_000
    for name, exact in (
        ("mean", values.mean(0)),
        ("std", values.std(0)),
        ("min", values.min(0)),
        ("max", values.max(0)),
    ):
        np.testing.assert_allclose(result[name], exact, rtol=1e-9, atol=1e-9)
    for name, q in (("q01", 0.01), ("q99", 0.99)):
        exact = np.quantile(values, q, axis=0)
        gap = np.quantile(values, q + 1 / 60_000, axis=0) - np.quantile(values, q - 1 / 60_000, axis=0)
        assert (np.abs(np.array(result[name]) - exact) <= error + gap).all()
        assert (np.abs(np.array(result[name]) - exact) <= 0.01 * np.maximum(np.abs(exact), 1e-9)).all()
    with pytest.raises(ValueError, match=r"non-finite values in dimensions \[1\]"):
        compute_statistics(np.array([[0.0, np.nan]]))


def test_transforms_in_a_dataset(folders):
    plain = load(folders[0])
    step = load(folders[0], transform=AbsoluteToDelta(per_chunk=False))
    chunk = load(folders[0], transform=AbsoluteToDelta(per_chunk=True))
    np.testing.assert_allclose(step.action[:, :3], plain.action[:, :3] - plain.state[:, :3], atol=1e-6)
    for index in (0, 7, 29):
        raw, sample = plain[index], chunk[index]
        decoded = chunk.transform.decode(sample["actions"], sample["state"][:, None])
        np.testing.assert_allclose(decoded, raw["actions"], atol=1e-6)
    rows = sum(min(3, length - t) for length in (10, 20) for t in range(length))
    assert chunk.action.shape == (rows, 7)
    valid = np.concatenate([s["actions"][-1][s["action_mask"][-1]] for s in (chunk[i] for i in range(30))])
    np.testing.assert_allclose(np.sort(valid[:, 0]), np.sort(chunk.action[:, 0]), atol=1e-6)
    assert "AbsoluteToDelta" in statistics(step)["action"]["origin"]


def test_left_edges(folders):
    masked, repeated, skipped = (load(folders[1], window_size=3, left_edge=e) for e in ("mask", "repeat", "skip"))
    assert masked[0]["frame_mask"].tolist() == [False, False, True] and repeated[0]["frame_mask"].all()
    assert repeated[0]["action_mask"].all() and (repeated[0]["actions"] == masked[0]["actions"]).all()
    assert len(skipped) == 6 * 3 and all(skipped[i]["frame_mask"].all() for i in range(len(skipped)))
    assert skipped[3]["episode"] == 1 and skipped[3]["frame"] == 2
    assert sorted(EpisodeBlockSampler(skipped)) == list(range(18))
    with pytest.raises(DatasetError, match="no episode has the 6 frames"):
        load(folders[1], window_size=6, left_edge="skip")


def test_contract_of_a_dataset(folders, tmp_path):
    contract = action_contract(load(folders[0]), rotation="euler_xyz")
    assert contract.action.names[-1] == "gripper" and contract.grippers[0].open_value == 1
    assert contract.control_frequency == 10 and contract.window_size == 2 and contract.state_dim == 8
    assert contract.action.statistics.origin == "a" and contract.cameras[0].height == 64
    views = {"fps": 5, "cameras": ("image_0", "image_1")}
    bridge = load(write(tmp_path / "bridge_orig_lerobot", [5], **views))
    assert list(bridge.camera_keys) == ["image_0"]  # many of its episodes lack the other views
    with pytest.raises(DatasetError, match=r"unknown cameras \['image_0'\], the dataset has \['static'\]"):
        load(write(tmp_path / "other" / "bridge_orig_lerobot", [5], fps=5))
    assert bridge.known_embodiment is known_embodiment("IPEC-COMMUNITY/bridge_orig_lerobot")
    contract = action_contract(bridge)
    assert (contract.rotation, contract.mode, contract.action.units[3]) == ("euler_xyz", "delta", "rad")
    with pytest.raises(ValueError, match="10 Hz, the known embodiment 'bridge' at 5 Hz"):
        action_contract(load(write(tmp_path / "copy" / "bridge_orig_lerobot", [5], **views | {"fps": 10})))


def test_contract_of_an_augmented_dataset_has_its_crop(folders):
    dataset = load(folders[0])
    augmented = Augmented(dataset, open_x_augmentation())
    assert action_contract(augmented).cameras[0].centre_crop == 0.9
    assert action_contract(augmented).hash != action_contract(dataset).hash
    assert augmented[3]["cropped"] == {"static": 0.9}
    batch = VLACollator(dict)([augmented[0], dataset[1]])
    assert batch["cropped"] == [{"static": 0.9}, {}]


def test_every_known_embodiment_names_its_sources():
    assert {"bridge", "fractal", "droid", "language_table", "bc_z"} <= set(KNOWN_EMBODIMENTS)
    for entry in KNOWN_EMBODIMENTS.values():
        assert entry.sources and len(entry.units) == len(entry.action_names)
        assert all(gripper.dim < len(entry.action_names) for gripper in entry.grippers)


@pytest.mark.parametrize(("name", "folder"), [("tabletop", "tabletop"), ("sawyer", "metaworld")])
def test_known_embodiments_are_what_our_simulators_do(name, folder):
    """Their entries are written out: datasets cannot import simulators, whose environments do without torch."""
    entry, there = KNOWN_EMBODIMENTS[name], runpy.run_path(f"{SIMULATORS}/{folder}/interface.py")
    assert (entry.action_names, entry.units) == (there["ACTION_NAMES"], there["ACTION_UNITS"])
    assert entry.control_frequency == there["CONTROL_FREQUENCY"] and set(entry.cameras) <= set(there["CAMERAS"])


def large_batch(samples):
    return {"index": torch.tensor(samples), "large": torch.stack([torch.full((100_000,), float(i)) for i in samples])}


def test_reused_buffers_are_not_written_while_in_use():
    loader = DataLoader(list(range(24)), 2, num_workers=2, collate_fn=ReusedBuffers(large_batch))
    kept = list(loader)  # all batches alive at once
    assert all((batch["large"] == batch["index"][:, None]).all() for batch in kept)
    for batch in loader:
        part = batch["large"][1]  # a view keeps the buffer
        index = int(batch["index"][1])
        del batch
        assert (part == index).all()
    assert len(kept) == 12


def test_reused_buffers_through_a_collator(folders):
    dataset = load(folders[0])
    collate = ReusedBuffers(VLACollator(lambda **batch: {"actions": batch["actions"], "n": len(batch["images"])}))
    for batch in DataLoader(dataset, 4, num_workers=1, collate_fn=collate):
        assert batch["actions"].shape[1:] == (2, 3, 7) and batch["n"] == len(batch["actions"])
    raw = next(iter(DataLoader(Augmented(dataset, [RandomShift(2)]), 4, num_workers=1, collate_fn=ReusedBuffers())))
    assert raw["images"]["static"].shape == (4, 2, 64, 64, 3) and raw["images"]["static"].dtype == torch.uint8
    assert raw["instruction"] == ["go"] * 4
