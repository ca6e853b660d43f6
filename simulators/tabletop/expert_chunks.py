"""The scripted expert as a policy that predicts chunks: it plays the future out in a copy of the scene."""

import copy
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ...configuration.action_contract import ActionContract, CameraSpec, GripperSpec, VectorSpec
from .environment import TabletopEnv, unwrap
from .expert import expert_policy
from .interface import ACTION_NAMES, ACTION_UNITS, CONTROL_FREQUENCY, STATE_NAMES, STATE_UNITS


def tabletop_contract(chunk_size: int, n_action_steps: int, image_size: int = 64) -> ActionContract:
    """Return the tabletop's action contract, for policies that are not trained on a dataset of it."""
    return ActionContract(
        embodiment="tabletop",
        action=VectorSpec(ACTION_NAMES, ACTION_UNITS, normalization="none"),
        state=VectorSpec(STATE_NAMES, STATE_UNITS, normalization="none"),
        cameras=(CameraSpec("static", image_size, image_size),),
        control_frequency=CONTROL_FREQUENCY,
        chunk_size=chunk_size,
        n_action_steps=n_action_steps,
        grippers=(GripperSpec(ACTION_NAMES.index("gripper"), 1.0, -1.0),),
        rotation="euler_xyz",
        frame="world",
        mode="delta",
    )


class ExpertChunks:
    """A chunk source (see `robovlms.serving.realtime`) that knows the whole scene.

    Observations must carry `"scene"`, from `snapshot()`, because chunks may be asked for from another thread while the
    environment moves on. `running` and `delay` are minded as a perfect policy would: what will be executed before the
    chunk arrives is played out first.
    """

    def __init__(self, env: TabletopEnv, chunk_size: int = 10, n_action_steps: int = 4):
        self.env = unwrap(env)
        self.contract, self.guided = tabletop_contract(chunk_size, n_action_steps), True

    def reset(self) -> None:
        """Begin an episode; nothing to forget."""

    def snapshot(self) -> Any:
        """Return a copy of the scene in motion."""
        twin = copy.copy(self.env._simulation)
        twin.model, twin.data = copy.deepcopy(twin.model), copy.deepcopy(twin.data)
        twin._renderer = None
        return twin

    def predict(
        self,
        observation: Mapping[str, Any],
        instruction: str,
        history: Sequence[Any] = (),
        running: np.ndarray | None = None,
        delay: int = 0,
    ) -> np.ndarray:
        """Return the expert's next actions, `(chunk, 7)`."""
        scene, task = observation["scene"], self.env.task
        known = [] if running is None else list(running[:delay])
        chunk = []
        for step in range(self.contract.chunk_size):
            action = known[step] if step < len(known) else expert_policy(task, scene.state)
            scene.apply(np.asarray(action, dtype=np.float64))
            chunk.append(action)
        return np.stack(chunk).astype(np.float32)
