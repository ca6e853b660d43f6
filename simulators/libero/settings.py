"""Looks and words that LIBERO's demonstrations do not have. LIBERO-PRO's own perturbations are benchmarks of their own."""

import re
from collections.abc import Callable
from typing import Any

import numpy as np

LIGHTS = ((0.35, 0.35, 0.42), (1.0, 0.75, 0.5), (0.5, 0.7, 1.0))
"""Colour by which both lamps' light is multiplied."""
SURFACES = ((0.45, 0.65, 0.45), (0.65, 0.5, 0.75), (0.8, 0.6, 0.45), (0.4, 0.45, 0.5))
"""Colour by which table, floor and walls are multiplied."""
VERBS = (
    ("pick up", "grab"),
    ("place it", "set it down"),
    ("put", "move"),
    ("push", "shove"),
    ("open", "pull open"),
    ("close", "shut"),
    ("turn on", "switch on"),
    ("turn off", "switch off"),
)


def light(model: Any, rng: np.random.Generator) -> None:
    """Dimmer or coloured lamps."""
    colour = LIGHTS[rng.integers(len(LIGHTS))]
    for values in (model.light_diffuse, model.light_ambient, model.light_specular):
        values[:] *= colour
    model.vis.headlight.diffuse[:] *= colour
    model.vis.headlight.ambient[:] *= colour


def camera(model: Any, rng: np.random.Generator) -> None:
    """The outer camera moved by 4 to 8 cm."""
    direction = rng.normal(size=3)
    number = next(i for i in range(model.ncam) if model.camera(i).name == "agentview")
    model.cam_pos[number] += direction / np.linalg.norm(direction) * rng.uniform(0.04, 0.08)


def surfaces(model: Any, rng: np.random.Generator) -> None:
    """Table, floor and walls in another colour."""
    colour = np.array([*SURFACES[rng.integers(len(SURFACES))], 1.0])
    for number in range(model.ngeom):
        name = model.geom(number).name
        if name.startswith(("wall", "floor")) or "table" in name:
            model.geom_rgba[number] *= colour
            material = model.geom_matid[number]
            if material >= 0:
                model.mat_rgba[material] = np.minimum(model.mat_rgba[material], colour)


LOOKS: dict[str, Callable[[Any, np.random.Generator], None]] = {
    "unseen_lighting": light,
    "unseen_camera": camera,
    "unseen_surfaces": surfaces,
}
"""Setting -> what it changes in MuJoCo's model."""
SETTINGS = ("seen", *LOOKS, "unseen_paraphrases")


def paraphrase(sentence: str) -> str:
    """Return the sentence with other verbs."""
    for known, other in VERBS:
        sentence = re.sub(rf"\b{known}\b", other, sentence, flags=re.IGNORECASE)
    return sentence
