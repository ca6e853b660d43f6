"""The settings: where things are put at the start of an episode, and how its task is asked for."""

from dataclasses import dataclass

import numpy as np

from .appearance import UNSEEN_OBJECTS, Appearance, sample_appearance
from .scene import (
    BLOCK_COLORS,
    BLOCK_HALF,
    CABINET_POSITION,
    DISTRACTORS,
    LAMP_POSITION,
    PLATE_COLORS,
    PLATE_RADIUS,
)
from .tasks import Task

SETTINGS = (
    "seen",
    "unseen_distractors",
    "unseen_colors",
    "unseen_poses",
    "unseen_paraphrases",
    "unseen_objects",
    "unseen_textures",
    "unseen_lighting",
    "unseen_camera",
    "novel_instructions",
)
"""Names of the settings: what training uses, and nine with one thing each that training never shows."""

TRAINING_REGION = ((-0.21, 0.21), (-0.2, 0.0))
"""Ranges of x and y in which blocks and plates stand for training (metres)."""
OUTER_REGION = ((-0.26, 0.26), (-0.235, 0.0))
"""Ranges of x and y for the setting "unseen_poses": blocks stand in this region and outside of the training region."""
TRAINING_YAW = 0.15
OUTER_YAW = (0.25, 0.5)
"""Absolute block rotation (radians): up to the first for training, between the latter two for "unseen_poses"."""
START_REGION = ((-0.16, 0.16), (-0.14, 0.06), (0.14, 0.22))
"""Ranges of x, y, z in which the gripper starts (metres)."""
DRAWER_START = (0.035, 0.065)


def check_setting(setting: str) -> None:
    """Raise ValueError for a setting that there isn't."""
    if setting not in SETTINGS:
        raise ValueError(f"unknown setting {setting!r}; known settings: {', '.join(SETTINGS)}")


@dataclass(frozen=True)
class Layout:
    """Start of an episode.

    Attributes:
        blocks, plates, distractors: x, y and yaw of each thing that is there.
        cabinet_shift, lamp_shift: how far these stand to the right of their usual place; in half of the scenes they
            have changed places, so that nobody can work them blindly.
        drawer: how far it is pulled out.
        gripper: position (3,).
        appearance: how all this looks.
    """

    blocks: dict[str, np.ndarray]
    plates: dict[str, np.ndarray]
    distractors: dict[str, np.ndarray]
    cabinet_shift: float
    lamp_shift: float
    drawer: float
    gripper: np.ndarray
    appearance: Appearance


def with_unseen_objects(sentence: str) -> str:
    """Return a task's sentence with the names of `UNSEEN_OBJECTS` in place of the blocks'."""
    for color, (name, _) in UNSEEN_OBJECTS.items():
        for noun in ("block", "cube", "one"):
            sentence = sentence.replace(f"{color} {noun}", name)
    return sentence


def sentences(task: Task, setting: str) -> tuple[str, ...]:
    """Return the ways to ask for a task in a setting."""
    if setting == "unseen_paraphrases":
        return task.held_out_paraphrases
    if setting == "novel_instructions":
        return task.novel_instructions
    if setting == "unseen_objects":
        return tuple(with_unseen_objects(sentence) for sentence in task.paraphrases)
    return task.paraphrases


def _uniform(rng: np.random.Generator, ranges) -> np.ndarray:
    low, high = np.array(ranges).T
    return rng.uniform(low, high)


def _inside(point: np.ndarray, ranges) -> bool:
    return all(low <= value <= high for value, (low, high) in zip(point, ranges, strict=True))


def _scatter(rng: np.random.Generator, setting: str) -> dict[str, dict[str, np.ndarray]] | None:
    """Try once to place all objects without overlap; None if one found no room."""
    outer = setting == "unseen_poses"
    kinds = [("plates", color, PLATE_RADIUS) for color in PLATE_COLORS]
    kinds += [("blocks", color, 0.054) for color in BLOCK_COLORS]
    if setting == "unseen_distractors":
        kinds += [("distractors", name, 0.035) for name in DISTRACTORS]
    placed: list[tuple[np.ndarray, float, str]] = []
    result: dict[str, dict[str, np.ndarray]] = {"plates": {}, "blocks": {}, "distractors": {}}
    for kind, name, radius in kinds:
        region = OUTER_REGION if kind == "distractors" or (outer and kind == "blocks") else TRAINING_REGION
        for _ in range(60):
            point = _uniform(rng, region)
            if outer and kind == "blocks" and _inside(point, TRAINING_REGION):
                continue
            if any(np.linalg.norm(point - other) < radius + size for other, size, _ in placed):
                continue
            if kind != "plates" and any(_in_corridor(point, other) for other, _, k in placed if k == "blocks"):
                continue
            break
        else:
            return None
        placed.append((point, radius, kind))
        yaw = 0.0
        if kind == "blocks" and outer:
            yaw = rng.choice([-1.0, 1.0]) * rng.uniform(*OUTER_YAW)
        elif kind == "blocks":
            yaw = rng.uniform(-TRAINING_YAW, TRAINING_YAW)
        result[kind][name] = np.array([*point, yaw])
    return result


SWAP = LAMP_POSITION[0] - CABINET_POSITION[0]
"""How far apart cabinet and lamp usually stand."""


def _in_corridor(point: np.ndarray, block: np.ndarray) -> bool:
    """Whether something at `point` would be in the way of a block that is pushed to the left or right."""
    return abs(point[1] - block[1]) < 2 * BLOCK_HALF + 0.008 and abs(point[0] - block[0]) < 0.19


def sample_layout(rng: np.random.Generator, setting: str) -> Layout:
    """Draw the start of an episode in one of `SETTINGS`.

    Raises:
        ValueError: unknown setting.
    """
    check_setting(setting)
    scattered = None
    while scattered is None:
        scattered = _scatter(rng, setting)
    swapped = rng.random() < 0.5
    return Layout(
        **scattered,
        cabinet_shift=rng.uniform(-0.02, 0.02) + (SWAP if swapped else 0.0),
        lamp_shift=rng.uniform(-0.02, 0.02) - (SWAP if swapped else 0.0),
        drawer=rng.uniform(*DRAWER_START),
        gripper=_uniform(rng, START_REGION),
        appearance=sample_appearance(rng, setting),
    )
