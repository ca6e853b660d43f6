"""Actions and observations of Meta-World: names, units, cameras."""

from dataclasses import dataclass
from typing import Literal

Rendering = Literal["default", "tuned"]

CONTROL_FREQUENCY = 80.0
"""Actions per second: five physics steps of 2.5 ms each."""
MAX_STEPS = 500
"""Actions per episode in Meta-World's protocol."""

ACTION_NAMES = ("delta_x", "delta_y", "delta_z", "grab_effort")
ACTION_UNITS = (*("1 cm",) * 3, "1 closes, -1 opens")
"""What an action of 1 means. The effort is a force, not an on/off command: experts hold with values in between."""
STATE_NAMES = ("x", "y", "z", "opening")
STATE_UNITS = (*("m",) * 3, "1 open, 0 closed")
PRIVILEGED_SIZE = 39
"""Length of Meta-World's own observation, goal included."""


@dataclass(frozen=True)
class Camera:
    """One of Meta-World's cameras; `upside_down` ones are mounted so, and their images are turned by 180 degrees here."""

    name: str
    upside_down: bool = False


CAMERAS: dict[str, Camera] = {
    camera.name: camera
    for camera in (
        Camera("topview"),
        Camera("corner", upside_down=True),
        Camera("corner2", upside_down=True),
        Camera("corner3", upside_down=True),
        Camera("corner4", upside_down=True),
        Camera("behindGripper"),
        Camera("gripperPOV"),
    )
}
"""By name. "corner4" stands where LeRobot's environment moves "corner2" to."""
