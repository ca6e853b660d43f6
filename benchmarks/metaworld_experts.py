"""Demonstrations of Meta-World's scripted experts as a LeRobotDataset without cameras, for fast_tokenizer.py.

    pip install metaworld "mujoco<3.4"
    python benchmarks/metaworld_experts.py FOLDER [--episodes 30]

Ten tasks (reaching, pushing, grasping, doors, drawers, buttons, windows, peg insertion) with random object positions.
An action is the wanted displacement of the hand, three values in [-1, 1], and the gripper's closing force, 80 times a
second; every second one is kept (40 Hz). Noise of 5 % is added to what is executed, as the experts' authors do, not to
what is recorded. Episodes end one second after success; those without success are left out, and counted.
"""

import argparse
from pathlib import Path

import gymnasium
import metaworld  # noqa: F401  (registers its environments)
import numpy as np
from metaworld.policies import ENV_POLICY_MAP
from tqdm import tqdm

from robovlms.data import LeRobotWriter

TASKS = (
    *("reach-v3", "push-v3", "pick-place-v3", "door-open-v3", "drawer-open-v3", "drawer-close-v3"),
    *("button-press-topdown-v3", "peg-insert-side-v3", "window-open-v3", "window-close-v3"),
)
KEPT, HERTZ, NOISE = 2, 80, 0.05
ACTION_NAMES = ["x", "y", "z", "gripper"]


def demonstration(environment, expert, seed: int, random: np.random.Generator) -> dict | None:
    """One episode's states (frames, 4) and actions (frames, 4); None where the expert did not succeed."""
    observation, _ = environment.reset(seed=seed)
    states, actions, left = [], [], None
    while left != 0:
        action = np.clip(expert.get_action(observation), -1, 1)
        states.append(observation[:4])
        actions.append(action)
        executed = np.clip(action + random.normal(0, NOISE, action.shape), -1, 1)
        observation, _, terminated, truncated, info = environment.step(executed.astype(np.float32))
        if left is None and info["success"]:
            left = HERTZ
        elif left is not None:
            left -= 1
        if terminated or truncated:
            break
    return None if left is None else {"state": np.array(states)[::KEPT], "action": np.array(actions)[::KEPT]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--episodes", type=int, default=30, help="of each task")
    options = parser.parse_args()
    names = {"action": ACTION_NAMES, "state": ["x", "y", "z", "gripper"]}
    random, failed = np.random.default_rng(0), 0
    with LeRobotWriter(options.folder, HERTZ / KEPT, "sawyer", names=names) as writer:
        for task in TASKS:
            environment = gymnasium.make("Meta-World/MT1", env_name=task, seed=0)
            expert = ENV_POLICY_MAP[task]()
            for number in tqdm(range(options.episodes), desc=task):
                episode = demonstration(environment, expert, number, random)
                if episode is None:
                    failed += 1
                else:
                    writer.add_episode(episode, task.removesuffix("-v3").replace("-", " "))
        print(f"{writer.num_episodes} episodes, {writer.num_frames} frames; {failed} without success left out")


if __name__ == "__main__":
    main()
