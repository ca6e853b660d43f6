"""Asynchronous against synchronous control on the embedded simulator, in real time, with an artificial latency.

    python benchmarks/realtime.py [--episodes 100] [--latency 0.2] [--speed 1] [--noise 0.1] [--json FILE]

The policy is the scripted expert, which predicts chunks by playing the scene on; executed actions are disturbed, so that
old plans go wrong. The loop runs at 20 Hz; `--speed 4` runs everything four times as fast, latency and deadlines
included. Both controllers run the same scenes. Synchronous control stops the simulator while the policy thinks.
"""

import argparse
import json
from pathlib import Path

import numpy as np
from tqdm import tqdm

from robovlms.evaluation import wilson_interval
from robovlms.evaluation.tabletop import BASE_TASKS, CONTROL_FREQUENCY, TabletopEnv
from robovlms.evaluation.tabletop.expert_chunks import ExpertChunks
from robovlms.serving.realtime import AsynchronousController, Controller, DelayedChunks, Pacer, SynchronousController

MAX_STEPS = 100


def episode(
    env: TabletopEnv, chunks: ExpertChunks, controller: Controller, pacer: Pacer, seed: int, noise: float
) -> bool:
    """Whether the task is done within the step limit."""
    random = np.random.default_rng(seed)
    env.reset(seed=seed, options={"task": BASE_TASKS[seed % len(BASE_TASKS)]})
    controller.reset()
    success = ended = False
    for step in range(MAX_STEPS):
        if step == 0:  # the first chunk is waited for, the clock starts with it
            controller.warm_up({"scene": chunks.snapshot()}, env.instruction)
            pacer.reset()
        pacer.wait()
        action = controller.step({"scene": chunks.snapshot()}, env.instruction)
        action[:6] += random.normal(0, noise, 6) * [1, 1, 1, 0.3, 0.3, 0.3]
        _, _, success, ended, _ = env.step(action)
        if success or ended:
            break
    return success


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--episodes", type=int, default=100)
    parser.add_argument("--latency", type=float, default=0.2, help="seconds")
    parser.add_argument("--speed", type=float, default=1.0)
    parser.add_argument("--noise", type=float, default=0.1, help="of executed actions, which are in [-1, 1]")
    parser.add_argument("--chunk-size", type=int, default=16)
    parser.add_argument("--n-action-steps", type=int, default=4)
    parser.add_argument("--json", type=Path, default=None)
    options = parser.parse_args()
    env = TabletopEnv(image_size=8, max_steps=MAX_STEPS)
    chunks = ExpertChunks(env, options.chunk_size, options.n_action_steps)
    frequency = options.speed * CONTROL_FREQUENCY
    slow = DelayedChunks(chunks, options.latency / options.speed)
    controllers = {
        "synchronous, no latency": SynchronousController(chunks),
        "synchronous": SynchronousController(slow),
        "asynchronous, joined": AsynchronousController(slow, frequency=frequency),
        "asynchronous, replaced": AsynchronousController(slow, frequency=frequency, join=False),
    }
    report = {}
    for name, controller in controllers.items():
        controller.times.period = 1 / frequency
        pacer = Pacer(frequency if "no latency" not in name else 1e6, controller.times)
        done = 0
        for seed in tqdm(range(options.episodes), desc=name):
            done += episode(env, chunks, controller, pacer, seed, options.noise)
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
