"""Co-training: a VLM that can describe the table keeps that ability while it learns to act.

    python examples/cotraining.py --output outputs/cotraining

A small VLM first learns to say where the blocks are. From it, one policy is trained on demonstrations alone and one on
demonstrations with image-text samples beside them, with the plain `Trainer`. Leaves `cotraining.json` and
`cotraining.png`: the loss of held-out descriptions before, during and after.
"""

import argparse
import json
import time
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import torch
from half_trained_policy import IMAGE_SIZE, contract, demonstration_samples
from torch.utils.data import DataLoader
from transformers import AutoModelForImageTextToText, Trainer, TrainerCallback, TrainingArguments, set_seed

from robovlms import OneStepContinuousVLA, RoboVLMProcessor
from robovlms.data import VLACollator
from robovlms.processing.chat import encode_chat
from robovlms.simulators.tabletop import TabletopEnv
from robovlms.training import LossParts, write_scratch_backbone
from robovlms.training.cotraining import CoTrainingCollator, CoTrainingDataset

QUESTION = "where are the blocks?"
COLORS = ("red", "green", "blue")
HELD_OUT = 256


def descriptions(count: int, first_scene: int) -> list[dict[str, Any]]:
    """Pictures of scenes, with the question where the blocks are and its answer."""
    env = TabletopEnv(image_size=IMAGE_SIZE, render_size=IMAGE_SIZE)
    samples = []
    for scene in range(first_scene, first_scene + count):
        observation, _ = env.reset(seed=scene, options={"task": "turn_on_light"})
        blocks = env.scene_state.blocks
        said = [f"{color} {_side(blocks[color][0])}" for color in COLORS]
        messages = [{"role": "user", "content": QUESTION}, {"role": "assistant", "content": ", ".join(said)}]
        samples.append({"images": [observation["images"]["static"]], "messages": messages})
    env.close()
    return samples


def _side(x: float) -> str:
    return "left" if x < -0.07 else "right" if x > 0.07 else "middle"


def arguments(folder: Path, steps: int, learning_rate: float, seed: int) -> TrainingArguments:
    return TrainingArguments(
        str(folder),
        max_steps=steps,
        per_device_train_batch_size=32,
        learning_rate=learning_rate,
        lr_scheduler_type="cosine",
        warmup_steps=0.05,
        use_cpu=True,
        remove_unused_columns=False,
        report_to="none",
        save_strategy="no",
        logging_steps=25,
        seed=seed,
        disable_tqdm=True,
    )


class HeldOutText(TrainerCallback):
    """The loss of held-out descriptions, every so many steps."""

    def __init__(self, vla: OneStepContinuousVLA, processor: RoboVLMProcessor, samples: list, every: int = 25):
        self.vla, self.every = vla, every
        self.batches = list(DataLoader(samples, 64, collate_fn=lambda part: encode_chat(processor, part)))
        self.losses = [(0, self.loss())]

    @torch.no_grad()
    def loss(self) -> float:
        return sum(self.vla.text_loss(batch).item() for batch in self.batches) / len(self.batches)

    def on_step_end(self, args, state, control, **kwargs):
        if state.global_step % self.every == 0 or state.global_step == args.max_steps:
            self.losses.append((state.global_step, self.loss()))


def run(output: Path, vlm_steps: int = 300, steps: int = 150, scenes: int = 3000, seed: int = 0) -> dict:
    """All three trainings; returns what `cotraining.json` holds."""
    torch.set_num_threads(1)
    start = time.monotonic()
    held_out, training = descriptions(HELD_OUT, 0), descriptions(scenes, 10_000)
    sentences = [QUESTION, *(sample["messages"][-1]["content"] for sample in training)]
    vlm = write_scratch_backbone(output / "vlm", sentences, IMAGE_SIZE, hidden_size=64, text_layers=2, seed=seed)
    processor = RoboVLMProcessor.from_backbone(str(vlm), contract())
    set_seed(seed)
    model = AutoModelForImageTextToText.from_pretrained(vlm)
    trainer = Trainer(
        model,
        arguments(output / "training", vlm_steps, 2e-3, seed),
        lambda samples: encode_chat(processor, samples),
        training,
    )
    trainer.train()
    model.save_pretrained(vlm)

    actions = demonstration_samples(60, seed)
    curves, action_losses = {}, {}
    for name, dataset, collator in (
        ("actions alone", actions, VLACollator(processor)),
        ("co-training", CoTrainingDataset(actions, training), CoTrainingCollator(processor)),
    ):
        set_seed(seed)
        vla = OneStepContinuousVLA.from_backbone(str(vlm), contract(), text_loss_weight=0.1)
        text = HeldOutText(vla, processor, held_out)
        trainer = Trainer(vla, arguments(output / "training", steps, 1e-3, seed), collator, dataset, callbacks=[text])
        trainer.callback_handler.callbacks.insert(0, LossParts())
        trainer.train()
        curves[name] = text.losses
        action_losses[name] = [log["pose_loss"] for log in trainer.state.log_history if "pose_loss" in log]
    result = {
        "held_out_text_loss": curves,
        "ratio": {name: losses[-1][1] / losses[0][1] for name, losses in curves.items()},
        "pose_loss": action_losses,
        "minutes": (time.monotonic() - start) / 60,
    }
    (output / "cotraining.json").write_text(json.dumps(result, indent=2) + "\n")
    draw(result, output / "cotraining.png")
    return result


def draw(result: dict, file: Path) -> None:
    """Held-out text loss over action training."""
    figure, axes = plt.subplots(figsize=(7, 4), layout="constrained")
    for name, losses in result["held_out_text_loss"].items():
        axes.plot(*zip(*losses, strict=True), marker="o", label=f"{name}: x {result['ratio'][name]:.2f}")
    axes.set(xlabel="step of action training", ylabel="text loss, held-out pictures (nats per token)", yscale="log")
    axes.grid(alpha=0.3, which="both")
    axes.legend()
    figure.savefig(file, dpi=120)
    plt.close(figure)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    print(json.dumps(run(options.output, seed=options.seed)["ratio"], indent=2))
