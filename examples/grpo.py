"""GRPO in simulation: a half-trained discrete policy learns from its own rollouts' success.

    python examples/grpo.py --output outputs/grpo

Needs `pip install "robovlms[rl]"`. Leaves the policy, `grpo.json` and the curve `grpo.png` in the folder.
"""

import argparse
import json
import time
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import torch
from datasets import Dataset
from half_trained_policy import MAX_STEPS, TASK, Success, evaluate, half_trained, light_episodes, make_env
from transformers import TrainerCallback
from trl import GRPOConfig

from robovlms.evaluation import EnvironmentPool
from robovlms.training.reinforcement import EpisodeGRPOTrainer

FIRST_TRAINING_SCENE = 10_000
UPDATES = 4  # per round of rollouts


class Curve(TrainerCallback):
    """Evaluates every so many rounds of rollouts, and keeps what happened when."""

    def __init__(self, vla, processor, pool, every: int):
        self.vla, self.processor, self.pool, self.every = vla, processor, pool, every
        self.training: list[tuple[float, float]] = []
        self.evaluations: list[tuple[float, Success]] = []
        self.start = time.monotonic()

    @property
    def minutes(self) -> float:
        return (time.monotonic() - self.start) / 60

    def on_log(self, args, state, control, logs=None, **kwargs):
        if "success" in logs:
            self.training.append((self.minutes, logs["success"]))

    def on_step_end(self, args, state, control, **kwargs):
        if state.global_step % self.every == 0:
            self.evaluations.append((self.minutes, evaluate(self.vla, self.processor, self.pool, 100)))
            print(
                f"round {state.global_step // UPDATES}, {self.minutes:.1f} minutes: {self.evaluations[-1][1]}",
                flush=True,
            )


def run(
    output: Path,
    rounds: int = 72,
    scenes: int = 8,
    rollouts: int = 8,
    num_envs: int = 16,
    demonstrations: int = 60,
    cloning_steps: int = 250,
    episodes: int = 200,
    seed: int = 0,
) -> dict:
    """Train, evaluate before and after, draw the curve; returns what `grpo.json` holds."""
    torch.set_num_threads(1)
    start = time.monotonic()
    vla, processor = half_trained(output / "half_trained", demonstrations, cloning_steps, seed)
    vla.save_pretrained(output / "before")
    processor.save_pretrained(output / "before")
    with EnvironmentPool(make_env, num_envs) as pool:
        before, sampled_before = (evaluate(vla, processor, pool, episodes, sampled) for sampled in (False, True))
        print(f"before: {before}, sampled {sampled_before}", flush=True)
        prompts = light_episodes(range(FIRST_TRAINING_SCENE, FIRST_TRAINING_SCENE + 1000))
        dataset = Dataset.from_list([{"prompt": e.instruction, "task": TASK, "seed": e.seed} for e in prompts])
        arguments = GRPOConfig(
            str(output / "training"),
            max_steps=rounds * UPDATES,
            per_device_train_batch_size=scenes * rollouts // UPDATES,
            steps_per_generation=UPDATES,
            num_generations=rollouts,
            max_completion_length=vla.config.num_action_tokens,
            learning_rate=4e-4,
            lr_scheduler_type="constant_with_warmup",
            warmup_steps=4 * UPDATES,
            beta=0.0,
            epsilon_high=0.28,
            use_cpu=True,
            bf16=False,
            gradient_checkpointing=False,
            remove_unused_columns=False,
            report_to="none",
            save_strategy="no",
            logging_steps=UPDATES,
            seed=seed,
            disable_tqdm=True,
        )
        curve = Curve(vla, processor, pool, every=12 * UPDATES)
        trainer = EpisodeGRPOTrainer(vla, arguments, dataset, processor, pool, MAX_STEPS, callbacks=[curve])
        trainer.train()
        minutes = curve.minutes
        after, sampled_after = (evaluate(vla, processor, pool, episodes, sampled) for sampled in (False, True))
    print(f"after {minutes:.1f} minutes: {after}, sampled {sampled_after}")
    vla.save_pretrained(output / "policy")
    processor.save_pretrained(output / "policy")
    result = {
        "before": [before.successes, before.episodes],
        "after": [after.successes, after.episodes],
        "sampled_before": [sampled_before.successes, sampled_before.episodes],
        "sampled_after": [sampled_after.successes, sampled_after.episodes],
        "grpo_minutes": minutes,
        "total_minutes": (time.monotonic() - start) / 60,
        "training": curve.training,
        "evaluations": [(minute, e.successes, e.episodes) for minute, e in curve.evaluations],
    }
    (output / "grpo.json").write_text(json.dumps(result, indent=2) + "\n")
    draw(result, output / "grpo.png")
    return result


def draw(result: dict, file: Path) -> None:
    """Success over time."""
    figure, axes = plt.subplots(figsize=(7, 4), layout="constrained")
    axes.plot(
        *zip(*result["training"], strict=True), color="tab:blue", alpha=0.4, lw=1, label="training rollouts, sampled"
    )
    points = [(0.0, *result["before"]), *result["evaluations"][:-1], (result["grpo_minutes"], *result["after"])]
    known = [(minute, Success(successes, count)) for minute, successes, count in points]
    rates = [s.rate for _, s in known]
    bars = [[s.rate - s.interval[0] for _, s in known], [s.interval[1] - s.rate for _, s in known]]
    minutes = [minute for minute, _ in known]
    axes.errorbar(
        minutes, rates, bars, marker="o", capsize=3, color="tab:orange", label="unseen scenes, greedy (95 %)"
    )
    axes.set(xlabel="minutes of GRPO", ylabel="success rate", ylim=(0, 1), title=TASK.replace("_", " "))
    axes.grid(alpha=0.3)
    axes.legend(loc="lower right")
    figure.savefig(file, dpi=120)
    plt.close(figure)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--rounds", type=int, default=72)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    run(options.output, options.rounds, seed=options.seed)
