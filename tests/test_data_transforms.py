"""Action representations and their inverses, augmentation: against the original implementation and by property."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import load_file
from scipy.spatial.transform import Rotation
from torch.utils.data import DataLoader, Dataset
from torchvision.transforms import v2

from robovlms.configuration import CameraSpec
from robovlms.configuration.rotations import WIDTHS, from_matrix, to_matrix
from robovlms.data import (
    AbsoluteToDelta,
    Augmented,
    Chain,
    ConvertRotation,
    RandomCrop,
    RandomShift,
    WorldToTool,
    open_x_augmentation,
)
from robovlms.data.augmentation import shift_images
from robovlms.processing.camera_images import seen_part

GOLDEN = Path(__file__).parents[1].parent / "shared" / "reference" / "golden"
needs_golden = pytest.mark.skipif(not GOLDEN.exists(), reason=f"the golden values are not at {GOLDEN}")
angles = st.lists(st.floats(-1.5, 1.5), min_size=6, max_size=6)


def poses(seed: int, shape=(5, 4)) -> tuple[np.ndarray, np.ndarray]:
    """Absolute pose actions (..., 7) and states (..., 8) whose first six values are a pose."""
    random = np.random.default_rng(seed)
    return random.uniform(-1.4, 1.4, (*shape, 7)), random.uniform(-1.4, 1.4, (*shape, 8))


@given(angles)
def test_rotation_conventions_mean_the_same_rotation(values):
    rotation = to_matrix(np.array(values).reshape(2, 3), "axis_angle")
    for convention in WIDTHS:
        written = from_matrix(rotation, convention)
        assert written.shape == (2, WIDTHS[convention])
        np.testing.assert_allclose(to_matrix(written, convention), rotation, atol=1e-7)


@given(st.integers(0, 10_000))
def test_rotations_are_scipys(seed):
    rotations = Rotation.random(20, random_state=seed)
    half_turns = Rotation.from_rotvec(np.pi * np.eye(3))
    theirs = {
        "euler_xyz": lambda rotation: rotation.as_euler("xyz"),
        "euler_xyz_intrinsic": lambda rotation: rotation.as_euler("XYZ"),
        "axis_angle": lambda rotation: rotation.as_rotvec(),
        "quaternion_xyzw": lambda rotation: rotation.as_quat(canonical=True),
        "quaternion_wxyz": lambda rotation: rotation.as_quat(canonical=True, scalar_first=True),
    }
    for convention, of in theirs.items():
        np.testing.assert_allclose(from_matrix(rotations.as_matrix(), convention), of(rotations), atol=1e-7)
        for given_ in (rotations, half_turns, Rotation.identity(2)):
            np.testing.assert_allclose(to_matrix(of(given_), convention), given_.as_matrix(), atol=1e-7)
            again = to_matrix(from_matrix(given_.as_matrix(), convention), convention)
            np.testing.assert_allclose(again, given_.as_matrix(), atol=1e-7)


def test_rotation_conventions_are_what_their_names_say():
    roll, yaw = 0.3, 0.7
    x, z = np.array([[1.0, 0, 0]]), np.array([[0, 0, 1.0]])
    rx, rz = to_matrix(roll * x, "axis_angle"), to_matrix(yaw * z, "axis_angle")
    euler = np.array([[roll, 0, yaw]])
    np.testing.assert_allclose(to_matrix(euler, "euler_xyz"), rz @ rx, atol=1e-12)
    np.testing.assert_allclose(to_matrix(euler, "euler_xyz_intrinsic"), rx @ rz, atol=1e-12)
    np.testing.assert_allclose(from_matrix(to_matrix(roll * x, "axis_angle"), "rot6d")[0], rx[0][:, :2].T.ravel())
    quaternion = from_matrix(to_matrix(roll * x, "axis_angle"), "quaternion_wxyz")[0]
    np.testing.assert_allclose(quaternion, [np.cos(roll / 2), np.sin(roll / 2), 0, 0], atol=1e-12)
    with pytest.raises(ValueError, match="unknown rotation convention"):
        to_matrix(x, "euler_zyx")


@pytest.mark.parametrize(
    "transform",
    [
        AbsoluteToDelta((0, 1, 2)),
        AbsoluteToDelta((0, 1, 2), rotation="euler_xyz"),
        AbsoluteToDelta((0, 1, 2), rotation="euler_xyz", frame="tool"),
        AbsoluteToDelta((0, 1, 2), rotation="axis_angle", per_chunk=False),
        AbsoluteToDelta(range(6), state_dims=range(1, 7)),
        ConvertRotation("euler_xyz", "rot6d"),
        ConvertRotation("axis_angle", "quaternion_wxyz"),
        WorldToTool(),
        Chain(AbsoluteToDelta(rotation="euler_xyz"), ConvertRotation("euler_xyz", "rot6d")),
    ],
    ids=str,
)
def test_decode_inverts_encode(transform):
    for seed in range(20):
        actions, state = poses(seed)
        if isinstance(transform, WorldToTool):
            actions[..., 3:6] *= 0.5  # increments
        encoded = transform.encode(actions, state)
        decoded = transform.decode(encoded, state)
        convention = "axis_angle" if "axis" in str(transform) else "euler_xyz"
        rotations = [to_matrix(a[..., 3:6].reshape(-1, 3), convention) for a in (actions, decoded)]
        np.testing.assert_allclose(rotations[0], rotations[1], atol=2e-5)
        np.testing.assert_allclose(decoded[..., :3], actions[..., :3], atol=1e-5)
        np.testing.assert_allclose(decoded[..., 6:], actions[..., 6:], atol=1e-6)
        assert len(transform.names(list("abcdefg"))) == encoded.shape[-1]


def test_delta_in_the_tool_frame_is_what_the_tool_sees():
    state = np.array([0.1, 0.2, 0.3, 0, 0, np.pi / 2, 0, 0])  # turned by 90 degrees about z
    action = np.array([0.1, 0.3, 0.3, 0, 0, np.pi / 2, 1])  # 0.1 along the world's y
    encoded = AbsoluteToDelta(rotation="euler_xyz", frame="tool").encode(action[None], state[None])
    np.testing.assert_allclose(encoded[0], [0.1, 0, 0, 0, 0, 0, 1], atol=1e-6)
    with pytest.raises(ValueError, match="needs the state"):
        AbsoluteToDelta().encode(action[None], None)
    with pytest.raises(ValueError, match="per step or per chunk"):
        Chain(AbsoluteToDelta(per_chunk=True), AbsoluteToDelta(per_chunk=False))


@needs_golden
@pytest.mark.parametrize(("case", "forth", "back"), [("tcp", "", "_of_it"), ("tcp4", "", "")])
def test_world_and_tool_frames_are_the_originals(case, forth, back):
    values = load_file(GOLDEN / "_misc" / "values.safetensors")
    actions, state = values[f"{case}.in_action"], values[f"{case}.robot_obs"]
    tool = WorldToTool().encode(actions, state)
    np.testing.assert_allclose(tool.ravel(), values[f"{case}.world_to_tcp{forth}"].ravel(), atol=1e-4)
    world = WorldToTool().decode(tool if back else actions, state)
    np.testing.assert_allclose(world.ravel(), values[f"{case}.tcp_to_world{back}"].ravel(), atol=1e-4)


@needs_golden
def test_random_shift_is_the_originals():
    values = load_file(GOLDEN / "_misc" / "values.safetensors")
    images, offsets = torch.from_numpy(values["shift.in"]), torch.from_numpy(values["shift.shifts_xy"]).long()
    assert (shift_images(images, offsets, 2).numpy() == values["shift.crop_equiv"]).all()


class Windows(Dataset):
    """Samples of one random image repeated over the window."""

    def __len__(self):
        return 6

    def __getitem__(self, index):
        image = np.random.default_rng(index).integers(0, 255, (32, 32, 3), dtype=np.uint8)
        images = {camera: np.repeat(image[None], 4, axis=0) for camera in ("static", "gripper")}
        return {"images": images, "episode": index // 3, "frame": index % 3}


@pytest.mark.parametrize("transforms", [[RandomShift(4)], open_x_augmentation()], ids=["shift", "open_x"])
def test_augmentation_is_consistent_over_the_window_and_reproducible(transforms):
    dataset = Augmented(Windows(), transforms, seed=1)
    first = dataset[0]["images"]["static"]
    assert first.dtype == np.uint8 and first.shape == (4, 32, 32, 3)
    assert (first == first[:1]).all() and (dataset[0]["images"]["static"] == first).all()
    assert (first != dataset[0]["images"]["gripper"]).any()  # another draw
    loader = DataLoader(dataset, batch_size=None, num_workers=2, collate_fn=lambda s: s, persistent_workers=True)
    epochs = []
    for epoch in (0, 1):
        dataset.set_epoch(epoch)  # seen by workers that live on
        epochs.append([sample["images"]["static"] for sample in loader])
        assert all((a == dataset[i]["images"]["static"]).all() for i, a in enumerate(epochs[-1]))
    assert any((a != b).any() for a, b in zip(*epochs, strict=True))


def squares(values) -> np.ndarray:
    """Images (frames, 32, 32, 3): `values` in the middle quarter of the area, black around it."""
    images = np.zeros((len(values), 32, 32, 3), np.uint8)
    images[:, 8:24, 8:24] = np.asarray(values, np.uint8)[:, None, None, None]
    return images


def test_evaluation_sees_the_centre_of_what_training_cropped():
    centre = seen_part(squares([200, 100]), CameraSpec("static", 32, 32, centre_crop=0.25), cropped=None)
    assert centre.shape == (2, 32, 32, 3) and (centre[0] == 200).all() and (centre[1] == 100).all()
    training = Augmented(Windows(), {"static": [v2.ColorJitter(0.2), RandomCrop(0.25)], "gripper": [RandomShift(4)]})
    sample = training[0]
    assert sample["cropped"] == {"static": 0.25} and "cropped" not in Augmented(Windows(), [RandomShift(4)])[0]
    camera = CameraSpec("static", 32, 32, centre_crop=0.25)
    assert seen_part(sample["images"]["static"], camera, sample["cropped"]["static"]) is sample["images"]["static"]
    for wrong in (CameraSpec("static", 32, 32), CameraSpec("static", 32, 32, centre_crop=0.9)):
        with pytest.raises(ValueError, match=r"random crops of 0\.25 of the area"):
            seen_part(sample["images"]["static"], wrong, 0.25)
    for crops in ([v2.RandomResizedCrop(32)], [RandomCrop(0.9), RandomCrop(0.8)]):
        with pytest.raises(ValueError, match=r"one robovlms\.data\.RandomCrop per camera"):
            Augmented(Windows(), crops)


def test_random_shift_may_differ_between_frames():
    per_frame = RandomShift(4, per_frame=True)(torch.arange(32).expand(8, 1, 32, 32).clone())
    assert len({int(frame[0, 16, 16]) for frame in per_frame}) > 1
