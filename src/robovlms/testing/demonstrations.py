"""Random demonstrations, for tests that need a dataset on disk and no simulator."""

from pathlib import Path

import numpy as np

from robovlms.data import LeRobotWriter

ACTION_NAMES = ("x", "y", "z", "roll", "pitch", "yaw", "gripper")


def write_demonstrations(folder: str | Path, lengths: tuple[int, ...] = (9, 12, 7, 11), seed: int = 0) -> Path:
    """Episodes of one 32 x 32 camera, a two-dimensional state and seven action dimensions."""
    random = np.random.default_rng(seed)
    names = {"state": ["s0", "s1"], "action": list(ACTION_NAMES)}
    with LeRobotWriter(Path(folder), fps=10, robot_type="arm", names=names) as writer:
        for number, length in enumerate(lengths):
            action = random.uniform(-1, 1, (length, 7)).astype(np.float32)
            action[:, 6] = random.choice([-1, 1], length)
            columns = {
                "images": {"front": random.integers(0, 256, (length, 32, 32, 3), dtype=np.uint8)},
                "state": random.normal(size=(length, 2)).astype(np.float32),
                "action": action,
            }
            writer.add_episode(columns, task=["push the block", "open the drawer"][number % 2])
    return Path(folder)
