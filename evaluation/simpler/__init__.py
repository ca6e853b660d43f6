"""SimplerEnv's WidowX tasks (Li et al. 2024, arXiv:2405.05941) on ManiSkill 3.

Importing this package registers the Gymnasium environment "robovlms/SimplerWidowX-v0".
"""

import gymnasium

from .assets import MissingAssetsError

ENVIRONMENT_ID = "robovlms/SimplerWidowX-v0"

if ENVIRONMENT_ID not in gymnasium.registry:
    gymnasium.register(id=ENVIRONMENT_ID, entry_point=f"{__name__}.environment:SimplerWidowXEnv")

__all__ = ["ENVIRONMENT_ID", "MissingAssetsError"]
