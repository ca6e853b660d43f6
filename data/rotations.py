"""Conversions between ways to write a rotation, by name."""

from typing import Literal

import numpy as np
from scipy.spatial.transform import Rotation

Convention = Literal["euler_xyz", "euler_xyz_intrinsic", "axis_angle", "quaternion_xyzw", "quaternion_wxyz", "rot6d"]
WIDTHS = {
    "euler_xyz": 3,  # roll, pitch, yaw about fixed axes: R = Rz(yaw) Ry(pitch) Rx(roll)
    "euler_xyz_intrinsic": 3,  # about moving axes: R = Rx Ry Rz
    "axis_angle": 3,
    "quaternion_xyzw": 4,
    "quaternion_wxyz": 4,
    "rot6d": 6,  # first column of the rotation matrix, then the second
}
_EULER = {"euler_xyz": "xyz", "euler_xyz_intrinsic": "XYZ"}


def to_rotation(values: np.ndarray, convention: Convention) -> Rotation:
    """Values (rows, width) as rotations. Raises ValueError for an unknown convention or another width."""
    values = np.array(values, np.float64)  # a copy: scipy wants to own it
    if convention not in WIDTHS:
        raise ValueError(f"unknown rotation convention {convention!r}, there are {list(WIDTHS)}")
    if values.ndim != 2 or values.shape[1] != WIDTHS[convention]:
        raise ValueError(f"{convention} needs (rows, {WIDTHS[convention]}) values, got {values.shape}")
    if convention in _EULER:
        return Rotation.from_euler(_EULER[convention], values)
    if convention == "axis_angle":
        return Rotation.from_rotvec(values)
    if convention == "quaternion_xyzw":
        return Rotation.from_quat(values)
    if convention == "quaternion_wxyz":
        return Rotation.from_quat(values, scalar_first=True)
    first = values[:, :3] / np.linalg.norm(values[:, :3], axis=1, keepdims=True)
    second = values[:, 3:] - (first * values[:, 3:]).sum(1, keepdims=True) * first
    second /= np.linalg.norm(second, axis=1, keepdims=True)
    return Rotation.from_matrix(np.stack([first, second, np.cross(first, second)], axis=-1))


def from_rotation(rotation: Rotation, convention: Convention) -> np.ndarray:
    """Rotations as values (rows, width): angles in (-pi, pi], quaternions with w >= 0."""
    if convention in _EULER:
        return rotation.as_euler(_EULER[convention])
    if convention == "axis_angle":
        return rotation.as_rotvec()
    if convention in ("quaternion_xyzw", "quaternion_wxyz"):
        return rotation.as_quat(canonical=True, scalar_first=convention == "quaternion_wxyz")
    if convention == "rot6d":
        return rotation.as_matrix()[:, :, :2].swapaxes(1, 2).reshape(-1, 6)
    raise ValueError(f"unknown rotation convention {convention!r}, there are {list(WIDTHS)}")
