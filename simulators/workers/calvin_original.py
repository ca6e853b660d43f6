# pyright: reportMissingImports=false
# (the simulator's own Python has them)
"""The original CALVIN, in its own Python 3.8, against a policy server.

    robovlms serve me/my_vla                                                  # here: today's Python
    python calvin_original.py --output results --dataset calvin_debug_dataset     # there: CALVIN's
    robovlms eval-record results                                              # here: record and report

It takes scene, cameras and renderer from the dataset's `validation` folder, and chains, states, sentences and detectors
from calvin_agent, so that everything but the policy is the original's.
"""

from __future__ import annotations

import os
from typing import Any

import numpy as np
from episode_worker import Episode, arguments, check_contract, connect, main, run, versions

CONTROL_FREQUENCY = 30.0
ACTION_DIM = 7
MAX_STEPS = 360
CHAINS = 1000


class OriginalCalvin:
    """The environment of `episode_worker`, over calvin_env's."""

    def __init__(self, dataset: str):
        self.dataset = dataset
        self.instruction = ""
        self._env: Any = None
        self._task, self._start = "", {}

    def restart(self) -> None:
        import calvin_agent
        import hydra
        from calvin_env.envs.play_table_env import get_env
        from omegaconf import OmegaConf

        if self._env is not None:
            self._env.close()
        self._env = get_env(os.path.join(self.dataset, "validation"), show_gui=False)
        conf = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(str(calvin_agent.__file__)))), "conf")
        tasks = OmegaConf.load(os.path.join(conf, "callbacks/rollout/tasks/new_playtable_tasks.yaml"))
        self._oracle = hydra.utils.instantiate(tasks)
        self._sentences = OmegaConf.load(os.path.join(conf, "annotations/new_playtable_validation.yaml"))

    def reset(self, episode: Episode) -> dict[str, Any]:
        from calvin_agent.evaluation.utils import get_env_state_for_initial_condition

        robot_obs, scene_obs = get_env_state_for_initial_condition(episode.options["condition"])
        self._env.reset(robot_obs=robot_obs, scene_obs=scene_obs)
        self.begin(episode.tasks[0])
        return observation(self._env.get_obs())

    def begin(self, task: str) -> None:
        self._task, self.instruction = task, str(self._sentences[task][0])
        self._start = self._env.get_info()

    def step(self, action: np.ndarray) -> tuple[dict[str, Any], bool]:
        action = np.asarray(action, np.float64)
        action = np.append(action[:6], 1 if action[6] > 0 else -1)
        seen, _, _, info = self._env.step(action)
        done = self._oracle.get_task_info_for_set(self._start, info, {self._task})
        return observation(seen), len(done) > 0


def observation(seen: dict[str, Any]) -> dict[str, Any]:
    images = {camera: np.ascontiguousarray(seen["rgb_obs"]["rgb_" + camera]) for camera in ("static", "gripper")}
    return {"images": images, "state": np.asarray(seen["robot_obs"], np.float32)}


def published(count: int) -> list[Episode]:
    """Return the first `count` of the published chains; to draw them takes the original some minutes."""
    from calvin_agent.evaluation.multistep_sequences import get_sequences

    return [
        Episode([str(task) for task in tasks], number, MAX_STEPS, {"condition": dict(condition)})
        for number, (condition, tasks) in enumerate(get_sequences(CHAINS)[:count])
    ]


def work() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--dataset", required=True, help="a CALVIN dataset; its validation/.hydra says which scene")
    parser.add_argument("--chains", type=int, default=CHAINS, help="the first so many of the published 1000")
    options = parser.parse_args()
    if not os.path.isdir(os.path.join(options.dataset, "validation", ".hydra")):
        raise SystemExit(f"--dataset: {options.dataset} holds no validation/.hydra")
    if not 0 < options.chains <= CHAINS:
        raise SystemExit(f"--chains must be 1 to {CHAINS}, got {options.chains}")
    policy = connect(options)
    check_contract(policy, CONTROL_FREQUENCY, ACTION_DIM, {"mode": "delta"})
    about = {
        "suite": "calvin",
        "suite_version": "the original environment",
        "suite_facts": {"scene": "that of the dataset's validation folder"},
        "control_frequency": CONTROL_FREQUENCY,
        "versions": versions("pybullet", "calvin_env", "calvin", "hydra-core"),
    }
    run(OriginalCalvin(options.dataset), published(options.chains), policy, options, about)


if __name__ == "__main__":
    main(work)
