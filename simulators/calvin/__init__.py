"""CALVIN: language-conditioned manipulation over long horizons, on PyBullet and the published assets.

The Gymnasium environment is "robovlms/Calvin-v0".
"""

from .assets import MissingAssetsError

__all__ = ["MissingAssetsError"]
