"""Training a VLA on datasets with `transformers.Trainer`."""

import copy
import re
import shlex
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import torch
from peft import PeftModel, get_peft_model
from safetensors import SafetensorError
from torch import nn
from transformers import TrainingArguments, set_seed

from ..configuration.hub_access import require_reachable
from ..data import VLACollator
from ..hub_cards import write_model_card
from ..modeling_robovlms import RoboVLMPreTrainedModel
from ..modeling_robovlms.adapters import save_adapter
from ..processing.processing_robovlms import RoboVLMProcessor
from .arguments import SCRATCH, FreezingArguments, LoRAArguments, RolloutArguments, VLAArguments, require_effect
from .build import build_vla
from .checkpoints import last_complete_checkpoint
from .datasets import DatasetSpec, build_dataset
from .dry_run import describe_plan
from .freezing import freeze
from .keep_checkpoints import KeepCheckpoints
from .learning_checks import find_warnings
from .lora import lora_config
from .monitoring import monitor
from .precision import hold_trained_in_float32
from .resuming import Start, find_start, identify_run
from .rollouts import Rollouts, suite_score
from .stopping import StopSafely, TrainingStopped
from .vla_trainer import VLATrainer, output_folder


def train(
    arguments: VLAArguments,
    training: TrainingArguments,
    freezing: FreezingArguments | None = None,
    lora: LoRAArguments | None = None,
    rollouts: RolloutArguments | None = None,
    command: Sequence[str] = (),
) -> Path:
    """Train, and leave model, processor, card and report in `arguments.checkpoint`; returns the folder of the policy.

    A run that was interrupted goes on from the last complete checkpoint in `training.output_dir`, exactly; one that is
    finished stays as it is. With LoRA the adapters lie in the folder `adapter` beside the merged model; over a 4-bit
    backbone they are the policy. `command` is what was typed, for the report; of its paths the last parts are kept.

    Raises:
        ValueError: for options that do not go together, or a folder that holds another run.
        TrainingStopped: after SIGTERM, with a checkpoint written.
        FloatingPointError: the loss or the weights are not finite; they were not saved.
    """
    freezing, lora, rollouts = freezing or FreezingArguments(), lora or LoRAArguments(), rollouts or RolloutArguments()
    if training.hub_token is not None:
        raise ValueError("hub_token would be stored in clear text with the checkpoints: run `hf auth login` instead.")
    if training.resume_from_checkpoint is not None:
        raise ValueError(
            "resume_from_checkpoint: say --resume, which goes on from the last complete checkpoint in output_dir; for "
            "another run's weights, --init_from."
        )
    passing = tempfile.TemporaryDirectory() if arguments.dry_run else None
    if passing is not None:  # a Trainer makes its folder at once
        training = copy.copy(training)
        training.output_dir = passing.name
    work = output_folder(training)
    output = Path(arguments.checkpoint or work)
    if (name_or_path := arguments.init_from or arguments.backbone) != SCRATCH:
        require_reachable(name_or_path)
    require_effect(arguments, lora, rollouts)
    set_seed(training.seed)
    dataset = build_dataset(arguments)
    run = identify_run(arguments, training, freezing, lora, dataset)
    start = Start(None, run) if arguments.dry_run else find_start(training, output, run, arguments.resume)
    if training.process_index == 0:
        print(*start.said, sep="\n", end="\n" if start.said else "", flush=True)
    if start.policy is not None:
        return start.policy
    with training.main_process_first(desc="writing the backbone"):
        vla, processor = build_vla(arguments, dataset, work, lora)
    model = trainable(vla, freezing, lora)
    hold_trained_in_float32(model, training)
    trainer = VLATrainer(
        model=model,
        args=training,
        train_dataset=dataset,
        eval_dataset=build_dataset(arguments, arguments.eval_dataset) if arguments.eval_dataset else None,
        data_collator=VLACollator(processor),
        processing_class=processor,
    )
    if passing is not None:
        for line in describe_plan(trainer, model, dataset, processor) if trainer.is_world_process_zero() else ():
            print(line, flush=True)
        passing.cleanup()
        return output
    trainer.block_order = start.run["block_streams"], start.run["block_batch_size"]
    names = {contract.action.names for contract in processor.contracts.values()}
    monitor(trainer, names.pop() if len(names) == 1 else None, report_facts(arguments, command))
    trainer.add_callback(KeepCheckpoints(start.run))
    trainer.add_callback(stop := StopSafely())
    if rollouts.rollout_suite is not None:
        score = suite_score(
            processor,
            rollouts.rollout_suite,
            rollouts.rollout_embodiment,
            tasks=rollouts.rollout_tasks,
            episodes=rollouts.rollout_episodes,
            num_envs=rollouts.rollout_envs,
        )
        trainer.add_callback(Rollouts(trainer, score, rollouts.rollout_steps))
    with _saying_what_is_left(training), stop:
        trainer.train(resume_from_checkpoint=start.checkpoint)
        trainer.accelerator.wait_for_everyone()
        if stop.stopped:
            raise TrainingStopped(f"told to stop (SIGTERM) at step {trainer.state.global_step}.")
        for warning in find_warnings(trainer.state.log_history) if trainer.is_world_process_zero() else ():
            print(f"warning: {warning}")
        folder = save(trainer, processor, output) if trainer.is_world_process_zero() else output
        trainer.accelerator.wait_for_everyone()  # the policy is there, whichever process looks
        return folder


@contextmanager
def _saying_what_is_left(training: TrainingArguments) -> Iterator[None]:
    """Whatever ends the run says where its last complete checkpoint is."""
    try:
        try:
            yield
        except SafetensorError as error:  # of a full disk; known as nothing more than an Exception
            raise OSError(f"writing weights failed: {error}") from error
    except BaseException as error:
        last = last_complete_checkpoint(output_folder(training), training.world_size)
        error.add_note(
            f"No complete checkpoint is in {output_folder(training)} yet."
            if last is None
            else f"The last complete checkpoint, which is a policy as it stands, is {last}. The same command goes on from it."
        )
        raise


def trainable(vla: RoboVLMPreTrainedModel, freezing: FreezingArguments, lora: LoRAArguments) -> nn.Module:
    """The model with frozen parts, or with adapters; says how much of it is trained."""
    if lora.lora:
        if freezing != FreezingArguments():
            raise ValueError("lora freezes the whole backbone below its adapters: leave out the freeze_* options.")
        config = lora_config(vla, lora.lora_rank, lora.lora_alpha, lora.lora_dropout, lora.lora_vision)
        model: nn.Module = get_peft_model(vla, config)
    else:
        model = vla
        freeze(
            vla,
            backbone=freezing.freeze_backbone,
            vision_tower=freezing.freeze_vision_tower,
            language_model=freezing.freeze_language_model,
            train_last_layers=freezing.train_last_layers,
            embeddings=freezing.freeze_embeddings,
        )
    trained, total = count_parameters(model)
    print(f"training {trained:,} of {total:,} parameters ({trained / total:.1%})")
    return model


def count_parameters(model: nn.Module) -> tuple[int, int]:
    """(trained, all); PEFT's frozen originals of modules that are trained in full are not counted beside them."""
    counted = [each for name, each in model.named_parameters() if ".original_module." not in name]
    return sum(each.numel() for each in counted if each.requires_grad), sum(each.numel() for each in counted)


def report_facts(arguments: VLAArguments, command: Sequence[str] = ()) -> dict[str, str]:
    """What a report says of a run, which may be published: of paths their last parts alone."""
    facts = {
        "dataset": ", ".join(DatasetSpec.parse(each).path for each in arguments.dataset),
        "backbone": arguments.init_from or arguments.backbone,
        "structure": arguments.structure_name,
    } | ({"command": shlex.join(command)} if command else {})
    return {name: shorten_paths(text) for name, text in facts.items()}


# A path from the root, the home or a folder above or here; a Hub id ("me/my_vla") and an address are none.
LOCAL_PATH = re.compile(r"""(?<![\w.~:/-])(?:~|\.{1,2})?/(?:[^\s"',/]+/)*([^\s"',/]+)""")


def shorten_paths(text: str) -> str:
    """The text with the last part of each local path in its place."""
    return LOCAL_PATH.sub(r"\1", text)


def save(trainer: VLATrainer, processor: RoboVLMProcessor, output: Path) -> Path:
    """Model, processor and card, and not the Trainer's own files, which tell of this machine. Returns the folder of what
    was trained: over a quantised backbone, into which adapters cannot be merged, that of the adapter."""
    vla = trainer.accelerator.unwrap_model(trainer.model)
    if isinstance(vla, PeftModel):
        adapter = output / "adapter"
        save_adapter(vla, adapter)
        processor.save_pretrained(adapter)
        trainer.write_recipe(adapter)
        write_model_card(adapter)
        if getattr(vla.get_base_model(), "is_quantized", False):
            output = adapter
        else:
            vla = vla.merge_and_unload()
    if not isinstance(vla, PeftModel):
        if any(each.requires_grad and each.dtype == torch.float32 for each in vla.backbone.parameters()):
            vla.float()  # one dtype is saved for all: frozen bfloat16 weights must not round the trained ones
        vla.save_pretrained(output)
        processor.save_pretrained(output)
        trainer.write_recipe(output)
        write_model_card(output)
    if trainer.args.push_to_hub:
        trainer.publish(output, "End of training")
    return output
