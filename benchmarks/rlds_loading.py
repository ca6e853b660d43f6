"""Loading an RLDS folder: `RLDSDataset` against tensorflow_datasets, samples per CPU second, side by side in one run.

python benchmarks/rlds_loading.py FOLDER --tfds-python PYTHON     (one that has tensorflow-cpu and tensorflow-datasets)

Both give the same samples (windows of one camera's frames and states, chunks of actions, masks) as numpy batches, one process
each, the graph and the index made beforehand. `RLDSDataset` reads in random order and decodes each frame anew in each pass
(`cold`), or keeps decoded frames as it does in training (`warm`); tensorflow_datasets reads in the files' order.
"""

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from robovlms.data import EpisodeBlockSampler, RLDSDataset


def measure(folder: str, camera: str, window: int, chunk: int, batch_size: int, passes: int, warm: bool) -> dict:
    """Samples per second of wall and of CPU time; of `warm` passes with the frames of the first one kept."""
    dataset = RLDSDataset(folder, window, chunk, cameras=[camera])
    sampler = EpisodeBlockSampler(dataset, block_episodes=4, batch_size=batch_size)
    one_pass(dataset, sampler, batch_size)
    wall, cpu, samples = time.perf_counter(), time.process_time(), 0
    for epoch in range(passes):
        if not warm:
            dataset = RLDSDataset(folder, window, chunk, cameras=[camera])
        sampler.set_epoch(epoch)
        samples += one_pass(dataset, sampler, batch_size)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    return {"samples_per_second": samples / wall, "samples_per_cpu_second": samples / cpu, "samples": samples}


def one_pass(dataset: RLDSDataset, sampler: EpisodeBlockSampler, batch_size: int) -> int:
    """All samples in the sampler's order, in batches; returns how many."""
    order = list(sampler)
    for first in range(0, len(order), batch_size):
        batch = [dataset[index] for index in order[first : first + batch_size]]
        for key in ("state", "frame_mask", "actions", "action_mask"):
            np.stack([sample[key] for sample in batch])
        for camera in dataset.cameras:
            np.stack([sample["images"][camera] for sample in batch])
    return len(order)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder")
    parser.add_argument("--tfds-python", required=True)
    parser.add_argument("--camera", default="image_0")
    parser.add_argument("--window-size", type=int, default=8)
    parser.add_argument("--chunk-size", type=int, default=10)
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--passes", type=int, default=20)
    options = parser.parse_args()
    sizes = (options.window_size, options.chunk_size, options.batch_size, options.passes)
    found = {name: measure(options.folder, options.camera, *sizes, name == "warm") for name in ("cold", "warm")}
    script = Path(__file__).with_name("tfds_loading.py")
    command = [options.tfds_python, script, options.folder, options.camera, *map(str, sizes)]
    output = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    found["tensorflow_datasets"] = json.loads(output.splitlines()[-1])
    for name, one in found.items():
        ratio = one["samples_per_cpu_second"] / found["tensorflow_datasets"]["samples_per_cpu_second"]
        print(f"{name:20} {one['samples_per_cpu_second']:8.0f} samples per CPU second, {ratio:5.1f} times")
    print(json.dumps(found), file=sys.stderr)


if __name__ == "__main__":
    main()
