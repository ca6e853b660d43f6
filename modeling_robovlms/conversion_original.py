"""Checkpoints of the original RoboVLMs release (KosMos-2 and PaliGemma) as VLAs of this package.

`convert_original` turns its configuration and weights into a VLA, `reference_inputs` its batches into that VLA's
inputs, token for token as the release lays them out.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import torch
from transformers import CONFIG_MAPPING, AutoConfig, PreTrainedConfig

from ..configuration.configuration_robovlms import (
    InterleavedContinuousConfig,
    OneStepContinuousConfig,
    OneStepDiscreteConfig,
    PolicyHeadContinuousConfig,
    RoboVLMConfig,
)
from ..configuration.head_configs import (
    HeadConfig,
    LSTMHeadConfig,
    MLPHeadConfig,
    TokenHeadConfig,
    TransformerHeadConfig,
)
from .continuous import OneStepContinuousVLA, PolicyHeadContinuousVLA
from .interleaved import InterleavedContinuousVLA
from .modeling_robovlms import RoboVLMPreTrainedModel
from .one_step_discrete import OneStepDiscreteVLA

VLAS: dict[type[RoboVLMConfig], type[RoboVLMPreTrainedModel]] = {
    vla.config_class: vla
    for vla in (OneStepContinuousVLA, OneStepDiscreteVLA, InterleavedContinuousVLA, PolicyHeadContinuousVLA)
}

# Put before every name by Lightning, DeepSpeed and data-parallel wrappers.
PREFIXES = re.compile(r"^((_forward_module|module|model)\.)+")
# Buffers of the bundled GPT-2, and the head under a second name, which the release's evaluation wrote.
DROPPED_KEYS = re.compile(r"^act_head\.gpt\.h\.\d+\.attn\.(bias|masked_bias)$|^lm_head\.")
HEAD_KEYS = {
    "act_head.rnn.": "head.history.rnn.",
    "act_head.mlp.": "head.history.mlp.",
    "act_head.fc.": "head.history.fc.",
    "act_head.gpt.": "head.history.gpt.",
    "act_head.actions.mlp.": "head.decoder.pose.",
    "act_head.gripper.mlp.": "head.decoder.gripper.",
}
BACKBONE_KEYS = {
    "kosmos": {},
    "paligemma": {
        "backbone.language_model.model.": "backbone.model.language_model.",
        "backbone.language_model.lm_head.": "backbone.lm_head.",
        "backbone.vision_tower.vision_model.": "backbone.model.vision_tower.",
        "backbone.multi_modal_projector.": "backbone.model.multi_modal_projector.",
    },
}
# Discrete action tokens count down from here: vocabulary size - special tokens - 10 of the published tokenizers.
PUBLISHED_TOKENIZERS = {("kosmos", 65037): 63995, ("paligemma", 257216): 257137}


def convert_original(config: Mapping[str, Any], state_dict: Mapping[str, torch.Tensor]) -> RoboVLMPreTrainedModel:
    """Return the VLA that a checkpoint of the original release holds, in eval mode and float32.

    Args:
        config: the release's JSON (`hyper_parameters["configs"]` of its checkpoints). `backbone_config`, the
            vision-language model's config as a dict, is added by the caller, or read from the folder or Hub id that
            `vlm.pretrained_model_name_or_path` names.
        state_dict: its weights; prefixes that training tools put before the names are removed.

    Raises:
        ValueError: for a backbone, history or head that is not known, and if any weight is missing, left over or of
            another shape.
    """
    release = _Release.read(config)
    vla_config = release.vla_config()
    with torch.random.fork_rng(devices=[]):
        vla = VLAS[type(vla_config)](vla_config).eval()
    own, weights = vla.state_dict(), _renamed(release, state_dict)
    missing, unexpected = sorted(set(own) - set(weights)), sorted(set(weights) - set(own))
    if missing or unexpected:
        raise ValueError(f"The checkpoint does not fit its config: missing {missing}, unexpected {unexpected}.")
    shapes = {key: (tuple(value.shape), tuple(own[key].shape)) for key, value in weights.items()}
    if wrong := [f"{key} {theirs} instead of {ours}" for key, (theirs, ours) in shapes.items() if theirs != ours]:
        raise ValueError(f"The checkpoint does not fit its config: {'; '.join(wrong)}.")
    vla.load_state_dict(weights, strict=True)
    return vla


def _renamed(release: "_Release", state_dict: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The weights under this package's names."""
    renamings = HEAD_KEYS | BACKBONE_KEYS[release.family]
    weights: dict[str, torch.Tensor] = {}
    for name, value in state_dict.items():
        key = PREFIXES.sub("", name)
        if DROPPED_KEYS.match(key):
            continue
        if key == "action_token":
            key, value = "action_tokens.weight", value.expand(release.latent, -1) * release.action_token_scale
        for old, new in renamings.items():
            if key.startswith(old):
                key = new + key.removeprefix(old)
        if key.startswith("backbone.model.multi_modal_projector."):
            value = value * release.image_scale
        if key in weights:
            raise ValueError(f"The checkpoint holds {key} twice, the second time as {name}.")
        weights[key] = value
    return weights


def reference_inputs(config: Mapping[str, Any], inputs: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Return the original's batch as keyword arguments of the converted VLA's `forward`.

    Args:
        config: as for `convert_original`.
        inputs: `rgb` and, if the config has `use_hand_rgb`, `hand_rgb` `(batch, window, 3, height, width)`
            preprocessed; `text` and `text_mask` `(batch, length)`; optionally `action_chunck` `(batch, window, chunk,
            action_dim)`, grippers being 0 (closed) or 1, and `chunck_mask` `(batch, window, chunk)`. For discrete
            actions `instr_and_action_ids` and optionally `_labels` and `_mask`, `(batch, window, length)` or the same
            for all frames, `(batch, length)`; without them `text` is the prompt. Anything else is ignored.
    """
    release = _Release.read(config)
    cameras = [inputs["rgb"]]
    if release.uses_hand_camera and inputs.get("hand_rgb") is not None:
        cameras.insert(0, inputs["hand_rgb"])  # the gripper's camera comes first
    batch, window = cameras[0].shape[:2]
    images = {"pixel_values": torch.stack(cameras, dim=2).flatten(0, 2)}
    if release.is_discrete:
        return _discrete_rows(release, inputs, (batch, window), len(cameras)).arguments() | images
    text, mask = (_every_frame(inputs[name], window) for name in ("text", "text_mask"))
    rows = _Rows(release, text, mask, len(cameras), release.begin)
    rows.add_features()
    if release.is_interleaved:
        rows.join(batch)
    frame_mask = torch.ones(batch, window, dtype=torch.bool, device=text.device)
    arguments = rows.arguments() | images | {"frame_mask": frame_mask}
    if (actions := inputs.get("action_chunck")) is not None:
        arguments["actions"] = torch.cat([actions[..., :-1], actions[..., -1:] * 2 - 1], dim=-1)
        if (mask := inputs.get("chunck_mask")) is not None:
            arguments["labels"] = torch.where(mask.bool(), 0, -100)
    return arguments


def _discrete_rows(
    release: "_Release", inputs: Mapping[str, torch.Tensor], frames: tuple[int, int], cameras: int
) -> "_Rows":
    """Prompt and action tokens of each frame, a sample's frames one after another."""
    ids, mask, labels = (inputs.get(f"instr_and_action_{name}") for name in ("ids", "mask", "labels"))
    if ids is None:
        ids, mask = inputs["text"], inputs.get("text_mask")
    mask = torch.ones_like(ids) if mask is None else mask
    rows = _Rows(release, _every_frame(ids, frames[1]), _every_frame(mask, frames[1]), cameras, images_at=1)
    if labels is not None:
        rows.tensors["labels"] = rows.with_images(_every_frame(labels, frames[1]), -100)
    rows.join(frames[0])
    return rows


def _every_frame(tokens: torch.Tensor, window: int) -> torch.Tensor:
    """`(batch, window, length)`, or `(batch, length)` repeated for every frame, as rows `(batch * window, length)`."""
    return tokens.flatten(0, 1) if tokens.ndim == 3 else tokens.repeat_interleave(window, dim=0)


@dataclass(frozen=True)
class _Release:
    """What of the release's configuration shapes the model and its input."""

    family: str
    backbone: PreTrainedConfig
    image_scale: float
    head: Mapping[str, Any]
    window: int
    chunk: int
    gripper_loss_weight: float
    uses_hand_camera: bool
    begin: int
    end: int
    action_token_end: int | None

    @classmethod
    def read(cls, config: Mapping[str, Any]) -> Self:
        """Raises ValueError for what cannot be converted."""
        family, head = config.get("backbone") or config.get("model"), config["act_head"]
        if family not in BACKBONE_KEYS:
            raise ValueError(f"backbone {family!r} cannot be converted: known are {sorted(BACKBONE_KEYS)}.")
        backbone, tokenizer = _backbone_config(config), config.get("tokenizer", {})
        text = backbone.get_text_config()
        width = (config.get("backbone_config") or {}).get("hidden_size") or getattr(backbone, "hidden_size", None)
        orig = config.get("action_tokenizer", {}).get("tokenizer_orig_size")
        release = cls(
            family=family,
            backbone=backbone,
            # The release divides PaliGemma's image tokens by the root of the config's outer hidden_size, and its
            # language model multiplies by that of its own.
            image_scale=math.sqrt(text.hidden_size / (width or text.hidden_size)),
            head=head,
            window=config["window_size"],
            chunk=config["fwd_pred_next_n"],
            gripper_loss_weight=config.get("arm_gripper_loss_ratio", 0.01),
            uses_hand_camera=config.get("use_hand_rgb", True),
            # Both families have a first and a last token; the goldens name them.
            begin=int(tokenizer.get("bos", True) is not None),
            end=int(tokenizer.get("eos", True) is not None),
            action_token_end=orig or PUBLISHED_TOKENIZERS.get((family, text.vocab_size)),
        )
        release.check()
        return release

    def check(self) -> None:
        known = {
            "history_type": ("post", "pre"),
            "action_space": ("continuous", "down_sample", "discrete"),
            "down_sample": ("none", "pooling"),
            "token_source": ("all", "vision", "text"),
        }
        for name, values in known.items():
            if self.head.get(name, values[0]) not in values:
                raise ValueError(f"act_head.{name} = {self.head[name]!r} cannot be converted: known are {values}.")
        if self.is_interleaved and self.action_space == "down_sample":
            raise ValueError("act_head.history_type = 'pre' with action_space = 'down_sample' cannot be converted.")
        if self.is_discrete:
            if self.action_token_end is None:
                raise ValueError(
                    "config['action_tokenizer']['tokenizer_orig_size'] is missing: the tokenizer's vocabulary size, "
                    "minus its special tokens, minus 10, from which discrete action tokens count down."
                )
            low, high = self.head.get("min_action", -1), self.head.get("max_action", 1)
            if (low, high) != (-1, 1):
                raise ValueError(f"act_head.min_action and max_action must be -1 and 1, got {low} and {high}.")

    @property
    def is_interleaved(self) -> bool:
        """Whether a sample's frames are one sequence; with a single frame both layouts are the same."""
        return self.head.get("history_type", "post") == "pre" and self.window > 1

    @property
    def action_space(self) -> str:
        return self.head.get("action_space", "continuous")

    @property
    def is_discrete(self) -> bool:
        return self.action_space == "discrete"

    @property
    def has_action_tokens(self) -> bool:
        return self.action_space == "continuous"

    @property
    def latent(self) -> int:
        """Action tokens, or pooled tokens, per frame."""
        return self.head.get("latent", 1)

    @property
    def token_source(self) -> str:
        return self.head.get("token_source", "all") if self.action_space == "down_sample" else "action"

    @property
    def action_token_scale(self) -> float:
        """The release scales PaliGemma's learnable token with the text embeddings; here it is written after that."""
        return math.sqrt(self.backbone.get_text_config().hidden_size) if self.family == "paligemma" else 1.0

    @property
    def tokens_per_image(self) -> int:
        if self.family == "kosmos":
            return self.backbone.latent_query_num
        return (self.backbone.vision_config.image_size // self.backbone.vision_config.patch_size) ** 2

    def vla_config(self) -> RoboVLMConfig:
        shared: dict[str, Any] = {
            "vlm_config": self.backbone,
            "action_dim": self.head.get("action_dim", 7),
            "chunk_size": self.chunk,
            "window_size": self.window,
        }
        if self.is_discrete:
            end = self.action_token_end
            assert end is not None  # `check` has seen to it
            ids = list(range(end - 1, end - self.head.get("n_bin", 256) - 1, -1))  # they fall as values rise
            return OneStepDiscreteConfig(
                **shared, head_config=TokenHeadConfig(), action_token_ids=ids, restricted=False
            )
        shared |= {
            "head_config": self.head_config(),
            "num_action_tokens": self.latent,
            "token_source": self.token_source,
        }
        if self.is_interleaved:
            return InterleavedContinuousConfig(**shared)
        return PolicyHeadContinuousConfig(**shared) if self.window > 1 else OneStepContinuousConfig(**shared)

    def head_config(self) -> HeadConfig:
        kind = self.head["type"]
        shared = {"gripper_loss_weight": self.gripper_loss_weight, "hidden_size": self.head.get("hidden_size", 1024)}
        if kind == "FCDecoder":
            return MLPHeadConfig(**shared)
        if kind == "LSTMDecoder":
            dropout = float(self.head.get("policy_rnn_dropout_p", 0.0))
            return LSTMHeadConfig(**shared, num_layers=self.head.get("num_layers", 4), dropout=dropout)
        if kind == "GPTDecoder":
            return TransformerHeadConfig(**shared)
        raise ValueError(
            f"act_head.type = {kind!r} cannot be converted: known are FCDecoder, LSTMDecoder, GPTDecoder."
        )


def _backbone_config(config: Mapping[str, Any]) -> PreTrainedConfig:
    if (given := config.get("backbone_config")) is not None:
        values = dict(given)
        return CONFIG_MAPPING[values.pop("model_type")](**values)
    name = config.get("vlm", {}).get("pretrained_model_name_or_path")
    try:
        return AutoConfig.from_pretrained(name)
    except (OSError, ValueError, TypeError) as error:
        raise ValueError(
            f"config lacks 'backbone_config', and vlm.pretrained_model_name_or_path = {name!r} holds no config. Set "
            "config['backbone_config'] = AutoConfig.from_pretrained(<the vision-language model>).to_dict()."
        ) from error


class _Rows:
    """Rows of `[first id] [image tokens] [text] [action tokens] [last id]`, one per frame, as the release builds them:
    positions count padding, and action tokens come before the last id of the padded row."""

    def __init__(self, release: _Release, text: torch.Tensor, mask: torch.Tensor, cameras: int, images_at: int):
        self.release, self.images_at = release, images_at
        self.text_length, self.image_length = text.shape[1], cameras * release.tokens_per_image
        self.text_id = int(text[0, 0])
        image_id = self.text_id if release.family == "kosmos" else release.backbone.image_token_id
        self.tensors = {
            "input_ids": self.with_images(text, image_id),
            "attention_mask": self.with_images(mask.long(), 1),
            "is_image": self.with_images(torch.zeros_like(text), 1),
        }

    def with_images(self, text: torch.Tensor, value: int) -> torch.Tensor:
        """Return a tensor over text positions `(rows, length)` with `value` at the image tokens."""
        images = text.new_full((len(text), self.image_length), value)
        return torch.cat([text[:, : self.images_at], images, text[:, self.images_at :]], dim=1)

    def add_features(self) -> None:
        """Insert action tokens, or mark the tokens that are pooled."""
        release, length = self.release, self.tensors["input_ids"].shape[1]
        self.tensors["marks"] = torch.zeros_like(self.tensors["is_image"])
        if release.has_action_tokens:
            visible = 0 if release.head.get("fill_zero") else 1
            values = {"input_ids": self.text_id, "attention_mask": visible, "is_image": 0, "marks": 1}
            at = length - release.end
            for name, tensor in self.tensors.items():
                tokens = tensor.new_full((len(tensor), release.latent), values[name])
                self.tensors[name] = torch.cat([tensor[:, :at], tokens, tensor[:, at:]], dim=1)
        else:
            text_at = length - self.text_length + release.begin
            parts = {"all": (0, length), "vision": (release.begin, text_at), "text": (text_at, length - release.end)}
            self.tensors["marks"][:, slice(*parts[release.token_source])] = 1

    def join(self, batch: int) -> None:
        """The rows of each sample one after another, padding included."""
        self.tensors = {name: tensor.reshape(batch, -1) for name, tensor in self.tensors.items()}

    def arguments(self) -> dict[str, torch.Tensor]:
        tensors = dict(self.tensors)
        is_image = tensors.pop("is_image")
        if (marks := tensors.pop("marks", None)) is not None:
            tensors["action_token_mask" if self.release.has_action_tokens else "feature_token_mask"] = marks.bool()
        if self.release.family == "paligemma":
            return tensors | {"token_type_ids": torch.ones_like(is_image)}  # causal, as in the release
        tensors["image_embeds_position_mask"] = is_image
        pad = self.release.backbone.text_config.pad_token_id
        if (tensors["input_ids"] == pad).any():  # KosMos-2 itself would not count padding
            positions = torch.arange(is_image.shape[1], device=is_image.device)
            tensors["position_ids"] = positions.expand_as(is_image) + pad + 1
        return tensors
