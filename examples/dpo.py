"""DPO in simulation: a half-trained discrete policy learns from pairs of its own successes and failures.

    python examples/dpo.py --output outputs/dpo

Needs `pip install "robovlms[rl]"`. Leaves the policy, `dpo.json` and the curve `dpo.png` in the folder.
"""

import argparse
import json
import time
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import torch
from half_trained_policy import MAX_STEPS, evaluate, half_trained, light_episodes, make_env
from transformers import set_seed
from trl import DPOConfig

from robovlms.evaluation import EnvironmentPool
from robovlms.training.preferences import TrajectoryDPOTrainer, preference_pairs
from robovlms.training.trajectories import SamplingPolicy, sample_trajectories

FIRST_TRAINING_SCENE, FIRST_HELD_OUT_SCENE = 10_000, 20_000
ROLLOUTS = 4


def run(output: Path, scenes: int = 80, steps: int = 40, num_envs: int = 16, seed: int = 0) -> dict:
    """Collect pairs, train, evaluate before and after; returns what `dpo.json` holds."""
    torch.set_num_threads(1)
    start = time.monotonic()
    vla, processor = half_trained(output / "half_trained", seed=seed)
    with EnvironmentPool(make_env, num_envs) as pool:
        before = evaluate(vla, processor, pool)
        print(f"before: {before}", flush=True)
        policy = SamplingPolicy(vla, processor)
        set_seed(seed)

        def pairs(first: int, count: int):
            asked = [episode for episode in light_episodes(range(first, first + count)) for _ in range(ROLLOUTS)]
            return preference_pairs(sample_trajectories(policy, pool, asked, MAX_STEPS))

        training, held_out = pairs(FIRST_TRAINING_SCENE, scenes), pairs(FIRST_HELD_OUT_SCENE, scenes // 2)
        print(f"{len(training)} pairs for training, {len(held_out)} held out", flush=True)
        arguments = DPOConfig(
            str(output / "training"),
            max_steps=steps,
            per_device_train_batch_size=8,
            per_device_eval_batch_size=64,  # all at once: TRL averages over batches
            learning_rate=3e-5,
            lr_scheduler_type="constant_with_warmup",
            warmup_steps=5,
            beta=0.1,
            loss_type=["sigmoid", "sft"],
            loss_weights=[1.0, 5.0],
            use_cpu=True,
            bf16=False,
            gradient_checkpointing=False,
            remove_unused_columns=False,
            report_to="none",
            save_strategy="no",
            eval_strategy="steps",
            eval_steps=10,
            eval_on_start=True,
            logging_steps=10,
            seed=seed,
            disable_tqdm=True,
        )
        trainer = TrajectoryDPOTrainer(vla, arguments, training, processor, held_out)
        trainer.train()
        after = evaluate(vla.eval(), processor, pool)
    print(f"after: {after}")
    vla.save_pretrained(output / "policy")
    processor.save_pretrained(output / "policy")
    logs = [log for log in trainer.state.log_history if "eval_rewards/margins" in log]
    result = {
        "before": [before.successes, before.episodes],
        "after": [after.successes, after.episodes],
        "pairs": [len(training), len(held_out)],
        "held_out_margins": [(log["step"], log["eval_rewards/margins"]) for log in logs],
        "held_out_accuracies": [(log["step"], log["eval_rewards/accuracies"]) for log in logs],
        "minutes": (time.monotonic() - start) / 60,
    }
    (output / "dpo.json").write_text(json.dumps(result, indent=2) + "\n")
    draw(result, f"before: {before}\nafter: {after}", output / "dpo.png")
    return result


def draw(result: dict, success: str, file: Path) -> None:
    """Margin and accuracy on held-out pairs over training."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.5), layout="constrained")
    left.plot(*zip(*result["held_out_margins"], strict=True), marker="o")
    left.set(xlabel="step", ylabel="margin of preferred trajectories", title="held-out pairs")
    right.plot(*zip(*result["held_out_accuracies"], strict=True), marker="o", color="tab:green")
    right.set(xlabel="step", ylabel="pairs ranked right", ylim=(0, 1), title=success)
    for axes in (left, right):
        axes.grid(alpha=0.3)
    figure.savefig(file, dpi=120)
    plt.close(figure)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    run(options.output, seed=options.seed)
