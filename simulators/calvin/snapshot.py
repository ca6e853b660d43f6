"""What the task detectors look at: the scene at one moment."""

from dataclasses import dataclass

import numpy as np

Contact = tuple[str, str]
"""(body, link): "robot", "table", "floor" or a block's colour, and the link's name."""


@dataclass(frozen=True)
class Block:
    """One block.

    Attributes:
        position: (3,) metres.
        orientation: quaternion (4,), x, y, z, w.
        velocity: linear (m/s) and angular (rad/s), (6,).
        contacts: what it touches.
    """

    position: np.ndarray
    orientation: np.ndarray
    velocity: np.ndarray
    contacts: frozenset[Contact]

    @property
    def bodies(self) -> frozenset[str]:
        """The bodies that it touches."""
        return frozenset(body for body, _ in self.contacts)

    @property
    def resting(self) -> bool:
        """Whether no component of its velocity reaches 1 m/s or 1 rad/s."""
        return bool((np.abs(self.velocity) < 1).all())


@dataclass(frozen=True)
class Snapshot:
    """The scene at one moment.

    Attributes:
        slide, drawer: how far each door is moved (metres).
        lightbulb, led: whether it is on.
        blocks: by colour.
        robot_touches: the bodies that the robot touches.
    """

    slide: float
    drawer: float
    lightbulb: bool
    led: bool
    blocks: dict[str, Block]
    robot_touches: frozenset[str]
