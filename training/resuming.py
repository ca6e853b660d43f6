"""What a run does about what lies in its folder already: go on, say that all is done, or touch nothing."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from accelerate.utils import gather_object
from transformers import TrainingArguments

from .arguments import FreezingArguments, LoRAArguments, VLAArguments
from .checkpoints import incomplete_checkpoints, last_complete_checkpoint, read_state, recorded_run
from .datasets import DatasetSpec, parts
from .vla_trainer import output_folder

# Neither of these says which run it is.
PLACES = ("resume", "dry_run", "checkpoint", "eval_dataset", "cache_gib", "attn_implementation")
SETTINGS = (
    "learning_rate", "lr_scheduler_type", "lr_scheduler_kwargs", "warmup_steps", "weight_decay", "optim", "adam_beta1", "adam_beta2", "adam_epsilon",
    "max_grad_norm", "seed", "data_seed", "bf16", "fp16", "per_device_train_batch_size", "gradient_accumulation_steps",
    "dataloader_drop_last", "dataloader_num_workers",
)  # fmt: skip
# What a run may go on with otherwise, as far as an update takes as many samples as before. All else is in the checkpoint.
MAY_DIFFER = (
    "processes", "per_device_train_batch_size", "gradient_accumulation_steps", "dataloader_num_workers", "warmup_steps",
    "max_grad_norm", "bf16", "fp16", "block_streams", "block_batch_size",
)  # fmt: skip


@dataclass(frozen=True)
class Start:
    """Where a run begins.

    Args:
        checkpoint: folder to go on from, None for step 1.
        run: what `identify_run` says of it; the order of the samples is that of the run that is gone on with.
        policy: folder of the policy, if the run was finished before and nothing is left to do.
        said: what to tell the user.
    """

    checkpoint: str | None
    run: dict[str, Any]
    policy: Path | None = None
    said: tuple[str, ...] = ()


def identify_run(
    arguments: VLAArguments,
    training: TrainingArguments,
    freezing: FreezingArguments,
    lora: LoRAArguments,
    dataset: Any,
) -> dict[str, Any]:
    """What makes it this run and no other, as plain JSON types. Folders by their names alone: another machine has them
    elsewhere, and where they are is nobody's business."""
    values = training.to_dict()
    run = {name: value for name, value in asdict(arguments).items() if name not in PLACES}
    run |= asdict(freezing) | asdict(lora) | {name: values[name] for name in SETTINGS}
    run |= {name: _name(run[name]) for name in ("backbone", "init_from")}
    specs = [DatasetSpec.parse(text) for text in arguments.dataset]
    run |= {
        "dataset": [{k: v for k, v in spec.replace(path=_name(spec.path)).to_dict().items() if v} for spec in specs],
        "samples": [len(part) if hasattr(part, "__len__") else None for part in parts(dataset)],
        "head_options": arguments.head_fields,
        "processes": training.world_size,
        "samples_per_update": training.train_batch_size * training.world_size * training.gradient_accumulation_steps,
        "block_streams": training.world_size * max(1, training.dataloader_num_workers),
        "block_batch_size": training.train_batch_size,
    }
    return json.loads(json.dumps(run))


def _name(path: str | None) -> str | None:
    return Path(path).resolve().name if path is not None and Path(path).exists() else path


def find_start(training: TrainingArguments, output: Path, run: dict[str, Any], resume: bool = False) -> Start:
    """Look into `training.output_dir` and the folder of the policy; nothing is written there, except that the last
    complete checkpoint's unfinished followers are renamed to `incomplete-checkpoint-N`.

    Args:
        training: of the run that is asked for.
        output: where its policy goes.
        run: what `identify_run` says of it.
        resume: go on also where something differs that may.

    Raises:
        ValueError: what is there is of another run, or can't be gone on with; the message names what differs.
    """
    work = output_folder(training)
    checkpoint = last_complete_checkpoint(work, training.world_size)
    if len(seen := set(gather_object([checkpoint]))) > 1:  # also waits until all have looked
        raise ValueError(
            f"output_dir: the processes see different checkpoints, {sorted(map(str, seen))}: give a folder that all machines "
            "share."
        )
    policy, of_policy = _policy_in(output)
    states = [state for state in (checkpoint and read_state(checkpoint), of_policy) if state]
    if policy is not None and not states:
        raise ValueError(f"{policy} holds a policy already, of another run: give another folder.")
    before: dict[str, Any] = {}
    said: list[str] = []
    for state in states:
        before = recorded_run(state)
        said = _require_same(before, run, state, work if state is not of_policy else output, resume)
    if policy is not None and of_policy is not None and _is_enough(of_policy, training):
        step, planned = of_policy["global_step"], "--max_steps" if training.max_steps > 0 else "--num_train_epochs"
        return Start(
            None, run, policy, (f"{policy}: finished before, at step {step}. For more steps raise {planned}.",)
        )
    unfinished = incomplete_checkpoints(work, training.world_size)
    if training.should_save:
        for folder in unfinished:
            folder.rename(_unused(folder.with_name(f"incomplete-{folder.name}")))
    if unfinished:
        names = ", ".join(folder.name for folder in unfinished)
        said.append(f"{names}: cut off while being written, now named incomplete-..., and not used")
    if checkpoint is None:
        if states:
            raise ValueError(
                f"{policy} holds a policy of {of_policy and of_policy['global_step']} steps and {work} no checkpoint to go on "
                "from: start anew from the policy with --init_from and another --output_dir."
            )
        if resume or unfinished:
            said.append(f"{work} holds no complete checkpoint: training starts at step 1")
        return Start(None, run, None, tuple(said))
    state = read_state(checkpoint) or {}
    said.append(f"going on from {checkpoint}, step {state['global_step']}; what came after it is trained again")
    if 0 < training.max_steps != state["max_steps"]:
        said.append(
            f"max_steps was {state['max_steps']} and is {training.max_steps}, for the learning rate's schedule, too"
        )
    order = {name: before[name] for name in ("block_streams", "block_batch_size") if name in before}
    return Start(checkpoint, run | order, None, tuple(said))


def _policy_in(output: Path) -> tuple[Path | None, dict[str, Any] | None]:
    """The folder of the policy, of a quantised run `adapter`, and its state; the card is written after all else."""
    for folder in (output, output / "adapter"):
        if list(folder.glob("*.safetensors")):
            return folder, read_state(folder) if (folder / "README.md").exists() else None
    return None, None


def _is_enough(state: Mapping[str, Any], training: TrainingArguments) -> bool:
    if training.max_steps > 0:
        return state["global_step"] >= training.max_steps
    return (state.get("epoch") or 0) >= training.num_train_epochs - 1e-6


def _require_same(
    before: dict[str, Any], run: dict[str, Any], state: Mapping[str, Any], folder: Path, resume: bool
) -> list[str]:
    """What differs and may, in words; ValueError for what may not."""
    differing = {name: (before[name], run[name]) for name in run if name in before and before[name] != run[name]}
    words = {
        name: f"{name} was {was!r} and is {now!r}"
        for name, (was, now) in differing.items()
        if not name.startswith("block_")  # follows from the others
    }
    step = state["global_step"]
    if before.get("save_only_model"):
        raise ValueError(
            f"{folder}: its checkpoints hold the model alone (save_only_model), nothing can go on from them. Start from their "
            "weights with --init_from CHECKPOINT and another --output_dir."
        )
    if fatal := [text for name, text in words.items() if name not in (*MAY_DIFFER, "samples_per_update")]:
        raise ValueError(
            f"{folder} holds another run, at step {step}: {'; '.join(fatal)}. Give another --output_dir, or that run's own "
            "options to go on with it (--resume where only processes and batches differ)."
        )
    if "samples_per_update" in differing or (
        "gradient_accumulation_steps" in differing and run["dataloader_drop_last"]
    ):
        was = before["samples_per_update"]
        raise ValueError(
            f"{folder}, at step {step}: {'; '.join(words.values())}. An update took {was} samples, so where the data goes on "
            f"can't be told otherwise: keep processes x per_device_train_batch_size x gradient_accumulation_steps at {was}"
            f"{' and gradient_accumulation_steps as it was (dataloader_drop_last)' if run['dataloader_drop_last'] else ''} "
            "and give --resume, or another --output_dir."
        )
    told = list(words.values()) if before else ["nothing says what run its checkpoints are of"]
    if told and not resume:
        raise ValueError(
            f"{folder} holds the checkpoints of another run, at step {step}: {'; '.join(told)}. Give --resume to go on with "
            "it, or another --output_dir."
        )
    return told


def _unused(folder: Path) -> Path:
    number = 2
    free = folder
    while free.exists():
        free = folder.with_name(f"{folder.name}-{number}")
        number += 1
    return free


__all__ = ["Start", "find_start", "identify_run"]
