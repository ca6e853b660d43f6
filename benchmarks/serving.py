"""Requests per second of a policy server: one client at a time against several at once, whose requests are batched.

    python benchmarks/serving.py [--clients 8] [--seconds 5] [--repeats 3] [--json FILE] [--backbone smolvlm]

Server and clients share this machine, and each client is a process of its own. Rounds of both kinds alternate; the ratio is
of the medians. `--soak SECONDS` runs the clients at once for so long and checks every answer against the one that the
policy gives alone.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import torch

from robovlms import ActionContract, CameraSpec, OneStepContinuousVLA, RoboVLMProcessor, VectorSpec
from robovlms.serving import ChunkPredictor, PolicyServer
from robovlms.serving.background import in_background
from robovlms.training.scratch_backbone import write_scratch_backbone

CLIENT = """
import json, sys, time
import numpy as np
sys.path.insert(0, sys.argv[1])
from client import PolicyClient
port, seconds, seed, size = int(sys.argv[2]), float(sys.argv[3]), int(sys.argv[4]), int(sys.argv[5])
random = np.random.default_rng(seed)
images = random.integers(0, 256, (4, size, size, 3), dtype=np.uint8)
with PolicyClient(port=port) as policy:
    wanted = [policy.infer({"observation/image": image, "prompt": "push"})["actions"] for image in images]
    print("ready", flush=True)
    sys.stdin.readline()
    latencies, batches, worst, end = [], [], 0.0, time.monotonic() + seconds
    while time.monotonic() < end:
        number = len(latencies) % 4
        start = time.perf_counter()
        result = policy.infer({"observation/image": images[number], "prompt": "push"})
        latencies.append(1000 * (time.perf_counter() - start))
        batches.append(result["server_timing"]["batch_size"])
        worst = max(worst, float(np.abs(result["actions"] - wanted[number]).max()))
print(json.dumps({"count": len(latencies), "latencies": latencies, "batches": batches, "worst": worst}))
"""


def build(folder: Path, size: int) -> ChunkPredictor:
    """A scratch backbone as quickstart trains it, with random weights."""
    sentences = ["push", "pick up the red block"]
    backbone = write_scratch_backbone(folder, sentences, image_size=size)
    contract = ActionContract(
        embodiment="arm",
        action=VectorSpec(tuple("xyzabcg"), normalization="none"),
        cameras=(CameraSpec("front", size, size),),
        control_frequency=20.0,
        chunk_size=10,
    )
    torch.manual_seed(0)
    vla = OneStepContinuousVLA.from_backbone(str(backbone), contract)
    return ChunkPredictor(vla, RoboVLMProcessor.from_backbone(str(backbone), contract))


def drive(port: int, clients: int, seconds: float, size: int) -> list[dict]:
    """What `clients` processes see that begin together."""
    serving = Path(__file__).parent.parent / "serving"
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", CLIENT, *map(str, (serving, port, seconds, seed, size))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for seed in range(clients)
    ]
    for process in processes:
        assert process.stdout is not None and process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    results = [json.loads(process.communicate()[0]) for process in processes]
    assert all(process.returncode == 0 for process in processes)
    return results


def rate(results: list[dict], seconds: float) -> float:
    return sum(result["count"] for result in results) / seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--image-size", type=int, default=64)
    parser.add_argument("--soak", type=float, default=0.0)
    parser.add_argument("--json", type=Path, default=None)
    options = parser.parse_args()
    torch.set_num_threads(1)
    alone: list[float] = []
    together: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        predictor = build(Path(folder), options.image_size)
        with in_background(PolicyServer(predictor)) as server:
            if options.soak:
                results = drive(server.port, options.clients, options.soak, options.image_size)
                worst = max(result["worst"] for result in results)
                print(
                    f"{options.clients} clients for {options.soak:g} s: {sum(r['count'] for r in results)} requests, "
                    f"{server.refused} refused, {server.failed} failed, largest difference to the same request alone {worst:.1e}"
                )
                return
            for _ in range(options.repeats):
                alone.append(rate(drive(server.port, 1, options.seconds, options.image_size), options.seconds))
                results = drive(server.port, options.clients, options.seconds, options.image_size)
                together.append(rate(results, options.seconds))
    batches = [size for result in results for size in result["batches"]]
    latencies = sorted(latency for result in results for latency in result["latencies"])
    report = {
        "serial_requests_per_second": statistics.median(alone),
        "batched_requests_per_second": statistics.median(together),
        "batching_speedup": statistics.median(together) / statistics.median(alone),
        "mean_batch": statistics.mean(batches),
        "latency_ms_p50": latencies[len(latencies) // 2],
        "latency_ms_p95": latencies[int(0.95 * len(latencies))],
    }
    for name, value in report.items():
        print(f"{name:30} {value:8.2f}")
    if options.json:
        options.json.write_text(json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    main()
