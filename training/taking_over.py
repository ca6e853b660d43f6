"""What a checkpoint has learnt of a robot's dimensions, in a model of other widths."""

import json
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

import torch
from safetensors import safe_open
from transformers.utils import SAFE_WEIGHTS_INDEX_NAME, SAFE_WEIGHTS_NAME
from transformers.utils.hub import cached_file

from ..configuration.configuration_robovlms import RoboVLMConfig
from ..modeling_robovlms import RoboVLMPreTrainedModel

# Parameters of which one axis counts dimensions, perhaps for each step of a chunk: the axis, and dimensions of what.
COUNTING = {
    r"state_encoder\.weight": (1, "state"),
    r"head\.decoder\.pose\.\d+\.(weight|bias)": (0, "pose"),
    r"head\.decoder\.gripper\.\d+\.(weight|bias)": (0, "gripper"),
    r"head\.decoder\.denoiser\.actions\.weight": (1, "action"),
    r"head\.decoder\.denoiser\.output\.1\.(weight|bias)": (0, "action"),
    r"action_tokens\.weight": (0, "token"),
}


@torch.no_grad()
def take_over(model: RoboVLMPreTrainedModel, checkpoint: str, old: RoboVLMConfig, names: Iterable[str]) -> None:
    """Copy into the parameters of these names, which have another size in `checkpoint` (whose config is `old`), the
    dimensions that both have: the first pose dimension from the first, the first gripper from the first, and so on.
    Parameters that count nothing of that kind, and chunks of another length, stay as they are."""
    counting = {name: found for name in names for pattern, found in COUNTING.items() if re.fullmatch(pattern, name)}
    for name, saved in saved_tensors(checkpoint, list(counting)).items():
        axis, kind = counting[name]
        ours, theirs = (groups_of(config, kind) for config in (model.config, old))
        widths = [sum(len(group) for group in groups) for groups in (ours, theirs)]
        if not all(widths):
            continue
        wanted, found = (
            values.transpose(0, axis).unflatten(0, (-1, width))  # (steps, dimensions, ...)
            for values, width in zip((model.get_parameter(name).data, saved), widths, strict=True)
        )
        if (len(wanted), *wanted.shape[2:]) != (len(found), *found.shape[2:]):
            continue
        for own, other in zip(ours, theirs, strict=True):
            both = min(len(own), len(other))
            wanted[:, own[:both]] = found[:, other[:both]].to(wanted)


def groups_of(config: RoboVLMConfig, kind: str) -> list[list[int]]:
    """The places along an axis that counts dimensions of that kind, those that stand for each other's in one list."""
    return {
        "state": [list(range(config.state_dim))],
        "pose": [list(range(len(config.pose_dims)))],
        "gripper": [list(range(len(config.grippers)))],
        "action": [config.pose_dims, config.grippers],
        "token": [list(range(config.action_dim))],
    }[kind]


def saved_tensors(checkpoint: str, names: Sequence[str]) -> dict[str, torch.Tensor]:
    """Tensors of a checkpoint's safetensors, from a folder or the Hub."""
    index = cached_file(checkpoint, SAFE_WEIGHTS_INDEX_NAME, _raise_exceptions_for_missing_entries=False)
    places = {} if index is None else json.loads(Path(index).read_text())["weight_map"]
    tensors = {}
    for name in names:
        file = cached_file(checkpoint, places.get(name, SAFE_WEIGHTS_NAME))
        with safe_open(str(file), framework="pt") as weights:
            tensors[name] = weights.get_tensor(name)
    return tensors
