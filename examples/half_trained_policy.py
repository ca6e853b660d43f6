"""What `grpo.py` and `dpo.py` start from: a small discrete policy after too little behaviour cloning, and its evaluation.

One task, three action dimensions in five bins, two actions per prediction, images of 32 pixels.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from transformers import Trainer, TrainingArguments, set_seed

from robovlms import ActionContract, CameraSpec, OneStepDiscreteVLA, Policy, RoboVLMProcessor, VectorSpec
from robovlms.data import VLACollator
from robovlms.evaluation import EnvironmentPool, Episode, rollout, wilson_interval
from robovlms.simulators.tabletop import get_task, translation_env
from robovlms.simulators.tabletop.demonstrations import collect
from robovlms.training import write_scratch_backbone
from robovlms.training.trajectories import SamplingPolicy

TASK = "turn_on_light"
IMAGE_SIZE = 32
CHUNK = 2
BINS = 6  # edges of five bins
MAX_STEPS = 30


make_env = partial(translation_env, IMAGE_SIZE)


def contract() -> ActionContract:
    return ActionContract(
        embodiment="tabletop_translation",
        action=VectorSpec(("delta_x", "delta_y", "delta_z"), units=("2 cm",) * 3, normalization="none"),
        state=None,
        cameras=(CameraSpec("static", IMAGE_SIZE, IMAGE_SIZE),),
        grippers=(),
        control_frequency=20.0,
        chunk_size=CHUNK,
        n_action_steps=CHUNK,
        rotation="none",
        frame="world",
        mode="delta",
    )


def demonstration_samples(count: int, seed: int = 0) -> list[dict[str, Any]]:
    """Window samples of `count` demonstrations, as a dataset would return them."""
    samples = []
    for episode in collect((TASK,), count, seed, image_size=IMAGE_SIZE, progress=False):
        for t in range(len(episode)):
            steps = np.minimum(np.arange(t, t + CHUNK), len(episode) - 1)
            samples.append(
                {
                    "images": {"static": episode.images["static"][t : t + 1]},
                    "instruction": get_task(TASK).instruction,
                    "embodiment": "tabletop_translation",
                    "actions": episode.actions[None, steps, :3],
                    "action_mask": (np.arange(t, t + CHUNK) < len(episode))[None],
                }
            )
    return samples


def half_trained(
    folder: Path, demonstrations: int = 60, steps: int = 250, seed: int = 0
) -> tuple[Any, RoboVLMProcessor]:
    """A small discrete VLA after a little behaviour cloning."""
    set_seed(seed)
    agreed = contract()
    backbone = write_scratch_backbone(
        folder / "backbone", [get_task(TASK).instruction], IMAGE_SIZE, hidden_size=64, text_layers=2, seed=seed
    )
    processor = RoboVLMProcessor.from_backbone(str(backbone), agreed, action_bins=BINS)
    vla = OneStepDiscreteVLA.from_backbone(str(backbone), agreed, **processor.model_fields)
    arguments = TrainingArguments(
        str(folder / "cloning"),
        max_steps=steps,
        per_device_train_batch_size=32,
        learning_rate=2e-3,
        warmup_steps=0.05,
        lr_scheduler_type="cosine",
        use_cpu=True,
        remove_unused_columns=False,
        report_to="none",
        save_strategy="no",
        logging_steps=50,
        seed=seed,
        disable_tqdm=True,
    )
    Trainer(vla, arguments, VLACollator(processor), demonstration_samples(demonstrations, seed)).train()
    return vla.eval(), processor


def light_episodes(seeds: Sequence[int]) -> list[Episode]:
    return [Episode(TASK, get_task(TASK).instruction, int(seed)) for seed in seeds]


@dataclass(frozen=True)
class Success:
    """A success rate with its 95 % interval."""

    successes: int
    episodes: int

    @property
    def rate(self) -> float:
        return self.successes / self.episodes

    @property
    def interval(self) -> tuple[float, float]:
        return wilson_interval(self.successes, self.episodes)

    def __str__(self) -> str:
        low, high = self.interval
        return f"{self.successes}/{self.episodes} = {self.rate:.0%} ({low:.0%} to {high:.0%})"


def evaluate(
    vla: OneStepDiscreteVLA,
    processor: RoboVLMProcessor,
    pool: EnvironmentPool,
    count: int = 200,
    sampled: bool = False,
) -> Success:
    """Success in scenes 0 to `count` - 1, which no training sees, with greedy or with sampled tokens."""
    was_training = vla.training
    policy = SamplingPolicy(vla.eval(), processor) if sampled else Policy(vla, processor)
    results = rollout(policy, pool, light_episodes(range(count)), max_steps=MAX_STEPS, progress=False)
    vla.train(was_training)
    return Success(sum(result.success for result in results), count)
