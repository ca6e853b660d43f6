"""How rotations are written, told from synthetic recordings of a known truth, or not told."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from robovlms.configuration.rotations import from_matrix
from robovlms.data.conventions_rotation import find_rotations

STARTS = np.array([0, 400, 800])


def wander(seed=0, size=0.08, start=None):
    """800 rotations of two episodes, each a little turned from the one before; all directions are reached."""
    random = np.random.default_rng(seed)
    speed = np.cumsum(random.normal(size=(800, 3)) * 0.01, axis=0)
    turns = Rotation.from_rotvec(size * speed / np.linalg.norm(speed, axis=1, keepdims=True))
    rotation, found = start or Rotation.identity(), []
    for turn in turns:
        rotation = rotation * turn
        found.append(rotation.as_quat())
    return Rotation.from_quat(found)


def kinds(values, names=None, mode="absolute"):
    """What is found in a vector of a position, `values` and a gripper."""
    random = np.random.default_rng(9)
    vector = np.concatenate([random.normal(size=(800, 3)), values, random.normal(size=(800, 1))], axis=1)
    width = values.shape[1]
    names = ["x", "y", "z", *(names or [f"a{number}" for number in range(width)]), "gripper"]
    found = find_rotations(vector.astype(np.float32).astype(np.float64), names, STARTS, mode)
    assert all(one["dims"] == (3, 2 + width) for one in found), found
    return [one["kind"] for one in found]


@pytest.mark.parametrize("seed", range(4))
def test_what_is_told(seed):
    rotation = wander(seed)
    for order in ("quaternion_xyzw", "quaternion_wxyz"):  # canonical: the scalar stays positive
        assert kinds(from_matrix(rotation.as_matrix(), order)) == [order]
    assert kinds(rotation.as_matrix().reshape(-1, 9)) == ["matrix"]
    assert kinds(from_matrix(rotation.as_matrix(), "rot6d")) == ["rot6d"]
    assert kinds(rotation.as_rotvec()) == ["axis_angle"]  # by its flips alone
    assert kinds(rotation.as_rotvec(), ["roll", "pitch", "yaw"]) == ["axis_angle"]  # whatever the names say
    assert kinds(rotation.as_euler("xyz"), ["roll", "pitch", "yaw"]) == ["euler"]
    assert kinds(rotation.as_euler("XYZ"), ["rx", "ry", "rz"]) == ["euler"]


@pytest.mark.parametrize("order", ["quaternion_xyzw", "quaternion_wxyz"])
def test_orders_of_quaternions(order):
    random = np.random.default_rng(0)
    small = Rotation.from_rotvec(0.05 * random.normal(size=(800, 3)))
    assert kinds(from_matrix(small.as_matrix(), order), mode="delta") == [order]
    assert kinds(from_matrix(small.as_matrix(), order)) == ["quaternion"]  # near one pose either order is possible
    down = Rotation.from_euler("x", np.pi - 0.3) * small  # a gripper that looks down, and never turns over
    assert kinds(from_matrix(down.as_matrix(), order)) == ["quaternion"]
    names = [f"q{letter}" for letter in order.removeprefix("quaternion_")]
    assert kinds(from_matrix(down.as_matrix(), order), names) == [order]
    continuous = from_matrix(wander(3).as_matrix(), order)
    signs = np.cumprod(np.where((continuous[1:] * continuous[:-1]).sum(1) < 0, -1, 1))
    continuous[1:] *= signs[:, None]  # no jumps, the scalar of either sign
    assert kinds(continuous) == ["quaternion"]


def test_what_is_not_told():
    random = np.random.default_rng(0)
    small = Rotation.from_rotvec(0.05 * random.normal(size=(800, 3)))
    for values in (small.as_rotvec(), small.as_euler("xyz")):
        assert kinds(values, ["roll", "pitch", "yaw"], "delta") == []
    joints = np.cumsum(0.02 * random.normal(size=(800, 6)), axis=0)
    assert kinds((joints + np.pi) % (2 * np.pi) - np.pi) == []  # encoders that wrap are no Euler angles
    assert kinds(np.tile([0.0, 0.0, 0.0, 1.0], (800, 1))) == []
    assert kinds(wander(1).as_euler("xyz")) == []  # nothing says which three numbers are one rotation
