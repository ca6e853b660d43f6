"""Where blocks are put when nobody says where."""

import numpy as np
from numpy.typing import ArrayLike

from .scenes import SURFACE_HEIGHT, Scene

Pose = tuple[ArrayLike, ArrayLike]
"""Position and Euler angles."""

LOADING_SEED = 0


def random_poses(scene: Scene, generator: np.random.Generator) -> list[Pose]:
    """Return a pose for each block of a scene: a surface, a place on it, any yaw; or the scene's fixed starts."""
    if scene.fixed is not None:
        return [(position, (0.0, 0.0, yaw)) for position, yaw in (scene.fixed[color] for color in scene.blocks)]
    poses: list[Pose] = []
    for _ in scene.blocks:
        low, high = scene.surfaces[str(generator.choice(list(scene.surfaces)))]
        position = generator.uniform((*low, SURFACE_HEIGHT), (*high, SURFACE_HEIGHT))
        poses.append((position, (0.0, 0.0, generator.uniform(-np.pi, np.pi))))
    return poses


def loading_poses(scene: Scene) -> list[Pose]:
    """Return where blocks are when they are loaded, before any reset.

    It matters to the last bits: where bodies first were decides in which order Bullet solves their contacts. With this
    seed, the original's recorded trajectories come out exactly.
    """
    return random_poses(scene, np.random.default_rng(LOADING_SEED))
