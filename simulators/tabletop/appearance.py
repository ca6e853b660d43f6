"""How a scene looks: as in training, or with one thing changed that training never shows."""

from dataclasses import dataclass, field

import numpy as np

from ..common.textures import TEXTURES

Rgba = tuple[float, float, float, float]

UNSEEN_OBJECTS: dict[str, tuple[str, Rgba]] = {
    "red": ("orange can", (1.0, 0.5, 0.05, 1)),
    "green": ("white can", (0.95, 0.95, 0.95, 1)),
    "blue": ("black can", (0.06, 0.06, 0.07, 1)),
}
"""What takes the place of each block in the setting "unseen_objects": name and colour of a cylinder."""

UNSEEN_COLORS: dict[str, tuple[Rgba, ...]] = {
    "table": ((0.35, 0.42, 0.38, 1), (0.25, 0.27, 0.33, 1), (0.62, 0.5, 0.5, 1)),
    "floor": ((0.7, 0.68, 0.6, 1), (0.12, 0.14, 0.12, 1), (0.55, 0.62, 0.68, 1)),
    "cabinet": ((0.3, 0.4, 0.45, 1), (0.7, 0.68, 0.62, 1)),
}
"""Colours of the setting "unseen_colors"; every fourth table has a checker pattern instead."""


@dataclass(frozen=True)
class Light:
    """Light of the setting "unseen_lighting".

    Attributes:
        ambient, lamp: how strong the light from everywhere and the lamp are, as factors on the usual.
        tint: factors on red, green and blue.
        direction: where the lamp shines.
    """

    ambient: float
    lamp: float
    tint: tuple[float, float, float]
    direction: tuple[float, float, float]


UNSEEN_LIGHTS = {
    "dusk": Light(0.55, 0.35, (0.85, 0.9, 1.15), (0.2, 0.5, -1.0)),
    "bulb": Light(0.9, 1.1, (1.15, 0.95, 0.68), (-0.3, 0.2, -1.0)),
    "window": Light(0.5, 2.0, (1.0, 1.0, 1.0), (1.0, 0.1, -0.45)),
    "glare": Light(1.15, 1.35, (1.0, 1.0, 0.95), (0.0, -0.4, -1.0)),
}

CAMERA_SHIFT = (0.03, 0.06)
"""How far the static camera is moved in the setting "unseen_camera" (metres)."""
CAMERA_TURN = (0.04, 0.08)
"""How far it is turned (radians)."""


@dataclass(frozen=True)
class CameraChange:
    """Another place of the static camera.

    Attributes:
        shift: (3,) metres.
        turn: (3,) rotation vector in the camera's frame (radians).
    """

    shift: np.ndarray
    turn: np.ndarray


@dataclass(frozen=True)
class Appearance:
    """What isn't as in training.

    Attributes:
        colors: RGBA of the table, floor or cabinet.
        textures: pattern on the table or floor, from `TEXTURES`, or "checker".
        cans: whether the blocks are the cylinders of `UNSEEN_OBJECTS`.
        light: another light.
        camera: another place of the static camera.
    """

    colors: dict[str, Rgba] = field(default_factory=dict)
    textures: dict[str, str] = field(default_factory=dict)
    cans: bool = False
    light: Light | None = None
    camera: CameraChange | None = None


def sample_appearance(rng: np.random.Generator, setting: str) -> Appearance:
    """Draw the appearance of a scene in a setting."""
    if setting == "unseen_objects":
        return Appearance(cans=True)
    if setting == "unseen_colors":
        colors = {name: choices[rng.integers(len(choices))] for name, choices in UNSEEN_COLORS.items()}
        if rng.random() < 0.25:
            del colors["table"]
            return Appearance(colors, {"table": "checker"})
        return Appearance(colors)
    (own,) = rng.spawn(1)  # the task and sentence that are drawn next stay those of the setting "seen"
    if setting == "unseen_textures":
        table, floor = own.permutation(TEXTURES)[:2]
        return Appearance(textures={"table": str(table), "floor": str(floor)})
    if setting == "unseen_lighting":
        return Appearance(light=UNSEEN_LIGHTS[str(own.choice(list(UNSEEN_LIGHTS)))])
    if setting == "unseen_camera":
        return Appearance(camera=CameraChange(_vector(own, CAMERA_SHIFT), _vector(own, CAMERA_TURN)))
    return Appearance()


def _vector(rng: np.random.Generator, lengths: tuple[float, float]) -> np.ndarray:
    """In any direction, with a length between two."""
    direction = rng.standard_normal(3)
    return direction / np.linalg.norm(direction) * rng.uniform(*lengths)
