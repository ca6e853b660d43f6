"""SimplerEnv's WidowX tasks (Li et al. 2024, arXiv:2405.05941) on ManiSkill 3.

The Gymnasium environment is "robovlms/SimplerWidowX-v0".
"""

from .assets import MissingAssetsError

__all__ = ["MissingAssetsError"]
