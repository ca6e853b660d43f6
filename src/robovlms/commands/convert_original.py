"""`robovlms convert-original`: a checkpoint of the original RoboVLMs release as a checkpoint of this package."""

import argparse
import json
import pickle
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, AutoProcessor

from robovlms.configuration import ActionContract, CameraSpec, GripperSpec, Statistics, VectorSpec
from robovlms.modeling_robovlms.conversion_original import convert_original
from robovlms.processing import RoboVLMProcessor

NAMES = ("x", "y", "z", "roll", "pitch", "yaw", "gripper")
PROMPTS = {
    # bare image tokens, action tokens before the last token, as the release trained it
    "kosmos": "{images}<grounding>An image of a robot {instruction}{action}</s>",
    "paligemma": "<eos>{images}{instruction}{action}\n",
}


def run(prog: str, arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(prog=prog, description=__doc__)
    parser.add_argument("--checkpoint", type=Path, required=True, help="the release's .pt or .ckpt file")
    parser.add_argument("--config", type=Path, required=True, help="the release's JSON")
    parser.add_argument("--backbone", required=True, help="Hub id or folder of the vision-language model")
    parser.add_argument("--output", type=Path, required=True)
    options = parser.parse_args(arguments)
    config = complete_config(json.loads(options.config.read_text()), options.backbone)
    vla = convert_original(config, read_checkpoint(options.checkpoint))
    vla.save_pretrained(options.output)
    processor = RoboVLMProcessor.from_backbone(
        options.backbone,
        contract_of(config),
        num_action_tokens=vla.config.num_action_tokens,
        prompt_template=PROMPTS[config["backbone"]],
        raw_prompt=True,
        action_attention="causal",
        action_token_ids=getattr(vla.config, "action_token_ids", None),
    )
    processor.save_pretrained(options.output)
    print(f"{options.output}: {type(vla).__name__} and its processor, contract {processor.contract().hash}")


def read_checkpoint(file: Path) -> dict[str, torch.Tensor]:
    """The weights of a Lightning or plain checkpoint, read without running anything that is in it.

    Raises:
        ValueError: if the file holds more than tensors and plain values.
    """
    try:
        checkpoint = torch.load(file, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise ValueError(f"{file.name} holds more than weights and is not read, since that could run code: {error}") from error
    return next((checkpoint[key] for key in ("state_dict", "model_state_dict") if key in checkpoint), checkpoint)


def complete_config(config: dict[str, Any], backbone: str) -> dict[str, Any]:
    """The release's configuration with what it takes from the vision-language model's files."""
    config = config.get("configs", config)
    tokenizer = AutoProcessor.from_pretrained(backbone).tokenizer
    return config | {
        "backbone": config.get("backbone") or config["model"],
        "backbone_config": config.get("backbone_config") or AutoConfig.from_pretrained(backbone).to_dict(),
        "tokenizer": {"bos": tokenizer.bos_token, "eos": tokenizer.eos_token},
        "arm_gripper_loss_ratio": config.get("arm_gripper_loss_ratio", 0.01),
    }


def contract_of(config: dict[str, Any]) -> ActionContract:
    """CALVIN's relative actions, normalised as the release normalises them; its gripper's -1 closes, 1 opens."""
    low, high = float(config.get("norm_min", -1.0)), float(config.get("norm_max", 1.0))
    bounds = {"q01": (low,) * 7, "min": (low,) * 7, "q99": (high,) * 7, "max": (high,) * 7}
    statistics = Statistics(**bounds, mean=(0.0,) * 7, std=(1.0,) * 7, count=1, origin="norm_min and norm_max")
    size = int(config.get("image_size", 224))
    cameras = (CameraSpec("gripper", size, size),) if config.get("use_hand_rgb") else ()
    return ActionContract(
        embodiment="calvin",
        # The release clips to norm_min and norm_max before it scales: the quantile mode, with these bounds.
        action=VectorSpec(names=NAMES, normalization="quantile", statistics=statistics),
        cameras=(*cameras, CameraSpec("static", size, size)),
        control_frequency=30.0,
        chunk_size=int(config["fwd_pred_next_n"]),
        window_size=int(config["window_size"]),
        grippers=(GripperSpec(6, open_value=1.0, closed_value=-1.0),),
        rotation="euler_xyz",
        frame="world",
        mode="delta",
    )
