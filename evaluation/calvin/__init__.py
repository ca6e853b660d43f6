"""CALVIN: language-conditioned manipulation over long horizons, on PyBullet and the published assets.

Importing this package registers the Gymnasium environment "robovlms/Calvin-v0".
"""

import gymnasium

from .assets import MissingAssetsError

ENVIRONMENT_ID = "robovlms/Calvin-v0"

if ENVIRONMENT_ID not in gymnasium.registry:
    gymnasium.register(id=ENVIRONMENT_ID, entry_point=f"{__name__}.environment:CalvinEnv")

__all__ = ["ENVIRONMENT_ID", "MissingAssetsError"]
