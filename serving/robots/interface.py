"""LeRobot's `Robot`, as far as it is used here. LeRobot itself is not needed."""

from typing import Any, Protocol


class Robot(Protocol):
    """`lerobot.robots.Robot`, or anything like it.

    Features are flat: a name and `float`, or a name and an image's `(height, width, 3)`.
    """

    @property
    def observation_features(self) -> dict[str, Any]: ...

    @property
    def action_features(self) -> dict[str, Any]: ...

    @property
    def is_connected(self) -> bool: ...

    def connect(self, calibrate: bool = True) -> None: ...

    def get_observation(self) -> dict[str, Any]: ...

    def send_action(self, action: dict[str, Any]) -> dict[str, Any]: ...

    def disconnect(self) -> None: ...
