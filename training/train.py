"""Training a VLA on a dataset with `transformers.Trainer`."""

import json
import os
from dataclasses import dataclass, field
from pathlib import Path

import torch
from transformers import Trainer, TrainingArguments, set_seed
from transformers.trainer_utils import get_last_checkpoint

from ..configuration.configuration_robovlms import OneStepContinuousConfig
from ..configuration.head_configs import HEAD_CONFIGS, head_config_from_dict
from ..data import LeRobotDataset, VLACollator, action_contract
from ..modeling_robovlms import STRUCTURES, ContinuousVLA
from ..processing.processing_robovlms import RoboVLMProcessor
from .callbacks import LossParts
from .scratch_backbone import write_scratch_backbone

SCRATCH = "scratch"


@dataclass
class VLAArguments:
    """What to train, on what. The defaults are the quickstart's."""

    dataset: str = field(metadata={"help": "LeRobot dataset: folder or Hub id."})
    backbone: str = field(
        default=SCRATCH,
        metadata={"help": f"Vision-language model: Hub id or folder, or {SCRATCH!r} for a small new one."},
    )
    structure: str = field(default="policy_head_continuous", metadata={"choices": sorted(STRUCTURES)})
    head: str = field(default="lstm", metadata={"choices": sorted(HEAD_CONFIGS)})
    checkpoint: str | None = field(
        default=None, metadata={"help": "Where model and processor go; default: output_dir."}
    )
    head_options: str = field(
        default='{"hidden_size": 256, "num_layers": 1, "decoder_sizes": [256], "gripper_loss_weight": 0.1}',
        metadata={"help": "JSON: fields of the head's config."},
    )
    window_size: int = field(default=2, metadata={"help": "Observations per sample (one-step structures use 1)."})
    history_stride: int = field(default=4, metadata={"help": "Control steps between observations of the window."})
    chunk_size: int = field(default=8, metadata={"help": "Actions per prediction."})
    n_action_steps: int = field(default=4, metadata={"help": "Actions executed per prediction."})
    cameras: list[str] | None = field(default=None, metadata={"help": "Cameras in order; all by default."})
    use_state: bool = field(default=True, metadata={"help": "Whether the policy sees the proprioceptive state."})
    normalization: str = field(default="min_max", metadata={"help": "quantile, min_max, mean_std or none."})
    grounding_loss_weight: float = field(
        default=2.0, metadata={"help": "Weight of the auxiliary loss, where the dataset has a 'grounding' column."}
    )
    cache_gib: float = field(default=2.0, metadata={"help": "Bound of decoded frames kept in memory."})


@dataclass
class ScratchTrainingArguments(TrainingArguments):
    """`TrainingArguments` with the defaults of the quickstart: a small model from random weights on a CPU.

    To fine-tune a published backbone give at least `--learning_rate 2e-5`.
    """

    output_dir: str | None = field(default="outputs/train")
    learning_rate: float = field(default=2e-3)
    max_steps: int = field(default=3200)
    per_device_train_batch_size: int = field(default=16)
    warmup_steps: float = field(default=0.05)
    lr_scheduler_type: str = field(default="cosine")
    weight_decay: float = field(default=0.01)
    adam_beta2: float = field(default=0.98)
    logging_steps: float = field(default=50)
    save_steps: float = field(default=500)
    save_total_limit: int | None = field(default=1)
    use_cpu: bool = field(default=not torch.cuda.is_available())
    ddp_find_unused_parameters: bool | None = field(default=False)
    remove_unused_columns: bool = field(default=False)
    report_to: str = field(default="none")


def build_dataset(arguments: VLAArguments) -> LeRobotDataset:
    """The windows that the structure trains on."""
    one_step = STRUCTURES[arguments.structure].config_class is OneStepContinuousConfig
    return LeRobotDataset(
        arguments.dataset,
        window_size=1 if one_step else arguments.window_size,
        history_stride=1 if one_step else arguments.history_stride,
        chunk_size=arguments.chunk_size,
        cameras=arguments.cameras,
        cache_bytes=int(arguments.cache_gib * 2**30),
    )


def build_vla(
    arguments: VLAArguments, dataset: LeRobotDataset, folder: Path
) -> tuple[ContinuousVLA, RoboVLMProcessor]:
    """A model and the processor that belongs to it; a scratch backbone is written below `folder`."""
    contract = action_contract(
        dataset,
        n_action_steps=arguments.n_action_steps,
        normalization=arguments.normalization,
        use_state=arguments.use_state,
    )
    backbone = arguments.backbone
    if backbone == SCRATCH:
        sentences = sorted(dataset.metadata.tasks.values())
        backbone = str(folder / "scratch_backbone")
        if int(os.environ.get("RANK", 0)) == 0:
            write_scratch_backbone(backbone, sentences, contract.cameras[0].height)
    grounding_dim = dataset.metadata.width("grounding") if "grounding" in dataset.metadata.features else 0
    vla = STRUCTURES[arguments.structure].from_backbone(
        backbone,
        contract,
        head_config=head_config_from_dict({"type": arguments.head} | json.loads(arguments.head_options)),
        grounding_dim=grounding_dim if arguments.grounding_loss_weight else 0,
        grounding_loss_weight=arguments.grounding_loss_weight,
    )
    return vla, RoboVLMProcessor.from_backbone(backbone, contract)


def train(arguments: VLAArguments, training: TrainingArguments) -> Path:
    """Train, and leave model, processor and the Trainer's state in `arguments.checkpoint`.

    A run that was interrupted goes on from the last of the Trainer's checkpoints in `training.output_dir`.
    """
    work = Path(training.output_dir)
    output = Path(arguments.checkpoint or work)
    last = get_last_checkpoint(str(work)) if work.is_dir() else None
    set_seed(training.seed)
    dataset = build_dataset(arguments)
    with training.main_process_first(desc="writing the backbone"):
        vla, processor = build_vla(arguments, dataset, work)
    trainer = Trainer(
        model=vla,
        args=training,
        train_dataset=dataset,
        data_collator=VLACollator(processor),
    )
    # Before the reporters, so that they get the parts too.
    trainer.callback_handler.callbacks.insert(0, LossParts())
    trainer.train(resume_from_checkpoint=last)
    if trainer.is_world_process_zero():
        vla.save_pretrained(output)  # and not the Trainer's own files, which tell of this machine
        processor.save_pretrained(output)
        trainer.state.save_to_json(str(output / "trainer_state.json"))
    return output
