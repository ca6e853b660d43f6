"""Which feature of a robot is which input or output of a policy."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from ...configuration.action_contract import ActionContract
from ..observation_layout import ObservationLayout
from ..observation_parts import Resize
from .interface import Robot


class RobotMapping:
    """Contract names to a robot's features: the same name, with `.pos` behind it, or what `names` says.

    Args:
        names: contract name -> feature, for those that are called otherwise.
        resize: what happens to images of another size than the contract's, see `ObservationLayout`.

    Raises:
        ValueError: listing what the robot does not have, or needs and the policy does not give.
    """

    def __init__(
        self,
        contract: ActionContract,
        robot: Robot,
        names: Mapping[str, str] | None = None,
        resize: Resize = "refuse",
    ):
        self.contract = contract
        self._names = dict(names or {})
        seen, moved = robot.observation_features, robot.action_features
        images = [key for key, feature in seen.items() if isinstance(feature, tuple)]
        numbers = [key for key, feature in seen.items() if not isinstance(feature, tuple)]
        self.cameras = self._found("camera", contract.camera_names, images)
        self.state = self._found("state", contract.state.names if contract.state is not None else (), numbers)
        self.action = self._found("action", contract.action.names, moved)
        if left := sorted(set(moved) - set(self.action.values())):
            raise ValueError(f"the robot needs {left} in every action; the policy gives {list(self.action)}.")
        self._layout = ObservationLayout.of_contract(contract, resize)

    def _found(self, kind: str, wanted: Iterable[str], features: Iterable[str]) -> dict[str, str]:
        found, features = {}, list(features)
        for name in wanted:
            candidates = [self._names[name]] if name in self._names else [name, f"{name}.pos"]
            matches = [candidate for candidate in candidates if candidate in features]
            if not matches:
                raise ValueError(f"{kind} {name!r}: the robot has no feature {candidates}; it has {sorted(features)}.")
            found[name] = matches[0]
        return found

    def observation(self, raw: Mapping[str, Any]) -> dict[str, Any]:
        """Return the policy's observation in a robot's; raises ValueError for what is not as the contract says."""
        message: dict[str, Any] = {"images": {name: raw[key] for name, key in self.cameras.items()}}
        if self.state:
            message["state"] = np.array([float(raw[key]) for key in self.state.values()])
        return self._layout.observation(message)

    def position(self, raw: Mapping[str, Any]) -> np.ndarray | None:
        """Return what the action's dimensions are now, `(action_dim,)`; None where the robot does not tell."""
        keys = list(self.action.values())
        return np.array([float(raw[key]) for key in keys]) if all(key in raw for key in keys) else None

    def command(self, action: np.ndarray) -> dict[str, float]:
        """Return an action `(action_dim,)` as the robot takes it."""
        return {key: float(value) for key, value in zip(self.action.values(), action, strict=True)}
