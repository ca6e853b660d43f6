"""Data loading speed: history 8, chunk 10, all cameras, shuffled, in worker processes.

    python benchmarks/data_loading.py --folder DIR --json FILE

Wall time depends on what else the machine does; samples per CPU second (all processes summed) does not, much. With
`lerobot` importable its loader runs on the same folder and is printed beside ours, else its stored figure is.
"""

import argparse
import importlib.util
import json
import os
import resource
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import torch
from torch.utils.data import DataLoader

from robovlms.data import EpisodeBlockSampler, LeRobotDataset, ReusedBuffers

# LeRobot 0.6.1 (AV1 through PyAV and torchcodec) on a folder of 20 x 100 frames, two 224 x 224 cameras: 15-22.
STORED_LEROBOT = {"samples_per_cpu_second": [15, 22], "origin": "stored: LeRobot 0.6.1, EPYC Milan, 1 thread"}


class Counted(torch.utils.data.Dataset):
    """Samples with the number of frames that this process has decoded so far."""

    def __init__(self, dataset: LeRobotDataset):
        self.dataset = dataset

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> dict:
        sample = self.dataset[index]
        return sample | {"frames_decoded": self.dataset.frames_decoded}


class PeakMemory(threading.Thread):
    """Largest memory of this process and its children together, in MiB: what they have written, shared between them
    or not, counted once, and every page of a file (library, table) that any of them has in memory, counted once and in
    full, although other programs may use it, too."""

    def __init__(self, interval: float = 0.5):
        super().__init__(daemon=True)
        self.interval, self.peak, self._stop_now = interval, 0.0, threading.Event()

    def run(self) -> None:
        while not self._stop_now.wait(self.interval):
            self.peak = max(self.peak, self._kib() / 1024)

    def stop(self) -> float:
        self._stop_now.set()
        self.join()
        return self.peak

    def _kib(self) -> int:
        written, files = 0, {}
        for process in [os.getpid(), *self._children()]:
            try:
                lines = Path(f"/proc/{process}/smaps").read_text().splitlines()
                summary = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()
            except OSError:  # it has just ended
                continue
            written += sum(int(line.split()[1]) for line in summary if line.startswith(("Pss_Anon:", "Pss_Shmem:")))
            for mapping, pages in self._file_pages(lines):
                files[mapping] = max(files.get(mapping, 0), pages)
        return written + sum(files.values())

    @staticmethod
    def _file_pages(lines: list[str]) -> Iterator[tuple[tuple[str, str], int]]:
        """((file, offset), KiB in memory that are still the file's own) of each mapping of /proc/PID/smaps."""
        mapping, resident = ("", ""), 0
        for line in lines:
            if line.startswith("Rss:"):
                resident = int(line.split()[1])
            elif line.startswith("Anonymous:") and mapping[0].startswith("/") and "/dev/shm" not in mapping[0]:
                yield mapping, resident - int(line.split()[1])
            elif not line[0].isupper():
                _, _, offset, _, _, *file = line.split(maxsplit=5)
                mapping = (file[0] if file else "", offset)

    @staticmethod
    def _children() -> list[int]:
        tasks = Path("/proc/self/task")
        return [int(pid) for task in tasks.iterdir() for pid in (task / "children").read_text().split()]


def cpu_seconds() -> float:
    """User and system time of this process and its finished children."""
    usages = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def measure(folder: str, workers: int, batch_size: int, epochs: int, cache_mib: int) -> dict:
    """One dict of figures for our loader; workers start and end inside the measured time."""
    torch.set_num_threads(1)
    dataset = LeRobotDataset(folder, window_size=8, chunk_size=10, cache_bytes=cache_mib * 2**20)
    sampler = EpisodeBlockSampler(dataset, seed=0, streams=max(1, workers), batch_size=batch_size)
    memory = PeakMemory()
    memory.start()
    wall, cpu, samples, decoded = time.perf_counter(), cpu_seconds(), 0, 0
    for epoch in range(epochs):
        sampler.set_epoch(epoch)
        loader = DataLoader(
            Counted(dataset),
            batch_size,
            sampler=sampler,
            num_workers=workers,
            collate_fn=ReusedBuffers(),
            prefetch_factor=2 if workers else None,
        )
        per_worker: dict[int, int] = {}
        for number, batch in enumerate(loader):
            samples += len(batch["actions"])
            worker = number % workers if workers else 0
            per_worker[worker] = max(per_worker.get(worker, 0), max(batch["frames_decoded"]))
        decoded += sum(per_worker.values())
        del loader
    wall, cpu = time.perf_counter() - wall, cpu_seconds() - cpu
    return {
        "samples_per_second": samples / wall,
        "samples_per_cpu_second": samples / cpu,
        "peak_mib": memory.stop(),
        "frames_decoded_per_sample": decoded / samples,
        "samples": samples,
        "workers": workers,
        "batch_size": batch_size,
        "cache_mib": cache_mib,
    }


def lerobot_rate(folder: str, workers: int, batch_size: int, python: str) -> dict:
    """LeRobot's own loader on the same folder, in its own interpreter; the stored figure where there is none."""
    if python == sys.executable and importlib.util.find_spec("lerobot") is None:
        return STORED_LEROBOT
    script = Path(__file__).with_name("lerobot_loading.py")
    command = [python, str(script), folder, str(workers), str(batch_size)]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", required=True, help="a LeRobotDataset folder or Hub id")
    parser.add_argument("--json", help="file for the figures")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--cache-mib", type=int, default=32, help="decoded frames kept by each worker")
    parser.add_argument("--lerobot-python", default=sys.executable, help="interpreter that can import lerobot")
    arguments = parser.parse_args()
    figures = measure(arguments.folder, arguments.workers, arguments.batch_size, arguments.epochs, arguments.cache_mib)
    figures["lerobot"] = lerobot_rate(
        arguments.folder, arguments.workers, arguments.batch_size, arguments.lerobot_python
    )
    text = json.dumps(figures, indent=2)
    print(text)
    if arguments.json:
        Path(arguments.json).write_text(text + "\n")


if __name__ == "__main__":
    main()
