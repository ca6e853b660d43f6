"""Observations made up from a contract, to try a policy without a robot."""

from typing import Any

import numpy as np

from ..configuration.action_contract import ActionContract


def random_observation(contract: ActionContract, seed: int = 0) -> dict[str, Any]:
    """Noise images of every camera and, where the contract has one, a state inside the statistics' range."""
    rng = np.random.default_rng(seed)
    images = {
        camera.name: rng.integers(0, 256, (camera.height, camera.width, 3), dtype=np.uint8)
        for camera in contract.cameras
    }
    observation: dict[str, Any] = {"images": images}
    if contract.state is not None:
        statistics = contract.state.statistics
        low, high = (statistics.min, statistics.max) if statistics else (-1.0, 1.0)
        observation["state"] = rng.uniform(low, high, contract.state.dim).astype(np.float32)
    return observation
