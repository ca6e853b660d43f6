"""Conversions between ways to write a rotation, by name. In numpy alone: a checkpoint's code asks for no more."""

from typing import Literal

import numpy as np

Convention = Literal["euler_xyz", "euler_xyz_intrinsic", "axis_angle", "quaternion_xyzw", "quaternion_wxyz", "rot6d"]
WIDTHS: dict[str, int] = {
    "euler_xyz": 3,  # roll, pitch, yaw about fixed axes: R = Rz(yaw) Ry(pitch) Rx(roll)
    "euler_xyz_intrinsic": 3,  # about moving axes: R = Rx Ry Rz
    "axis_angle": 3,
    "quaternion_xyzw": 4,
    "quaternion_wxyz": 4,
    "rot6d": 6,  # first column of the rotation matrix, then the second
}


def to_matrix(values: np.ndarray, convention: Convention) -> np.ndarray:
    """Values `(..., width)` as rotation matrices `(..., 3, 3)`. Raises ValueError for an unknown convention or another
    width."""
    values = np.asarray(values, np.float64)
    if convention not in WIDTHS:
        raise ValueError(f"unknown rotation convention {convention!r}, there are {list(WIDTHS)}")
    if values.ndim == 0 or values.shape[-1] != WIDTHS[convention]:
        raise ValueError(f"{convention} needs (..., {WIDTHS[convention]}) values, got {values.shape}")
    if convention == "rot6d":
        first = _unit(values[..., :3])
        second = _unit(values[..., 3:] - (first * values[..., 3:]).sum(-1, keepdims=True) * first)
        return np.stack([first, second, np.cross(first, second)], axis=-1)
    if convention in ("euler_xyz", "euler_xyz_intrinsic"):
        x, y, z = (_about(axis, values[..., axis]) for axis in range(3))
        return z @ y @ x if convention == "euler_xyz" else x @ y @ z
    if convention == "axis_angle":
        half = np.linalg.norm(values, axis=-1, keepdims=True) / 2
        values = np.concatenate([values / 2 * np.sinc(half / np.pi), np.cos(half)], axis=-1)
    elif convention == "quaternion_wxyz":
        values = np.roll(values, -1, axis=-1)
    return _of_quaternion(_unit(values))


def from_matrix(matrix: np.ndarray, convention: Convention) -> np.ndarray:
    """Rotation matrices `(..., 3, 3)` as values `(..., width)`: angles in (-pi, pi], quaternions with w >= 0."""
    if convention not in WIDTHS:
        raise ValueError(f"unknown rotation convention {convention!r}, there are {list(WIDTHS)}")
    if convention == "rot6d":
        return np.concatenate([matrix[..., 0], matrix[..., 1]], axis=-1)
    if convention == "euler_xyz":
        return _fixed_angles(matrix)
    if convention == "euler_xyz_intrinsic":  # the inverse turns back, about fixed axes in the other order
        return -_fixed_angles(np.swapaxes(matrix, -1, -2))
    quaternion = _quaternion(matrix)
    if convention == "quaternion_xyzw":
        return quaternion
    if convention == "quaternion_wxyz":
        return np.roll(quaternion, 1, axis=-1)
    sine = np.linalg.norm(quaternion[..., :3], axis=-1, keepdims=True)
    half = np.arctan2(sine, quaternion[..., 3:])
    return 2 * quaternion[..., :3] / np.sinc(half / np.pi)


def _unit(values: np.ndarray) -> np.ndarray:
    return values / np.linalg.norm(values, axis=-1, keepdims=True)


def _about(axis: int, angle: np.ndarray) -> np.ndarray:
    """Rotation matrices `(..., 3, 3)` about one axis."""
    matrix = np.zeros((*angle.shape, 3, 3))
    after, last = (axis + 1) % 3, (axis + 2) % 3
    matrix[..., axis, axis] = 1
    matrix[..., after, after] = matrix[..., last, last] = np.cos(angle)
    matrix[..., last, after] = np.sin(angle)
    matrix[..., after, last] = -np.sin(angle)
    return matrix


def _fixed_angles(matrix: np.ndarray) -> np.ndarray:
    """Roll, pitch, yaw about fixed axes; no yaw where the pitch of a right angle leaves it open."""
    level = np.hypot(matrix[..., 0, 0], matrix[..., 1, 0])
    is_open = level < 1e-7
    roll = np.where(
        is_open,
        np.arctan2(-matrix[..., 1, 2], matrix[..., 1, 1]),
        np.arctan2(matrix[..., 2, 1], matrix[..., 2, 2]),
    )
    yaw = np.where(is_open, 0.0, np.arctan2(matrix[..., 1, 0], matrix[..., 0, 0]))
    return np.stack([roll, np.arctan2(-matrix[..., 2, 0], level), yaw], axis=-1)


def _of_quaternion(quaternion: np.ndarray) -> np.ndarray:
    x, y, z, w = np.moveaxis(quaternion, -1, 0)
    rows = [
        [w * w + x * x - y * y - z * z, 2 * (x * y - z * w), 2 * (x * z + y * w)],
        [2 * (x * y + z * w), w * w - x * x + y * y - z * z, 2 * (y * z - x * w)],
        [2 * (x * z - y * w), 2 * (y * z + x * w), w * w - x * x - y * y + z * z],
    ]
    return np.stack([np.stack(row, axis=-1) for row in rows], axis=-2)


def _quaternion(matrix: np.ndarray) -> np.ndarray:
    """x, y, z, w with w >= 0, from the row of 4 q q^T that is furthest from zero."""
    m = matrix
    diagonal = np.stack([m[..., 0, 0], m[..., 1, 1], m[..., 2, 2]], axis=-1)
    trace = diagonal.sum(-1)
    products = np.zeros((*trace.shape, 4, 4))
    for one, other, third in ((0, 1, 2), (1, 2, 0), (2, 0, 1)):
        products[..., one, one] = 1 - trace + 2 * diagonal[..., one]
        products[..., one, other] = products[..., other, one] = m[..., one, other] + m[..., other, one]
        products[..., third, 3] = products[..., 3, third] = m[..., other, one] - m[..., one, other]
    products[..., 3, 3] = 1 + trace
    best = np.argmax(np.diagonal(products, axis1=-2, axis2=-1), axis=-1)
    quaternion = _unit(np.take_along_axis(products, best[..., None, None], axis=-2)[..., 0, :])
    return np.where(quaternion[..., 3:] < 0, -quaternion, quaternion)
