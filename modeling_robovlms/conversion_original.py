"""Checkpoints of the original RoboVLMs release (KosMos-2 and PaliGemma) as VLAs of this package.

`convert_original` turns its configuration and weights into a VLA, `reference_inputs` its batches into that VLA's
inputs, token for token as the release lays them out.
"""

import math
import re
from typing import Any

import torch
from transformers import CONFIG_MAPPING, PreTrainedConfig

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
from .interleaved import InterleavedContinuousVLA
from .modeling_robovlms import RoboVLMPreTrainedModel
from .one_step import OneStepContinuousVLA
from .one_step_discrete import OneStepDiscreteVLA
from .policy_head import PolicyHeadContinuousVLA

VLAS = {
    vla.config_class: vla
    for vla in (OneStepContinuousVLA, OneStepDiscreteVLA, InterleavedContinuousVLA, PolicyHeadContinuousVLA)
}

HEAD_KEYS = [
    (r"^act_head\.rnn\.", "head.history.rnn."),
    (r"^act_head\.mlp\.", "head.history.mlp."),
    (r"^act_head\.fc\.", "head.history.fc."),
    (r"^act_head\.gpt\.", "head.history.gpt."),
    (r"^act_head\.actions\.mlp\.", "head.decoder.pose."),
    (r"^act_head\.gripper\.mlp\.", "head.decoder.gripper."),
]
BACKBONE_KEYS = {
    "kosmos": [],
    "paligemma": [
        (r"^backbone\.language_model\.model\.", "backbone.model.language_model."),
        (r"^backbone\.language_model\.lm_head\.", "backbone.lm_head."),
        (r"^backbone\.vision_tower\.vision_model\.", "backbone.model.vision_tower."),
        (r"^backbone\.multi_modal_projector\.", "backbone.model.multi_modal_projector."),
    ],
}
# Buffers of the bundled GPT-2, and a second name of the language head that evaluation wrote.
DROPPED_KEYS = re.compile(r"^act_head\.gpt\.h\.\d+\.attn\.(bias|masked_bias)$|^(lm_head|act_head)\.weight$")


def convert_original(config: dict[str, Any], state_dict: dict[str, torch.Tensor]) -> RoboVLMPreTrainedModel:
    """The VLA that a checkpoint of the original release holds, in eval mode.

    Args:
        config: the release's JSON, with `backbone_config` (the vision-language model's config as a dict).
        state_dict: its weights; prefixes that training tools put before the names are removed.

    Raises:
        ValueError: for a backbone, history or head that is not known, and if any weight is missing or left over.
    """
    vla_config = _config(config)
    with torch.random.fork_rng(devices=[]):
        vla = VLAS[type(vla_config)](vla_config).eval()
    weights = _converted_weights(config, state_dict, vla)
    own = vla.state_dict()
    missing, unexpected = sorted(set(own) - set(weights)), sorted(set(weights) - set(own))
    if missing or unexpected:
        raise ValueError(f"The checkpoint does not fit: missing {missing}, unexpected {unexpected}.")
    vla.load_state_dict(weights, strict=True)
    return vla


def _family(config: dict[str, Any]) -> str:
    family = config.get("backbone") or config.get("model")
    if family not in BACKBONE_KEYS:
        raise ValueError(f"backbone {family!r} cannot be converted: known are {sorted(BACKBONE_KEYS)}.")
    return family


def _config(config: dict[str, Any]) -> RoboVLMConfig:
    head, window = config["act_head"], config["window_size"]
    shared: dict[str, Any] = {
        "vlm_config": _backbone_config(config),
        "action_dim": head["action_dim"],
        "chunk_size": config["fwd_pred_next_n"],
        "window_size": window,
    }
    if head["action_space"] == "discrete":
        orig, bins = config["action_tokenizer"]["tokenizer_orig_size"], head["n_bin"]
        # The release counts down from `orig` as values go up.
        return OneStepDiscreteConfig(
            **shared, head_config=TokenHeadConfig(), action_token_ids=list(range(orig - 1, orig - bins - 1, -1))
        )
    shared |= {
        "head_config": _head_config(head, config["arm_gripper_loss_ratio"]),
        "num_action_tokens": head.get("latent", 1),
        "token_source": head.get("token_source", "all") if head["action_space"] == "down_sample" else "action",
    }
    history = head.get("history_type", "post")
    if history == "pre":
        return InterleavedContinuousConfig(**shared)
    if history != "post":
        raise ValueError(f"act_head.history_type = {history!r} cannot be converted: known are 'post' and 'pre'.")
    return PolicyHeadContinuousConfig(**shared) if window > 1 else OneStepContinuousConfig(**shared)


def _backbone_config(config: dict[str, Any]) -> PreTrainedConfig:
    values = dict(config["backbone_config"])
    return CONFIG_MAPPING[values.pop("model_type")](**values)


def _head_config(head: dict[str, Any], gripper_loss_weight: float) -> HeadConfig:
    shared = {"hidden_size": head["hidden_size"], "gripper_loss_weight": gripper_loss_weight}
    if head["type"] == "FCDecoder":
        return MLPHeadConfig(**shared)
    if head["type"] == "LSTMDecoder":
        return LSTMHeadConfig(**shared, num_layers=head.get("num_layers", 4))
    if head["type"] == "GPTDecoder":
        return TransformerHeadConfig(**shared)
    raise ValueError(f"act_head.type = {head['type']!r} cannot be converted: known are FCDecoder, LSTMDecoder, GPTDecoder.")


def _converted_weights(
    config: dict[str, Any], state_dict: dict[str, torch.Tensor], vla: RoboVLMPreTrainedModel
) -> dict[str, torch.Tensor]:
    renamings = HEAD_KEYS + BACKBONE_KEYS[_family(config)]
    weights = {}
    for key, value in state_dict.items():
        key = re.sub(r"^(_forward_module\.|module\.)*(model\.)?", "", key)
        if DROPPED_KEYS.match(key):
            continue
        if key == "action_token":
            value = value.expand(vla.config.num_action_tokens, -1) * _token_scale(vla)
            key = "action_tokens.weight"
        for pattern, replacement in renamings:
            key = re.sub(pattern, replacement, key)
        weights[key] = value
    if hasattr(vla, "action_tokens") and "action_tokens.weight" not in weights:  # pooled tokens: never read
        weights["action_tokens.weight"] = torch.zeros_like(vla.action_tokens.weight)
    return weights


def _token_scale(vla: RoboVLMPreTrainedModel) -> float:
    """The release scales PaliGemma's learnable token with the text embeddings; here it is written after that."""
    return math.sqrt(vla.config.get_text_config().hidden_size) if vla.config.vlm_config.model_type == "paligemma" else 1.0


def reference_inputs(config: dict[str, Any], inputs: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The original's batch as keyword arguments of the converted VLA's `forward`.

    Args:
        config: as for `convert_original`.
        inputs: `rgb` and `hand_rgb` `(batch, window, 3, height, width)` preprocessed, `text` and `text_mask` `(batch,
            length)`, optionally `action_chunck` `(batch, window, chunk, action_dim)` with grippers 0 (closed) or 1 and
            `chunck_mask` `(batch, window, chunk)`; for discrete actions `instr_and_action_ids`, `_labels` and `_mask`
            `(batch, window, length)`.
    """
    cameras = [inputs[name] for name in ("hand_rgb", "rgb") if name in inputs]  # the gripper's camera comes first
    batch, window = cameras[0].shape[:2]
    pixels = torch.stack(cameras, dim=2).flatten(0, 2)
    if config["act_head"]["action_space"] == "discrete":
        return _discrete_inputs(config, inputs, len(cameras), batch) | {"pixel_values": pixels}

    text = inputs["text"].repeat_interleave(window, dim=0)
    text_mask = inputs["text_mask"].repeat_interleave(window, dim=0).long()
    rows = _Rows(config, text, text_mask, len(cameras))
    if config["act_head"].get("history_type") == "pre":
        rows.join(batch)
    arguments = rows.arguments() | {
        "pixel_values": pixels,
        "frame_mask": torch.ones(batch, window, dtype=torch.bool),
    }
    if (actions := inputs.get("action_chunck")) is not None:
        gripper = actions[..., -1:] * 2 - 1
        arguments["actions"] = torch.cat([actions[..., :-1], gripper], dim=-1)
        if (mask := inputs.get("chunck_mask")) is not None:
            arguments["labels"] = torch.where(mask.bool(), 0, -100)
    return arguments


def _discrete_inputs(
    config: dict[str, Any], inputs: dict[str, torch.Tensor], cameras: int, batch: int
) -> dict[str, torch.Tensor]:
    ids, mask = inputs["instr_and_action_ids"].flatten(0, 1), inputs["instr_and_action_mask"].flatten(0, 1).long()
    rows = _Rows(config, ids, mask, cameras, images_at=1)
    if (labels := inputs.get("instr_and_action_labels")) is not None:
        rows.tensors["labels"] = rows.with_images(labels.flatten(0, 1), -100)
    rows.join(batch)
    return rows.arguments()


class _Rows:
    """Rows of `[first ids] [image tokens] [text] [action tokens] [last id]`, as the release builds them: positions
    count padding, and action tokens come before the last id of the padded row."""

    def __init__(
        self,
        config: dict[str, Any],
        text: torch.Tensor,
        mask: torch.Tensor,
        cameras: int,
        images_at: int | None = None,
    ):
        tokenizer, head = config["tokenizer"], config["act_head"]
        self.family, self.backbone = _family(config), _backbone_config(config)
        begin, end = int(tokenizer["bos"] is not None), int(tokenizer["eos"] is not None)
        self.images_at = begin if images_at is None else images_at
        self.image_length = cameras * self._tokens_per_image()
        input_ids, is_image = self.with_images(text, self._image_id()), self.with_images(torch.zeros_like(text), 1)
        attention = self.with_images(mask, 1)
        self.tensors = {"input_ids": input_ids, "attention_mask": attention, "is_image": is_image}
        if head["action_space"] == "continuous":
            visible = 0 if head.get("fill_zero") else 1
            self._insert_action_tokens(head.get("latent", 1), input_ids.shape[1] - end, visible, int(text[0, 0]))
        elif head["action_space"] == "down_sample":
            self.tensors["feature_token_mask"] = self._pooled(head.get("token_source", "all"), text.shape[1], begin, end)

    def _tokens_per_image(self) -> int:
        if self.family == "kosmos":
            return self.backbone.latent_query_num
        return (self.backbone.vision_config.image_size // self.backbone.vision_config.patch_size) ** 2

    def _image_id(self) -> int:
        return 3 if self.family == "kosmos" else self.backbone.image_token_id

    def with_images(self, text: torch.Tensor, value: int) -> torch.Tensor:
        """A tensor over text positions `(rows, length)` with `value` at the image tokens."""
        images = text.new_full((len(text), self.image_length), value)
        return torch.cat([text[:, : self.images_at], images, text[:, self.images_at :]], dim=1)

    def _insert_action_tokens(self, count: int, position: int, visible: int, text_id: int) -> None:
        values = {"input_ids": text_id, "attention_mask": visible, "is_image": 0, "action_token_mask": 1}
        self.tensors["action_token_mask"] = torch.zeros_like(self.tensors["is_image"])
        for name, tensor in self.tensors.items():
            tokens = tensor.new_full((len(tensor), count), values[name])
            self.tensors[name] = torch.cat([tensor[:, :position], tokens, tensor[:, position:]], dim=1)

    def _pooled(self, source: str, length: int, begin: int, end: int) -> torch.Tensor:
        language, whole = length - end - begin, self.tensors["input_ids"].shape[1]
        chosen = {
            "all": slice(0, whole),
            "vision": slice(begin, whole - language - end),
            "text": slice(whole - language - end, whole - end),
        }
        mask = torch.zeros_like(self.tensors["is_image"])
        mask[:, chosen[source]] = 1
        return mask

    def join(self, batch: int) -> None:
        """The rows of each sample one after another, padding included."""
        self.tensors = {name: tensor.reshape(batch, -1) for name, tensor in self.tensors.items()}

    def arguments(self) -> dict[str, torch.Tensor]:
        tensors = dict(self.tensors)
        is_image = tensors.pop("is_image")
        for name in ("action_token_mask", "feature_token_mask"):
            if name in tensors:
                tensors[name] = tensors[name].bool()
        positions = torch.arange(is_image.shape[1]).expand(is_image.shape)
        if self.family == "kosmos":
            first = self.backbone.text_config.pad_token_id + 1
            return tensors | {"image_embeds_position_mask": is_image, "position_ids": positions + first}
        return tensors | {"token_type_ids": torch.ones_like(is_image)}  # causal, as in the release
