"""How far each task of Meta-World can be done blindly: one expert's actions replayed where things stand elsewhere.

    python benchmarks/metaworld_blind.py [--trials 10] [--recordings 10]

For each task, the actions of `recordings` expert episodes are replayed on `trials` other seeds, without looking. The best
recording's share of successes is a lower bound of what a policy reaches that ignores its images.
"""

import argparse

import numpy as np

from robovlms.simulators.metaworld.environment import TASKS, MetaWorldEnv
from robovlms.simulators.metaworld.experts import expert_action

FIRST_RECORDING = 2**32


def record(env: MetaWorldEnv, task: str, seed: int) -> tuple[list[np.ndarray], bool]:
    """An expert's actions, and whether they succeeded."""
    observation, info = env.reset(seed=seed, options={"task": task})
    actions, over = [], False
    while not over:
        actions.append(expert_action(observation))
        observation, _, terminated, truncated, info = env.step(actions[-1])
        over = terminated or truncated
    return actions, info["success"]


def replay(env: MetaWorldEnv, task: str, seed: int, actions: list[np.ndarray]) -> bool:
    """Whether the actions succeed from another seed."""
    env.reset(seed=seed, options={"task": task})
    return any(env.step(action)[2] for action in actions)  # stops at the first success


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", nargs="+", default=TASKS)
    parser.add_argument("--trials", type=int, default=10)
    parser.add_argument("--recordings", type=int, default=10)
    options = parser.parse_args()
    env = MetaWorldEnv(options.tasks, cameras=(), privileged=True)
    for task in options.tasks:
        recordings = [record(env, task, FIRST_RECORDING + number) for number in range(options.recordings)]
        shares = [
            np.mean([replay(env, task, seed, actions) for seed in range(options.trials)])
            for actions, success in recordings
            if success
        ]
        print(f"{task:30} best {max(shares):4.0%}   mean {np.mean(shares):4.0%}", flush=True)
    env.close()


if __name__ == "__main__":
    main()
