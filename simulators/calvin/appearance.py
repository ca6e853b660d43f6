"""How a scene looks: as published, or with one thing changed that no published scene shows."""

from dataclasses import dataclass

import numpy as np

from ..common.textures import TEXTURES

Rgba = tuple[float, float, float, float]


@dataclass(frozen=True)
class Light:
    """Light of the setting "unseen_lighting", in PyBullet's terms.

    Attributes:
        color: red, green and blue (0 to 1).
        ambient, diffuse: coefficients (published: 0.6 and 0.35).
        direction: where the light is.
        shadow: whether things cast shadows.
    """

    color: tuple[float, float, float]
    ambient: float
    diffuse: float
    direction: tuple[float, float, float]
    shadow: bool = False


UNSEEN_LIGHTS = {
    "dusk": Light((0.75, 0.8, 1.0), 0.3, 0.3, (1.0, -1.0, 2.0)),
    "bulb": Light((1.0, 0.82, 0.58), 0.5, 0.5, (0.0, -1.0, 2.0)),
    "window": Light((1.0, 1.0, 1.0), 0.35, 0.75, (2.0, -0.6, 0.8), shadow=True),
    "glare": Light((1.0, 1.0, 1.0), 0.75, 0.5, (0.5, -1.0, 1.5)),
}

UNSEEN_BLOCKS: dict[str, tuple[str, Rgba]] = {
    "red": ("orange", (1.0, 0.5, 0.0, 1)),
    "blue": ("white", (1.0, 1.0, 1.0, 1)),
    "pink": ("green", (0.1, 0.7, 0.2, 1)),
}
"""Name and colour of each block in the setting "unseen_objects"."""

UNSEEN_FLOORS: tuple[Rgba, ...] = ((0.55, 0.7, 0.55, 1), (0.5, 0.55, 0.75, 1), (0.8, 0.65, 0.5, 1))

EYE_SHIFT = (0.2, 0.4)
"""How far the static camera, 4.3 m away, is moved in the setting "unseen_camera" (metres)."""
TARGET_SHIFT = (0.02, 0.05)
"""How far the point that it looks at is moved (metres)."""


@dataclass(frozen=True)
class Appearance:
    """What isn't as published.

    Attributes:
        light: another light.
        table: pattern on the table, from `TEXTURES`.
        floor: RGBA.
        blocks: colour -> RGBA.
        eye, target: shifts (3,) of the static camera and of the point that it looks at (metres).
    """

    light: Light | None = None
    table: str | None = None
    floor: Rgba | None = None
    blocks: tuple[tuple[str, Rgba], ...] = ()
    eye: tuple[float, ...] = (0.0, 0.0, 0.0)
    target: tuple[float, ...] = (0.0, 0.0, 0.0)


PUBLISHED = Appearance()


def sample_appearance(rng: np.random.Generator, setting: str) -> Appearance:
    """Draw the appearance of a scene in a setting."""
    if setting == "unseen_textures":
        floor = UNSEEN_FLOORS[rng.integers(len(UNSEEN_FLOORS))]
        return Appearance(table=str(rng.choice(TEXTURES)), floor=floor)
    if setting == "unseen_objects":
        return Appearance(blocks=tuple((color, rgba) for color, (_, rgba) in UNSEEN_BLOCKS.items()))
    if setting == "unseen_lighting":
        return Appearance(light=UNSEEN_LIGHTS[str(rng.choice(list(UNSEEN_LIGHTS)))])
    if setting == "unseen_camera":
        return Appearance(eye=_vector(rng, EYE_SHIFT), target=_vector(rng, TARGET_SHIFT))
    return PUBLISHED


def _vector(rng: np.random.Generator, lengths: tuple[float, float]) -> tuple[float, ...]:
    """In any direction, with a length between two."""
    direction = rng.standard_normal(3)
    return tuple((direction / np.linalg.norm(direction) * rng.uniform(*lengths)).tolist())
