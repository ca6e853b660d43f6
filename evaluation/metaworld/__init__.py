"""Meta-World: fifty tasks of a Sawyer arm on MuJoCo, with scripted experts; needs the extra `metaworld`.

Importing this package registers the Gymnasium environment "robovlms/MetaWorld-v0".
"""

import gymnasium

ENVIRONMENT_ID = "robovlms/MetaWorld-v0"

if ENVIRONMENT_ID not in gymnasium.registry:
    gymnasium.register(id=ENVIRONMENT_ID, entry_point=f"{__name__}.environment:MetaWorldEnv")

__all__ = ["ENVIRONMENT_ID"]
