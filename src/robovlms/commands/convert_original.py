"""`robovlms convert-original`: a checkpoint of the original RoboVLMs release as a checkpoint of this package."""

import json
import pickle
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, AutoProcessor

from robovlms.commands import CommandParser
from robovlms.configuration import ActionContract, CameraSpec, Statistics, VectorSpec
from robovlms.data.known_embodiments import CALVIN
from robovlms.modeling_robovlms import RoboVLMPreTrainedModel
from robovlms.modeling_robovlms.conversion_original import convert_original
from robovlms.processing import RoboVLMProcessor

CAMERA_SIZES = {"static": 200, "gripper": 84}  # CALVIN's, pixels
# Bare image tokens behind the first token, action tokens before the last one, as the release trained it.
PROMPTS = {
    "kosmos": "{images}<grounding>An image of a robot {instruction}{action}</s>",
    "paligemma": "<eos>{images}{instruction}{action}\n",
}
QUESTION = "{images}Input: What %d step actions should the robot take to {instruction}?\nOutput: \n"
DISCRETE_PROMPTS = {"kosmos": QUESTION + "</s>{action}", "paligemma": "<bos>" + QUESTION + "{action}"}


def make_parser(prog: str) -> CommandParser:
    parser = CommandParser(prog=prog, description=__doc__)
    parser.add_argument("--checkpoint", type=Path, required=True, help="the release's .pt or .ckpt file")
    parser.add_argument("--config", type=Path, required=True, help="the release's JSON")
    parser.add_argument("--backbone", required=True, help="Hub id or folder of the vision-language model")
    parser.add_argument("--output", type=Path, required=True, help="folder to write")
    parser.add_argument(
        "--contract",
        type=Path,
        help="JSON of the action contract, for checkpoints that were not trained on CALVIN (default: CALVIN's)",
    )
    return parser


def run(prog: str, arguments: Sequence[str]) -> None:
    options = make_parser(prog).parse_args(arguments)
    config = complete_config(json.loads(options.config.read_text()), options.backbone)
    contract = ActionContract.from_json(options.contract) if options.contract else make_calvin_contract(config)
    vla = convert_original(config, read_checkpoint(options.checkpoint))
    processor = make_processor(vla, config, contract, options.backbone)
    vla.save_pretrained(options.output)
    processor.save_pretrained(options.output)
    print(f"{options.output}: {type(vla).__name__} and its processor, contract {contract.hash}")


def read_checkpoint(file: Path) -> dict[str, torch.Tensor]:
    """Return the weights of a Lightning or plain checkpoint, read without running anything that is in it.

    Raises:
        ValueError: if the file holds more than tensors and plain values, or is a folder.
    """
    if file.is_dir():
        raise ValueError(
            f"{file} is a folder: consolidate it first, with the zero_to_fp32.py that DeepSpeed put there."
        )
    try:
        checkpoint = torch.load(file, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise ValueError(
            f"{file} holds more than weights and is not read, since that could run code. If you trust it, save its "
            f"'state_dict' alone where it was written. ({error})"
        ) from error
    weights = next((checkpoint[key] for key in ("state_dict", "model_state_dict") if key in checkpoint), checkpoint)
    if other := sorted(str(key) for key, value in weights.items() if not torch.is_tensor(value)):
        raise ValueError(f"{file} holds no 'state_dict', and these entries are no tensors: {other[:8]}.")
    return weights


def complete_config(config: dict[str, Any], backbone: str) -> dict[str, Any]:
    """Return the release's configuration with what it takes from the vision-language model's files."""
    config = config.get("configs", config)
    if config.get("parent"):
        raise ValueError(f"The config has a parent, {config['parent']!r}: merge the two files, --config takes one.")
    return config | {
        "backbone": config.get("backbone") or config["model"],
        "backbone_config": config.get("backbone_config") or AutoConfig.from_pretrained(backbone).to_dict(),
    }


def make_processor(
    vla: RoboVLMPreTrainedModel, config: dict[str, Any], contract: ActionContract, backbone: str
) -> RoboVLMProcessor:
    """Return the processor that lays out prompts and images as the release does."""
    for name in ("window_size", "chunk_size", "action_dim"):
        if getattr(contract, name) != getattr(vla.config, name):
            raise ValueError(
                f"{name} is {getattr(contract, name)} in the contract and {getattr(vla.config, name)} in the checkpoint."
            )
    token_ids = getattr(vla.config, "action_token_ids", None)
    template = PROMPTS[config["backbone"]]
    if token_ids is not None:
        template = DISCRETE_PROMPTS[config["backbone"]] % (contract.chunk_size + 1)  # sic
    published = AutoProcessor.from_pretrained(backbone)
    images = published.image_processor  # the release squashes images that are not square
    side = int(config.get("image_size", 224))
    images.size, images.do_resize = {"height": side, "width": side}, True
    if getattr(images, "do_center_crop", False):
        images.do_center_crop = False
    return RoboVLMProcessor(
        published,
        contract,
        num_action_tokens=vla.config.num_action_tokens,
        prompt_template=template,
        raw_prompt=True,
        action_attention="causal",
        action_token_ids=token_ids,
        token_source=vla.config.token_source,
    )


def make_calvin_contract(config: dict[str, Any]) -> ActionContract:
    """CALVIN's relative actions, clipped and scaled as the release does it; the gripper's camera comes first.

    Raises:
        ValueError: for a checkpoint of another dataset, or actions that were transformed in ways a contract cannot say.
    """
    dataset = config.get("train_dataset", {}).get("type", "DiskCalvinDataset")
    if "calvin" not in dataset.lower():
        raise ValueError(
            f"The checkpoint was trained on {dataset!r}, not on CALVIN: its robot's cameras, units and bounds are not in "
            "the config. Write them into an action contract and pass it with --contract."
        )
    if transforms := [name for name in ("use_mu_law", "regular_action", "tcp_rel") if config.get(name)]:
        raise ValueError(f"The checkpoint's actions were transformed by {transforms}, which no contract can express.")
    low, high = float(config.get("norm_min", -1.0)), float(config.get("norm_max", 1.0))
    width = len(CALVIN.action_names)
    bounds = {"q01": (low,) * width, "min": (low,) * width, "q99": (high,) * width, "max": (high,) * width}
    moments = {"mean": ((low + high) / 2,) * width, "std": ((high - low) / 2,) * width}
    statistics = Statistics(**bounds, **moments, count=1, origin="norm_min and norm_max of the original; not measured")
    names = ("gripper", "static") if config.get("use_hand_rgb") else ("static",)
    return ActionContract(
        embodiment=CALVIN.name,
        action=VectorSpec(
            names=CALVIN.action_names,
            units=CALVIN.units,
            # The release clips to these bounds before it scales, as the quantile mode does.
            normalization="quantile" if config.get("norm_action", False) else "none",
            statistics=statistics if config.get("norm_action", False) else None,
        ),
        cameras=tuple(CameraSpec(name, CAMERA_SIZES[name], CAMERA_SIZES[name]) for name in names),
        control_frequency=CALVIN.control_frequency,
        chunk_size=int(config["fwd_pred_next_n"]),
        window_size=int(config["window_size"]),
        grippers=CALVIN.grippers,
        rotation=CALVIN.rotation,
        frame=CALVIN.frame,
        mode=CALVIN.mode,
        notes="Converted from the original RoboVLMs release.",
    )
