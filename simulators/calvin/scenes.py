"""The four published scenes: which blocks lie on which table, and where blocks are put at random."""

from dataclasses import dataclass

Box = tuple[tuple[float, float], tuple[float, float]]
"""((x, y) of one corner, (x, y) of the opposite one), metres."""


@dataclass(frozen=True)
class Scene:
    """One scene.

    Attributes:
        table: letter of the table's model.
        blocks: colour -> size ("small", "middle", "big"), in the order of `scene_obs` and of loading.
        surfaces: "table", "slider_left", "slider_right" -> where on it a block may be put at random.
        fixed: colour -> (position, yaw): where a block always starts, instead.
    """

    table: str
    blocks: dict[str, str]
    surfaces: dict[str, Box]
    fixed: dict[str, tuple[tuple[float, float, float], float]] | None = None


SURFACE_HEIGHT = 0.46
"""z at which blocks are put at random (metres)."""

_D_BLOCKS = {"red": "middle", "blue": "small", "pink": "big"}
_D_SURFACES: dict[str, Box] = {
    "table": ((0.0, -0.15), (0.35, -0.03)),
    "slider_left": ((-0.32, 0.05), (-0.16, 0.12)),
    "slider_right": ((-0.05, 0.05), (0.13, 0.12)),
}

SCENES = {
    "A": Scene(
        "A",
        {"pink": "small", "blue": "big", "red": "middle"},
        {
            "table": ((-0.2, -0.15), (0.35, -0.03)),
            "slider_left": ((-0.32, 0.05), (-0.16, 0.12)),
            "slider_right": ((-0.05, 0.05), (0.13, 0.12)),
        },
    ),
    "B": Scene(
        "B",
        {"red": "small", "blue": "big", "pink": "middle"},
        {
            "table": ((-0.35, -0.15), (0.15, -0.03)),
            "slider_left": ((-0.12, 0.05), (0.06, 0.12)),
            "slider_right": ((0.15, 0.05), (0.33, 0.12)),
        },
    ),
    "C": Scene(
        "C",
        {"blue": "small", "red": "big", "pink": "middle"},
        {
            "table": ((0.0, -0.15), (0.35, -0.03)),
            "slider_left": ((-0.12, 0.05), (0.06, 0.12)),
            "slider_right": ((0.15, 0.05), (0.3, 0.12)),
        },
    ),
    "D": Scene("D", _D_BLOCKS, _D_SURFACES),
    "D_eval": Scene(
        "D",
        _D_BLOCKS,
        _D_SURFACES,
        fixed={
            "red": ((0.05, -0.12, 0.46), 1.57),
            "blue": ((0.23, -0.12, 0.46), 0.0),
            "pink": ((0.10, 0.08, 0.46), 1.57),
        },
    ),
}


def get_scene(name: str) -> Scene:
    """Return the scene of that name.

    Raises:
        ValueError: there is none; the message lists those that exist.
    """
    if name not in SCENES:
        raise ValueError(f"scene: unknown {name!r}, CALVIN has {', '.join(SCENES)}")
    return SCENES[name]
