"""The processor: observations, instructions and actions to tensors and exactly back, for four families."""

import json
import re

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoProcessor

from robovlms import ActionContract, CameraSpec, GripperSpec, RoboVLMProcessor, Statistics, VectorSpec
from robovlms.data import VLACollator
from robovlms.processing.camera_images import crop_centre
from robovlms.processing.normalization import SMALLEST_RANGE, ActionNormalizer, VectorNormalizer

FAMILIES = ["paligemma", "kosmos-2", "qwen2_vl", "smolvlm"]
family = pytest.mark.parametrize("family", FAMILIES)


# Normalisation.

numbers = st.floats(-1e4, 1e4, width=32)
unique_names = [f"d{index}" for index in range(8)]


@st.composite
def specs(draw, mode: str) -> VectorSpec:
    """Any statistics, constant dimensions included."""
    width = draw(st.integers(1, len(unique_names)))
    vectors = st.lists(numbers, min_size=width, max_size=width)
    values = {name: draw(vectors) for name in ("q01", "q99", "min", "max", "mean")}
    values["std"] = draw(st.lists(st.floats(0, 1e4, width=32), min_size=width, max_size=width))
    constant = draw(st.lists(st.booleans(), min_size=width, max_size=width))
    for low, high in (("q01", "q99"), ("min", "max")):
        pairs = [
            (a, a) if same else sorted((a, b)) for a, b, same in zip(values[low], values[high], constant, strict=True)
        ]
        values[low], values[high] = map(list, zip(*pairs, strict=True))
    mask = draw(st.none() | st.lists(st.booleans(), min_size=width, max_size=width))
    return VectorSpec(unique_names[:width], (), mode, Statistics(**values, count=1), mask)


def values_for(spec: VectorSpec) -> st.SearchStrategy[np.ndarray]:
    rows = st.lists(numbers, min_size=spec.dim, max_size=spec.dim)
    return st.lists(rows, min_size=1, max_size=4).map(lambda rows: np.array(rows, dtype=np.float32))


def tolerance(normalizer: VectorNormalizer, values: np.ndarray) -> np.ndarray:
    """A few float32 roundings of the numbers involved."""
    return 4e-7 * (np.abs(values) + np.abs(normalizer.offset) + normalizer.scale)


@pytest.mark.parametrize("mode", ["min_max", "mean_std", "none", "quantile"])
@given(data=st.data())
def test_decoding_inverts_encoding(mode, data):
    spec = data.draw(specs(mode))
    values = data.draw(values_for(spec))
    normalizer = VectorNormalizer(spec, "action")
    normal = normalizer.encode(values)
    assert normal.dtype == np.float32 and normal.shape == values.shape
    again = normalizer.decode(normal)
    assert again.dtype == np.float32

    expected = values.astype(np.float64)
    if mode == "quantile":  # to the quantiles; where these coincide, to the surrounding two units
        clamped = expected.clip(normalizer.offset - normalizer.scale, normalizer.offset + normalizer.scale)
        expected = np.where(normalizer.mask, clamped, expected)
        assert np.abs(normal[..., normalizer.mask]).max(initial=0) <= 1
        q01, q99 = np.array(spec.statistics.q01), np.array(spec.statistics.q99)
        moving = normalizer.mask & (q99 - q01 > 2 * SMALLEST_RANGE)
        inside = expected.clip(q01, q99)
        assert (np.abs(expected - inside)[..., moving] <= tolerance(normalizer, values)[..., moving]).all()
    assert (np.abs(again - expected) <= tolerance(normalizer, values)).all()


@given(statistics=specs("min_max"), polarity=st.tuples(numbers, numbers).filter(lambda pair: pair[0] != pair[1]))
def test_grippers_of_either_polarity(statistics, polarity):
    open_value, closed_value = polarity
    contract = ActionContract(
        embodiment="arm",
        action=statistics,
        cameras=(CameraSpec("static", 4, 4),),
        grippers=(GripperSpec(statistics.dim - 1, open_value, closed_value),),
        control_frequency=10.0,
        chunk_size=1,
    )
    normalizer = ActionNormalizer(contract)
    raw = np.zeros((2, statistics.dim), dtype=np.float32)
    raw[:, -1] = open_value, closed_value
    assert normalizer.encode(raw)[:, -1].tolist() == [1.0, -1.0]
    assert normalizer.decode(normalizer.encode(raw))[:, -1].tolist() == raw[:, -1].tolist()
    soft = np.zeros((2, statistics.dim), dtype=np.float32)
    soft[:, -1] = 0.3, -0.3
    assert normalizer.decode(soft)[:, -1].tolist() == raw[:, -1].tolist()


def test_what_cannot_be_normalised_is_refused(contract):
    normalizer = ActionNormalizer(contract())
    actions = np.zeros((4, 7))
    actions[2, 1], actions[3, 6] = np.nan, np.inf
    for convert in (normalizer.encode, normalizer.decode):
        with pytest.raises(ValueError, match=r"action of embodiment 'arm'.*not finite.*\['gripper', 'y'\]"):
            convert(actions)
        with pytest.raises(ValueError, match=r"action of embodiment 'arm' has 7 dimensions.*'gripper'.*\(4, 6\)"):
            convert(actions[:, :6])
    bare = contract(action=VectorSpec(("x", "y"), normalization="quantile"), grippers=())
    with pytest.raises(ValueError, match="action of embodiment 'arm': normalization 'quantile' needs statistics"):
        ActionNormalizer(bare)


# The processor.


@pytest.fixture(scope="module")
def processor(backbone, contract):
    """Makes a processor over a tiny backbone."""

    def make(family: str, **options) -> RoboVLMProcessor:
        contracts = options.pop("contracts", contract(window_size=2))
        return RoboVLMProcessor.from_backbone(backbone(family), contracts, **{"num_action_tokens": 2} | options)

    return make


def brightness(inputs, family: str) -> list[float]:
    """The brightest number of each image, in the order in which the backbone gets them."""
    pixels = inputs["pixel_values"]
    if family == "qwen2_vl":
        return [image.max().item() for image in pixels.split(inputs["image_grid_thw"].prod(dim=1).tolist())]
    return pixels.flatten(0, -4).flatten(1).amax(dim=1).tolist()


@family
def test_images_arrive_in_the_order_of_samples_frames_and_cameras(family, processor):
    shades = iter(range(130, 250, 10))
    samples = []
    for _ in range(3):
        frames = [(np.full((48, 64, 3), next(shades)), np.full((32, 32, 3), next(shades))) for _ in range(2)]
        static, gripper = (np.stack(camera).astype(np.uint8) for camera in zip(*frames, strict=True))
        samples.append({"gripper": gripper, "static": static, "a camera of no interest": gripper})
    state = np.zeros((3, 2, 3))
    inputs = processor(family)(samples, ["open", "pick up the red block", "open"], state)
    found = brightness(inputs, family)
    assert len(found) == 12 and np.all(np.diff(found) > 0)


def test_centre_crop_of_what_training_cropped_randomly(processor, contract, sample, tmp_path):
    plain = contract()
    cameras = (plain.cameras[0].replace(centre_crop=0.5), plain.cameras[1])
    cropping = contract(cameras=cameras)
    one = sample(plain, 0)
    inner = {"static": crop_centre(torch.from_numpy(one["images"]["static"]).movedim(-1, -3), 0.5).movedim(-3, -1)}
    centre = one | {"images": one["images"] | {"static": inner["static"].numpy()}}
    ours = processor("smolvlm", contracts=cropping)
    ours.save_pretrained(tmp_path)
    expected = VLACollator(processor("smolvlm", contracts=plain))([centre])["pixel_values"]
    for cropper in (ours, RoboVLMProcessor.from_pretrained(tmp_path)):
        assert torch.equal(VLACollator(cropper)([one])["pixel_values"], expected)  # evaluation: cut out here
        trained = centre | {"cropped": {"static": 0.5}}  # training: cut out by the dataset, not again
        assert torch.equal(VLACollator(cropper)([trained])["pixel_values"], expected)
    with pytest.raises(ValueError, match=r"random crops of 0\.5 of the area, the contract's centre_crop is None"):
        VLACollator(processor("smolvlm", contracts=plain))([trained])


@family
def test_batch_of_windows(family, processor, contract, sample):
    contract = contract(window_size=2)
    batch = [sample(contract, seed) for seed in range(3)]
    ours = processor(family)
    inputs = VLACollator(ours)(batch)
    rows = inputs["input_ids"].shape
    real = np.stack([s["frame_mask"] for s in batch])
    assert rows[0] == real.sum() < 6  # of three samples of two frames, those before an episode's start have no row
    mask = inputs["action_token_mask"]
    assert mask.shape == rows and mask.dtype == torch.bool
    assert mask.sum(dim=1).tolist() == [2] * rows[0]
    assert (inputs["attention_mask"][mask] == 1).all()
    assert (inputs["input_ids"][mask] == ours.text_token_id).all()
    assert not (inputs["input_ids"] == ours.action_token_id).any()
    for ids, row, instruction in zip(
        inputs["input_ids"], mask, np.repeat([s["instruction"] for s in batch], real.sum(axis=1)), strict=True
    ):
        assert instruction in ours.decode(ids[: row.nonzero()[0, 0]])  # the instruction comes before the action tokens

    frame_mask = np.stack([s["frame_mask"] for s in batch])
    action_mask = np.stack([s["action_mask"] for s in batch])
    assert inputs["frame_mask"].tolist() == frame_mask.tolist()
    assert inputs["labels"].tolist() == np.where(action_mask & frame_mask[..., None], 0, -100).tolist()
    assert inputs["actions"].shape == (3, 2, 3, 7) and inputs["actions"].dtype == torch.float32
    decoded = ours.decode_actions(inputs["actions"], embodiment="arm")
    np.testing.assert_allclose(decoded, np.stack([s["actions"] for s in batch]), atol=1e-6)
    states = [ours.action_encoder.states["arm"].encode(s["state"]) for s in batch]
    np.testing.assert_array_equal(inputs["state"].numpy(), np.stack(states))


@family
def test_saved_processor_is_the_same_and_names_no_path(family, processor, contract, sample, tmp_path):
    ours = processor(family, prompt_template="{images} do: {instruction} {action}", action_attention="causal")
    ours.save_pretrained(tmp_path)
    again = AutoProcessor.from_pretrained(tmp_path)
    assert isinstance(again, RoboVLMProcessor)
    assert again.to_dict() == ours.to_dict() and again.contracts == ours.contracts
    assert again.contract().hash == ours.contract().hash
    batch = [sample(contract(window_size=2), seed) for seed in range(2)]
    expected, inputs = VLACollator(ours)(batch), VLACollator(again)(batch)
    assert set(inputs) == set(expected)
    assert all(torch.equal(inputs[name], expected[name]) for name in expected)
    assert_no_absolute_path(tmp_path)
    again.save_pretrained(tmp_path / "twice")  # loading must not have put one in
    assert_no_absolute_path(tmp_path / "twice")


def assert_no_absolute_path(folder):
    def strings(value):
        if isinstance(value, dict):
            value = [*value, *value.values()]
        return [found for item in value for found in strings(item)] if isinstance(value, list) else [value]

    files = list(folder.glob("*.json"))
    assert files
    for file in files:
        if file.name != "tokenizer.json":  # a vocabulary may hold anything
            paths = [v for v in strings(json.loads(file.read_text())) if isinstance(v, str) and re.match(r"/\w", v)]
            assert not paths, (file.name, paths)


def test_embodiments_of_one_batch_keep_their_own_units(processor, contract):
    wide = contract().action.statistics.replace(min=[-10.0] * 7, max=[10.0] * 7, q01=[-9.0] * 7, q99=[9.0] * 7)
    contracts = {
        "arm": contract(state=None),
        "crane": contract(embodiment="crane", state=None, action=contract().action.replace(statistics=wide)),
    }
    ours = processor("smolvlm", contracts=contracts)
    images = {"static": np.zeros((48, 64, 3), np.uint8), "gripper": np.zeros((32, 32, 3), np.uint8)}
    actions = np.full((2, 1, 3, 7), 0.1)
    inputs = ours([images] * 2, ["open"] * 2, actions=actions, embodiment=["crane", "arm"])
    assert inputs["actions"][0, 0, 0, 0].item() == pytest.approx(0.01)
    assert inputs["actions"][1, 0, 0, 0].item() == pytest.approx(0.4)
    assert ours.decode_actions(inputs["actions"][0], embodiment="crane")[0, 0, 0] == pytest.approx(0.1)

    for embodiment, message in ((None, "no embodiment was given"), ("truck", "embodiment 'truck' is unknown")):
        with pytest.raises(ValueError, match=rf"{message}.*\['arm', 'crane'\]"):
            ours(images, "open", embodiment=embodiment)
        with pytest.raises(ValueError, match=rf"{message}.*\['arm', 'crane'\]"):
            ours.decode_actions(np.zeros(7), embodiment=embodiment)
    with pytest.raises(ValueError, match="embodiment holds 1 names for 2 samples"):
        ours([images] * 2, ["open"] * 2, embodiment=["arm"])


GOOD = {
    "images": {"static": np.zeros((2, 48, 64, 3), np.uint8), "gripper": np.zeros((2, 32, 32, 3), np.uint8)},
    "instruction": "open",
    "state": np.zeros((2, 3)),
    "actions": np.zeros((1, 2, 3, 7)),
}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"images": {"static": GOOD["images"]["static"]}},
            r"images lack camera\(s\) \['gripper'\] of embodiment 'arm'",
        ),
        (
            {"images": GOOD["images"] | {"static": np.zeros((2, 64, 48, 3), np.uint8)}},
            r"images\['static'\] must be uint8 of shape \(window, 48, 64, 3\).*got uint8 \(2, 64, 48, 3\)",
        ),
        (
            {"images": GOOD["images"] | {"static": np.zeros((2, 48, 64, 3), np.float32)}},
            r"images\['static'\] must be uint8.*got float32",
        ),
        ({"images": GOOD["images"] | {"gripper": np.zeros((1, 32, 32, 3), np.uint8)}}, r"different numbers of frames"),
        ({"instruction": ["open", "close"]}, "images hold 1 samples, instruction holds 2"),
        ({"state": None}, r"state is missing: embodiment\(s\) \['arm'\]"),
        ({"state": np.zeros((2, 4))}, r"state must have shape \(1, 2, 3\), got \(2, 4\)"),
        ({"state": np.full((2, 3), np.nan)}, r"state of embodiment 'arm'.*not finite.*'s0'"),
        ({"state": np.zeros((5, 3))}, "state"),
        ({"actions": np.zeros((1, 2, 3, 6))}, "action of embodiment 'arm' has 7 dimensions"),
        ({"actions": np.zeros((1, 2, 4, 7))}, r"actions must have shape .*\(1, 2, 3\)"),
        ({"actions": np.full((1, 2, 3, 7), np.inf)}, "action of embodiment 'arm'.*not finite.*'pitch'"),
        ({"action_mask": np.ones((1, 2, 4), bool)}, r"action_mask must have shape \(1, 2, 3\)"),
        ({"action_mask": np.ones((1, 3, 2), bool)}, r"action_mask must have shape \(1, 2, 3\)"),
        ({"frame_mask": np.ones((1, 3), bool)}, r"frame_mask must have shape \(1, 2\)"),
        ({"embodiment": "crane"}, r"embodiment 'crane' is unknown.*\['arm'\]"),
    ],
)
def test_errors_name_the_field(processor, changes, message):
    ours = processor("smolvlm")
    ours(**GOOD)  # what is changed below is what is wrong
    with pytest.raises(ValueError, match=message):
        ours(**GOOD | changes)


def test_construction_errors(processor, contract, backbone):
    with pytest.raises(ValueError, match=r"prompt_template '\{images\}' lacks \['\{instruction\}', '\{action\}'\]"):
        processor("smolvlm", prompt_template="{images}")
    with pytest.raises(ValueError, match="contracts is empty"):
        processor("smolvlm", contracts={})
    without = contract(state=VectorSpec(("height",)))
    with pytest.raises(ValueError, match="state of embodiment 'arm': normalization 'quantile' needs statistics"):
        processor("smolvlm", contracts=without)
    with pytest.raises(ValueError, match=r"no robovlms processor.*from_backbone"):
        RoboVLMProcessor.from_pretrained(backbone("smolvlm"))
