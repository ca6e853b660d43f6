"""What `robovlms train` can be told. Each dataclass is one subject; fields are flags and keys of a YAML file.

Imports neither torch nor transformers, so that `robovlms train --help` answers at once.
"""

import json
from dataclasses import dataclass, field, fields
from functools import cached_property
from typing import Any

from ..configuration.action_contract import NormalizationMode
from ..configuration.head_configs import HEAD_CONFIGS

STRUCTURE_NAMES = ("interleaved_continuous", "one_step_continuous", "one_step_discrete", "policy_head_continuous")
SCRATCH = "scratch"
SCRATCH_HEAD = {"hidden_size": 256, "decoder_sizes": [256], "gripper_loss_weight": 0.1}
SCRATCH_DEFAULTS: dict[str, Any] = {
    "window_size": 2,
    "history_stride": 4,
    "chunk_size": 8,
    "n_action_steps": 4,
    "normalization": "min_max",
    "learning_rate": 2e-3,
    "max_steps": 3200,
    "per_device_train_batch_size": 16,
    "adam_beta2": 0.98,
}
"""What `robovlms train` does instead of the fields' defaults for `backbone: scratch`, a few million new weights."""


@dataclass
class VLAArguments:
    """What to train, on what. The defaults suit a published backbone; `SCRATCH_DEFAULTS` a new one."""

    dataset: list[str] = field(
        metadata={
            "help": "LeRobot, RLDS or CALVIN datasets, each a folder, a Hub id or a JSON object (in YAML: a mapping) "
            "with 'path' and any of 'weight', 'embodiment', 'cameras', 'episodes', 'split', 'mode', 'frame', 'rotation', "
            "'grippers', 'units'; of LeRobot 'revision', 'columns', 'tolerance_s', of RLDS 'fps', 'action', 'state', "
            "'instruction'. Several are mixed; several embodiments get a contract each."
        }
    )
    eval_dataset: list[str] | None = field(
        default=None, metadata={"help": "Held-out datasets for eval_strategy, as 'dataset'."}
    )
    backbone: str = field(
        default=SCRATCH,
        metadata={"help": f"Vision-language model: Hub id or folder, or {SCRATCH!r} for a small new one."},
    )
    init_from: str | None = field(
        default=None,
        metadata={
            "help": "A VLA to go on from (post-training): its backbone, structure, head and prompt stay; what the new "
            "contract makes differ in size starts anew, and is listed."
        },
    )
    structure: str | None = field(
        default=None, metadata={"help": "policy_head_continuous by default.", "choices": list(STRUCTURE_NAMES)}
    )
    head: str | None = field(
        default=None, metadata={"help": "The structure's own by default.", "choices": sorted(HEAD_CONFIGS)}
    )
    head_options: str = field(
        default="{}", metadata={"help": "JSON (in YAML: a mapping): fields of the head's config."}
    )
    checkpoint: str | None = field(
        default=None, metadata={"help": "Where model and processor go; default: output_dir."}
    )
    dry_run: bool = field(
        default=False,
        metadata={
            "help": "Print parameters, samples, steps, memory, hours, contract and a sample, and write nothing."
        },
    )
    resume: bool = field(
        default=False,
        metadata={
            "help": "Go on from the last complete checkpoint in output_dir, if there is one. The same command does so "
            "anyway; this allows other numbers of processes, batches and workers."
        },
    )
    window_size: int = field(default=8, metadata={"help": "Observations per sample (one-step structures use 1)."})
    history_stride: int = field(default=1, metadata={"help": "Control steps between observations of the window."})
    chunk_size: int = field(default=10, metadata={"help": "Actions per prediction."})
    n_action_steps: int = field(default=5, metadata={"help": "Actions executed per prediction."})
    num_action_tokens: int = field(default=1, metadata={"help": "Learnable action tokens per observation."})
    action_bins: int = field(default=256, metadata={"help": "Discrete structure: uniform bins per dimension."})
    action_token_placement: str = field(
        default="reuse",
        metadata={
            "help": "Discrete structure: the vocabulary's last tokens, or new ones (always with a scratch backbone, whose "
            "few tokens are all words).",
            "choices": ["reuse", "new"],
        },
    )
    action_tokenizer: str = field(
        default="uniform",
        metadata={"help": "Discrete structure: how chunks are written.", "choices": ["uniform", "fast"]},
    )
    decoding: str = field(
        default="autoregressive",
        metadata={
            "help": "Discrete structure: action tokens one by one, or at once.",
            "choices": ["autoregressive", "parallel"],
        },
    )
    cameras: list[str] | None = field(default=None, metadata={"help": "Cameras in order; all by default."})
    use_state: bool = field(
        default=True,
        metadata={"help": "Whether the policy sees the proprioceptive state (the discrete structure never does)."},
    )
    normalization: NormalizationMode = field(
        default="quantile", metadata={"help": "How actions and state are normalised."}
    )
    grounding_loss_weight: float = field(
        default=2.0, metadata={"help": "Weight of the auxiliary loss, where the dataset has a 'grounding' column."}
    )
    mixture_weights: str = field(
        default="frames",
        metadata={
            "help": "Shares of several datasets without 'weight's of their own.",
            "choices": ["frames", "episodes"],
        },
    )
    augmentation: str = field(
        default="none",
        metadata={
            "help": "How training images vary; random crops make the contract say that evaluation crops the centre.",
            "choices": ["none", "shift", "crop", "open_x"],
        },
    )
    dtype: str = field(
        default="float32",
        metadata={
            "help": "Which dtype frozen weights have; what is trained is held in float32, for bfloat16 weights hardly move.",
            "choices": ["float32", "bfloat16", "float16"],
        },
    )
    attn_implementation: str | None = field(default=None, metadata={"help": "For example sdpa or flash_attention_2."})
    cache_gib: float = field(default=2.0, metadata={"help": "Bound of decoded frames kept in memory."})

    @cached_property
    def structure_name(self) -> str:
        """The structure asked for; with `init_from`, that of the checkpoint.

        Raises:
            ValueError: if both are given and differ, or the checkpoint is no VLA.
        """
        if self.init_from is None:
            return self.structure or "policy_head_continuous"
        from transformers import AutoConfig

        name = AutoConfig.from_pretrained(self.init_from).model_type.removeprefix("robovlms_")
        if name not in STRUCTURE_NAMES:
            raise ValueError(f"init_from {self.init_from!r} is a {name!r}, not a VLA: give it as backbone.")
        if self.structure not in (None, name):
            raise ValueError(f"structure {self.structure!r} is not that of init_from, {name!r}.")
        return name

    @property
    def head_fields(self) -> dict[str, Any]:
        """`head_options` read; ValueError if it is no JSON."""
        try:
            return json.loads(self.head_options)
        except json.JSONDecodeError as error:
            raise ValueError(f"head_options must be JSON, got {self.head_options!r}: {error}") from error

    @property
    def is_discrete(self) -> bool:
        """Whether actions are written as tokens."""
        return "discrete" in self.structure_name

    @property
    def is_one_step(self) -> bool:
        """Whether the structure sees one observation."""
        return "one_step" in self.structure_name


@dataclass
class FreezingArguments:
    """Which parts of the backbone are trained; all by default. Head and action tokens always are."""

    freeze_backbone: bool = field(default=False, metadata={"help": "Train nothing of the backbone."})
    freeze_vision_tower: bool = field(default=False, metadata={"help": "Do not train the vision encoder."})
    freeze_language_model: bool = field(default=False, metadata={"help": "Do not train the text tower."})
    train_last_layers: int = field(
        default=0, metadata={"help": "Train this many last layers of a frozen language model nevertheless."}
    )
    freeze_embeddings: bool = field(default=False, metadata={"help": "Do not train the word embedding."})


@dataclass
class LoRAArguments:
    """Low-rank adapters on the backbone; head and action tokens are trained in full."""

    lora: bool = field(default=False, metadata={"help": "Train adapters instead of the backbone's own weights."})
    lora_rank: int = field(default=16, metadata={"help": "Rank of the adapters."})
    lora_alpha: int | None = field(default=None, metadata={"help": "Twice the rank by default."})
    lora_dropout: float = field(default=0.0, metadata={"help": "Dropout before the adapters, in training."})
    lora_vision: bool = field(default=False, metadata={"help": "Put adapters into the vision tower too."})
    lora_base: str = field(
        default="full",
        metadata={
            "help": "The backbone below the adapters; 4bit is QLoRA (bitsandbytes).",
            "choices": ["full", "4bit"],
        },
    )


@dataclass
class RolloutArguments:
    """Evaluation in simulation while training."""

    rollout_suite: str | None = field(
        default=None, metadata={"help": "Suite to evaluate in while training, for example tabletop; none by default."}
    )
    rollout_steps: int = field(
        default=1000, metadata={"help": "Evaluate every so many training steps, and at the end."}
    )
    rollout_episodes: int = field(default=26, metadata={"help": "Episodes each time, over all tasks."})
    rollout_tasks: list[str] | None = field(
        default=None, metadata={"help": "Tasks to run; the suite's own by default."}
    )
    rollout_embodiment: str | None = field(default=None, metadata={"help": "Which contract, where there are several."})
    rollout_envs: int = field(default=4, metadata={"help": "Environments at once."})


def require_effect(arguments: VLAArguments, lora: LoRAArguments, rollouts: RolloutArguments) -> None:
    """Raises ValueError for options that were set but mean nothing without, or beside, another one."""
    tokens = ("action_bins", "action_token_placement", "action_tokenizer", "decoding")
    checkpoints_own = ("backbone", "head", "head_options", "num_action_tokens", *tokens)
    rules = [
        (arguments, checkpoints_own, arguments.init_from is not None, "init_from brings its own: leave out"),
        (arguments, tokens, not arguments.is_discrete, "structure one_step_discrete alone has"),
        (lora, [each.name for each in fields(lora)], not lora.lora, "only with lora there is"),
        (
            rollouts,
            [each.name for each in fields(rollouts)],
            not rollouts.rollout_suite,
            "only with rollout_suite there is",
        ),
    ]
    for group, names, applies, reason in rules:
        defaults = type(group).__dataclass_fields__
        if applies and (useless := [name for name in names if getattr(group, name) != defaults[name].default]):
            raise ValueError(f"{reason} {', '.join(useless)}.")


@dataclass
class TrainingDefaults:
    """Where `robovlms train` differs from `transformers.TrainingArguments`: for a published backbone."""

    output_dir: str | None = field(default="outputs/train", metadata={"help": "Checkpoints, logs and the report."})
    learning_rate: float = field(default=2e-5, metadata={"help": "The learning rate at its highest."})
    max_steps: int = field(default=-1, metadata={"help": "Updates; -1: as num_train_epochs says."})
    num_train_epochs: float = field(default=5.0, metadata={"help": "Times over the samples, without max_steps."})
    per_device_train_batch_size: int = field(default=8, metadata={"help": "Samples of one process at once."})
    warmup_steps: float = field(default=0.05, metadata={"help": "Steps, or below 1 their share."})
    lr_scheduler_type: str = field(default="cosine", metadata={"help": "How the learning rate falls."})
    weight_decay: float = field(default=0.01, metadata={"help": "Weight decay of AdamW."})
    adam_beta2: float = field(default=0.999, metadata={"help": "Second beta of AdamW."})
    logging_steps: float = field(default=50, metadata={"help": "Steps between two logs, or below 1 their share."})
    save_steps: float = field(default=500, metadata={"help": "Steps between checkpoints, or below 1 their share."})
    save_total_limit: int | None = field(default=2, metadata={"help": "Checkpoints that are kept."})
    ddp_find_unused_parameters: bool | None = field(
        default=False, metadata={"help": "Search for parameters without gradient at every data-parallel step."}
    )
    remove_unused_columns: bool = field(default=False, metadata={"help": "A VLA's collator needs all columns."})
    report_to: list[str] = field(
        default_factory=lambda: ["none"], metadata={"help": "For example tensorboard, trackio or wandb."}
    )
    prediction_loss_only: bool = field(
        default=True, metadata={"help": "Evaluation on eval_dataset keeps losses alone."}
    )
