"""Simulators, each in a folder of its own: environment, suite of tasks, held-out settings, demonstrations.

Environments run in processes that have neither torch nor transformers: only the modules called `suite` and what uses
policies import more than numpy, Gymnasium and their own simulator.

Importing this package registers the environments with Gymnasium, by name alone: `gymnasium.make("robovlms/Tabletop-v0")`,
or in one step `gymnasium.make("robovlms.simulators:robovlms/Tabletop-v0")`.
"""

import gymnasium

ENVIRONMENTS = {
    "robovlms/Tabletop-v0": "tabletop.environment:TabletopEnv",
    "robovlms/Calvin-v0": "calvin.environment:CalvinEnv",
    "robovlms/MetaWorld-v0": "metaworld.environment:MetaWorldEnv",
    "robovlms/Libero-v0": "libero.environment:LiberoEnv",
    "robovlms/SimplerWidowX-v0": "simpler.environment:SimplerWidowXEnv",
}
"""Gymnasium id -> where its class is."""

for _id, _class in ENVIRONMENTS.items():
    gymnasium.register(id=_id, entry_point=f"{__name__}.{_class}")
