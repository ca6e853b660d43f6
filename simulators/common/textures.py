"""Patterns for tables and floors of the settings "unseen_textures", computed, so that no file is needed."""

import numpy as np

SIZE = 128
"""Width and height (pixels)."""


def _wood(y: np.ndarray, x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    rings = np.sin(x / 5 + 2 * np.sin(y / 27) + 0.8 * np.sin(y / 9 + x / 31))
    planks = np.where(x % 32 < 1, 0.55, 1.0)
    return (np.array([0.62, 0.43, 0.26]) + 0.07 * rings[..., None] * np.array([1, 0.8, 0.6])) * planks[..., None]


def _granite(y: np.ndarray, x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    speckles = rng.choice([0.3, 0.5, 0.62, 0.85], y.shape, p=[0.15, 0.35, 0.4, 0.1])
    return speckles[..., None] * np.array([0.98, 0.97, 1.0])


def _cloth(y: np.ndarray, x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    across, along = (x % 32 < 12), (y % 32 < 12)
    shade = 0.88 - 0.3 * (across.astype(float) + along) / 2
    return shade[..., None] * np.array([0.75, 0.9, 1.0])


def _tiles(y: np.ndarray, x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    tone = rng.uniform(0.42, 0.6, (4, 4))[y // 32, x // 32]
    grout = (x % 32 < 2) | (y % 32 < 2)
    return np.where(grout[..., None], 0.85, tone[..., None] * np.array([0.85, 1.0, 0.9]))


_PATTERNS = {"wood": _wood, "granite": _granite, "cloth": _cloth, "tiles": _tiles}
TEXTURES = tuple(_PATTERNS)
"""Names of the patterns."""


def draw_texture(name: str) -> np.ndarray:
    """Draw the pattern of that name, uint8 (128, 128, 3)."""
    y, x = np.mgrid[:SIZE, :SIZE]
    values = _PATTERNS[name](y, x, np.random.default_rng(0))
    return (255 * np.clip(values, 0, 1)).astype(np.uint8)
