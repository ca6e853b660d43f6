"""LeRobot's own loader on a folder, for data_loading.py: prints samples per second of wall and CPU time as JSON.

python lerobot_loading.py FOLDER WORKERS BATCH_SIZE     (with an interpreter that has lerobot)
"""

import json
import resource
import sys
import time

import torch
from lerobot.datasets.lerobot_dataset import LeRobotDataset, LeRobotDatasetMetadata
from torch.utils.data import DataLoader


def cpu_seconds() -> float:
    """User and system time of this process and its finished children."""
    usages = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def main(folder: str, workers: int, batch_size: int, most: int = 240) -> None:
    torch.set_num_threads(1)
    metadata = LeRobotDatasetMetadata("benchmark/data", root=folder)
    history = [-step / metadata.fps for step in range(7, -1, -1)]
    deltas = {key: history for key in [*metadata.camera_keys, "observation.state"] if key in metadata.features}
    deltas["action"] = [step / metadata.fps for step in range(10)]
    dataset = LeRobotDataset("benchmark/data", root=folder, delta_timestamps=deltas, video_backend="pyav")
    wall, cpu, samples = time.perf_counter(), cpu_seconds(), 0
    subset = torch.utils.data.Subset(dataset, torch.randperm(len(dataset))[:most].tolist())
    loader = DataLoader(subset, batch_size, shuffle=True, num_workers=workers)
    for batch in loader:
        samples += len(batch["action"])
    del loader
    wall, cpu = time.perf_counter() - wall, cpu_seconds() - cpu
    print(json.dumps({"samples_per_second": samples / wall, "samples_per_cpu_second": samples / cpu, "origin": "run"}))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
