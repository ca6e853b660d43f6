"""The model of a run and the processor that belongs to it."""

import os
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import PreTrainedConfig

from ..configuration.action_contract import ActionContract
from ..configuration.configuration_robovlms import require_known_model_type
from ..configuration.head_configs import HeadConfig, head_config_from_dict
from ..modeling_robovlms import STRUCTURES, RoboVLMPreTrainedModel
from ..processing.processing_robovlms import RoboVLMProcessor
from .arguments import SCRATCH, SCRATCH_HEAD, LoRAArguments, VLAArguments
from .checkpoints import start_from
from .datasets import build_contracts, parts
from .lora import four_bit
from .scratch_backbone import write_scratch_backbone

FAST_CHUNKS = 512


def build_vla(
    arguments: VLAArguments, dataset: Any, folder: Path, lora: LoRAArguments | None = None
) -> tuple[RoboVLMPreTrainedModel, RoboVLMProcessor]:
    """A model and its processor; a scratch backbone is written below `folder`."""
    contracts = build_contracts(dataset, arguments)
    options: dict[str, Any] = {"dtype": arguments.dtype}
    if arguments.attn_implementation:
        options["attn_implementation"] = arguments.attn_implementation
    if lora is not None and lora.lora and lora.lora_base == "4bit":
        options["quantization_config"] = four_bit(getattr(torch, arguments.dtype))
    if arguments.init_from is not None:
        vla, processor, anew = start_from(arguments.init_from, contracts, **options)
        if anew:
            print(
                "The new contracts give these parameters another size; where the checkpoint has no such dimension or step "
                f"they start anew: {', '.join(anew)}"
            )
        return vla, processor
    backbone = _backbone(arguments, dataset, contracts, folder)
    processor = _processor(arguments, backbone, contracts, dataset)
    fields: dict[str, Any] = {"head_config": _head_config(arguments)} | processor.model_fields
    if not arguments.is_discrete:
        fields |= {
            "grounding_dim": _grounding_dim(dataset) if arguments.grounding_loss_weight else 0,
            "grounding_loss_weight": arguments.grounding_loss_weight,
        }
    contract = next(iter(contracts.values()))
    vla_class = STRUCTURES[arguments.structure_name]
    vla = vla_class.from_backbone(backbone, contract, **options, **fields)
    own = {name: part for name, part in vla.named_children() if name != "backbone"}
    if own:
        count = sum(parameter.numel() for part in own.values() for parameter in part.parameters())
        print(f"{', '.join(own)}: new, and to be learned ({count:,} parameters)")
    return vla, processor


def _backbone(arguments: VLAArguments, dataset: Any, contracts: dict[str, ActionContract], folder: Path) -> str:
    if arguments.backbone != SCRATCH:
        require_known_model_type(PreTrainedConfig.get_config_dict(arguments.backbone)[0], arguments.backbone)
        return arguments.backbone
    backbone = folder / "scratch_backbone"
    if int(os.environ.get("RANK", 0)) == 0:
        sentences = sorted({sentence for part in parts(dataset) for sentence in part.instructions})
        write_scratch_backbone(backbone, sentences, next(iter(contracts.values())).cameras[0].height)
    return str(backbone)


def _processor(
    arguments: VLAArguments, backbone: str, contracts: dict[str, ActionContract], dataset: Any
) -> RoboVLMProcessor:
    if not arguments.is_discrete:
        return RoboVLMProcessor.from_backbone(backbone, contracts, num_action_tokens=arguments.num_action_tokens)
    if arguments.action_tokenizer == "uniform":
        # The few tokens of a scratch vocabulary are all words of the instructions.
        placement = "new" if arguments.backbone == SCRATCH else arguments.action_token_placement
        return RoboVLMProcessor.from_backbone(
            backbone,
            contracts,
            action_bins=arguments.action_bins,
            action_token_placement=placement,
            decoding=arguments.decoding,
        )
    plain = RoboVLMProcessor.from_backbone(backbone, contracts)
    step = max(1, len(dataset) // FAST_CHUNKS)
    samples = [dataset[index] for index in range(0, len(dataset), step)]
    chunks = {
        name: np.stack(own)
        for name in contracts
        if (own := [sample["actions"][-1] for sample in samples if sample["embodiment"] == name])
    }
    return RoboVLMProcessor.from_backbone(
        backbone, contracts, fast=plain.fit_fast(chunks, vocab_size=arguments.action_bins)
    )


def _head_config(arguments: VLAArguments) -> HeadConfig | None:
    options = arguments.head_fields
    if arguments.is_discrete:
        return head_config_from_dict({"type": arguments.head or "token"} | options)
    head = arguments.head or STRUCTURES[arguments.structure_name].config_class.default_head.type
    if arguments.backbone == SCRATCH and head in ("mlp", "lstm", "gru", "transformer"):
        sizes = SCRATCH_HEAD if head == "mlp" else SCRATCH_HEAD | {"num_layers": 1}
        options = sizes | options
    return head_config_from_dict({"type": head} | options)


def _grounding_dim(dataset: Any) -> int:
    widths = {
        part.metadata.width("grounding") if hasattr(part, "metadata") and "grounding" in part.metadata.features else 0
        for part in parts(dataset)
    }
    return widths.pop() if len(widths) == 1 else 0
