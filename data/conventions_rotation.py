"""How rotations are written, as far as recorded numbers tell: by unit norms, orthonormality, ranges and jumps."""

import re
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from ..configuration.rotations import to_matrix

UNIT, ALMOST_ALL = 5e-3, 0.99  # how far a norm may be from 1, and in which share of rows it must not be
SMALL = 0.5  # rad; a larger turn from one frame to the next is a jump
FEWEST_JUMPS = 2
ROTATION_NAME = re.compile(r"roll|pitch|yaw|euler|rot|axis|angle|\br[xyz]\b|_r[xyz]\b|\be[xyz]\b", re.IGNORECASE)
QUATERNION_NAME = re.compile(r"quat|(?<![a-z])q_?[wxyz](?![a-z])", re.IGNORECASE)


def find_rotations(values: np.ndarray, names: Sequence[str], starts: np.ndarray, mode: str) -> list[dict[str, Any]]:
    """Find rotations in vectors (rows, width); episodes begin at rows `starts`: [{"kind", "dims" (first, last), "why"}].

    Nine orthonormal numbers are a "matrix", six "rot6d", four of norm 1 a quaternion, whose order is told by names, by the
    sign that is kept positive, or by deltas, which are all but the identity; otherwise "quaternion". Three angles are "euler"
    (the order of axes can't be told) or "axis_angle" where ranges or jumps exclude the other; else they are not listed.
    """
    found: list[dict[str, Any]] = []
    start, width = 0, values.shape[1]
    while start < width:
        for size, read in ((9, _matrix), (6, _rot6d), (4, _quaternion), (3, _angles)):
            block = values[:, start : start + size]
            if block.shape[1] == size and (told := read(block, names[start : start + size], starts, mode)):
                kind, why = told
                found.append({"kind": kind, "dims": (start, start + size - 1), "why": why})
                start += size
                break
        else:
            start += 1
    return found


def _moving(block: np.ndarray) -> int:
    return int((np.ptp(block, axis=0) > 1e-3).sum())


def _is_orthonormal(block: np.ndarray) -> bool:
    """Whether two rows of three numbers each are unit vectors at right angles, in almost all frames."""
    first, second = block[:, :3], block[:, 3:6]
    lengths = np.stack([np.linalg.norm(first, axis=1), np.linalg.norm(second, axis=1)])
    good = (np.abs(lengths - 1) < UNIT).all(axis=0) & (np.abs((first * second).sum(axis=1)) < UNIT)
    return bool(good.mean() >= ALMOST_ALL)


def _matrix(block: np.ndarray, names, starts, mode) -> tuple[str, str] | None:
    if not _is_orthonormal(block) or not _is_orthonormal(block[:, 3:]):
        return None
    determinant = np.linalg.det(block.reshape(-1, 3, 3))
    return ("matrix", "nine orthonormal numbers of determinant 1") if np.median(determinant) > 0.9 else None


def _rot6d(block: np.ndarray, names, starts, mode) -> tuple[str, str] | None:
    why = "two unit vectors at right angles; whether columns or rows of the matrix, is not told"
    return ("rot6d", why) if _is_orthonormal(block) else None


def _quaternion(block: np.ndarray, names: Sequence[str], starts: np.ndarray, mode: str) -> tuple[str, str] | None:
    is_unit = np.abs(np.linalg.norm(block, axis=1) - 1) < UNIT
    named = all(QUATERNION_NAME.search(name) for name in names)
    if is_unit.mean() < ALMOST_ALL or _moving(block) < (2 if named else 3):
        return None
    why = f"norm 1 in {is_unit.mean():.1%} of the frames"
    last = [re.sub(r"[^a-z]", "", name.split()[0].lower())[-1:] for name in names]
    for order in ("xyzw", "wxyz"):
        if last == list(order):
            return f"quaternion_{order}", f"{why}; the order by the names"
    scalars = _kept_positive(block, starts)
    if len(scalars) == 1:
        return (
            f"quaternion_{'wxyz' if scalars[0] == 0 else 'xyzw'}",
            f"{why}; the scalar is what stays positive where signs flip",
        )
    if mode == "delta":
        near = [place for place in (0, 3) if (np.abs(block[:, place]) > 0.9).mean() >= ALMOST_ALL]
        if len(near) == 1:
            return f"quaternion_{'wxyz' if near[0] == 0 else 'xyzw'}", f"{why}; the scalar of small turns is near 1"
    return "quaternion", f"{why}; the order is not told"


def _kept_positive(block: np.ndarray, starts: np.ndarray) -> list[int]:
    """Find which of the first and the last number stay positive, and are near 0, wherever all signs flip."""
    flips = [row for row in _inside(starts) if block[row] @ block[row + 1] < -0.9]
    if len(flips) < FEWEST_JUMPS:
        return []
    near = {place: np.abs(block[[*flips, *(row + 1 for row in flips)], place]).max() < 0.3 for place in (0, 3)}
    return [place for place in (0, 3) if near[place] and block[:, place].min() > -1e-6]


def _inside(starts: np.ndarray) -> list[int]:
    """Rows that have a next one in their episode."""
    return [row for a, b in pairwise(starts.tolist()) for row in range(a, b - 1)]


def _angles(block: np.ndarray, names: Sequence[str], starts: np.ndarray, mode: str) -> tuple[str, str] | None:
    """Euler angles or an axis times an angle, where one of the two is excluded and the other is not."""
    named = all(ROTATION_NAME.search(name) for name in names)
    if _moving(block) < 2 or np.abs(block).max() > np.pi + 0.02:
        return None
    rows = np.array(_inside(starts))
    if not len(rows):
        return None
    jumps = rows[np.abs(block[rows + 1] - block[rows]).max(axis=1) > np.pi]
    if not named and len(jumps) < FEWEST_JUMPS:
        return None
    against_euler = _against("euler", block, jumps)
    if np.abs(block[:, 1]).max() > np.pi / 2 + 0.02:
        against_euler = f"the middle angle goes to {np.abs(block[:, 1]).max():.2f}, beyond 90 degrees"
    against_axis = _against("axis_angle", block, jumps)
    if (largest := np.linalg.norm(block, axis=1).max()) > np.pi + 0.02:
        against_axis = f"their norm goes to {largest:.2f}, beyond 180 degrees"
    if against_euler and not against_axis and (named or _flips(block, jumps)):
        return "axis_angle", f"no Euler angles: {against_euler}"
    if named and against_axis and not against_euler:
        return "euler", f"no axis and angle: {against_axis}; the order of the axes is not told"
    return None


def _against(kind: str, block: np.ndarray, jumps: np.ndarray) -> str | None:
    """What speaks against a way to write rotations: jumps of the numbers that are turns, too, if they were written so."""
    if len(jumps) < FEWEST_JUMPS:
        return None
    convention = "euler_xyz" if kind == "euler" else "axis_angle"
    before, after = to_matrix(block[jumps], convention), to_matrix(block[jumps + 1], convention)
    turns = np.arccos(np.clip(((before * after).sum(axis=(1, 2)) - 1) / 2, -1, 1))
    large = int((turns > SMALL).sum())
    return (
        f"{large} of {len(jumps)} jumps would be turns of up to {turns.max():.1f} rad"
        if large > len(jumps) / 2
        else None
    )


def _flips(block: np.ndarray, jumps: np.ndarray) -> bool:
    """Whether at jumps the axis turns round, all three numbers together."""
    before, after = block[jumps], block[jumps + 1]
    norms = np.linalg.norm(before, axis=1) * np.linalg.norm(after, axis=1)
    return bool(((before * after).sum(axis=1) < -0.9 * norms).mean() > 0.9)
