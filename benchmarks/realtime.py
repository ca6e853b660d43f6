"""Asynchronous against synchronous control on the embedded simulator, in real time, with an artificial latency.

    python benchmarks/realtime.py [--checkpoint DIR] [--episodes 100] [--latency 0.2] [--speed 1] [--noise 0.1] [--json FILE]

The policy is a checkpoint (of `robovlms quickstart`), or else the scripted expert, which predicts chunks by playing the
scene on. Executed actions are disturbed, so that old plans go wrong. The loop runs at 20 Hz; `--speed 4` runs everything
four times as fast, latency and deadlines included. All controllers run the same scenes; without latency the policy is
synchronous and instantaneous, as in `robovlms eval`.
"""

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from robovlms.evaluation import wilson_interval
from robovlms.serving import ChunkPredictor
from robovlms.serving.realtime import (
    AsynchronousController,
    Controller,
    DelayedChunks,
    LocalChunks,
    Pacer,
    SynchronousController,
)
from robovlms.simulators.tabletop import BASE_TASKS, CONTROL_FREQUENCY, TabletopEnv
from robovlms.simulators.tabletop.expert_chunks import ExpertChunks

MAX_STEPS = 100


def episode(
    env: TabletopEnv,
    observe: Callable[[], dict[str, Any]],
    controller: Controller,
    pacer: Pacer,
    task: str,
    seed: int,
    noise: float,
) -> bool:
    """Whether the task is done within the step limit."""
    random = np.random.default_rng(seed)
    _, info = env.reset(seed=seed, options={"task": task})
    while not info["feasible"]:
        seed += 100_000_000
        _, info = env.reset(seed=seed, options={"task": task})
    controller.reset()
    controller.warm_up(observe(), env.instruction)  # the first chunk is waited for, the clock starts with it
    pacer.reset()
    success = ended = False
    while not (success or ended):
        pacer.wait()
        action = controller.step(observe(), env.instruction)
        action[:6] += random.normal(0, noise, 6) * [1, 1, 1, 0.3, 0.3, 0.3]
        _, _, success, ended, _ = env.step(action)
    return success


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--checkpoint", default=None)
    parser.add_argument("--tasks", nargs="+", default=list(BASE_TASKS))
    parser.add_argument("--episodes", type=int, default=100)
    parser.add_argument("--latency", type=float, default=0.2, help="seconds")
    parser.add_argument("--speed", type=float, default=1.0)
    parser.add_argument("--noise", type=float, default=0.1, help="of executed actions, which are in [-1, 1]")
    parser.add_argument("--chunk-size", type=int, default=16, help="of the expert")
    parser.add_argument("--n-action-steps", type=int, default=4, help="of the expert")
    parser.add_argument("--json", type=Path, default=None)
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.checkpoint is None:
        env = TabletopEnv(image_size=8, max_steps=MAX_STEPS)
        expert = ExpertChunks(env, options.chunk_size, options.n_action_steps)
        chunks, observe = expert, lambda: {"scene": expert.snapshot()}
    else:
        predictor = ChunkPredictor.from_pretrained(options.checkpoint)
        env = TabletopEnv(image_size=predictor.contract.cameras[0].height, max_steps=MAX_STEPS)
        chunks, observe = LocalChunks(predictor), env.observe
    frequency = options.speed * CONTROL_FREQUENCY
    slow = DelayedChunks(chunks, options.latency / options.speed)
    controllers = {
        "synchronous, no latency": SynchronousController(chunks),
        "synchronous": SynchronousController(slow),
        "asynchronous, joined": AsynchronousController(slow, frequency=frequency, join=True),
        "asynchronous, replaced": AsynchronousController(slow, frequency=frequency, join=False),
    }
    report = {}
    for name, controller in controllers.items():
        controller.times.period = 1 / frequency
        pacer = Pacer(frequency if "no latency" not in name else 1e6, controller.times)
        done = 0
        for seed in tqdm(range(options.episodes), desc=name):
            task = options.tasks[seed % len(options.tasks)]
            done += episode(env, observe, controller, pacer, task, seed, options.noise)
        controller.close()
        low, high = wilson_interval(done, options.episodes)
        report[name] = {"success": done / options.episodes} | controller.times.to_dict()
        print(f"{name}: success {done / options.episodes:.1%} [{low:.1%}, {high:.1%}]")
        if "no latency" not in name:
            print(controller.times.summary())
    if options.json:
        options.json.write_text(json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    main()
