"""The processor of a VLA: observations, instructions and actions to tensors, and predicted actions back to the robot."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
import torch
from transformers import AutoProcessor, BatchFeature, ProcessorMixin
from transformers.dynamic_module_utils import custom_object_save
from transformers.models.auto.processing_auto import processor_class_from_name

from ..configuration.action_contract import ActionContract
from ..configuration.configuration_robovlms import TokenSource
from ..configuration.package_version import VERSION
from ..configuration.save_listeners import tell_after_save, tell_before_save, tell_before_upload
from .appended_tokens import append_tokens
from .backbone_inputs import ACTION_TOKEN
from .centre_crop import seen_part
from .fast_action_tokenizer import FASTActionTokenizer
from .marked_tokens import MARK, marked, take_marks_out
from .normalization import ActionNormalizer, VectorNormalizer
from .prompt_families.choose_inputs import backbone_inputs
from .uniform_action_tokenizer import UniformActionTokenizer, new_token_ids, reused_token_ids

Images = Mapping[str, np.ndarray]


class RoboVLMProcessor(ProcessorMixin):
    """Bundles the backbone's own processor, the prompt and one action contract per embodiment.

    Args:
        backbone_processor: the vision-language model's processor, as published.
        contracts: action contracts by embodiment, or a single contract.
        num_action_tokens: action tokens per frame; must be the model's.
        prompt_template: one frame, with `{images}`, `{instruction}` and `{action}`.
        action_attention: "causal" or "prefix": in prefix language models (PaliGemma) whether the prompt is read
            causally, or in both directions with the action tokens after it. Elsewhere everything is causal.
        raw_prompt: whether `prompt_template` is the whole text: image placeholders come without the marks around
            them, and the backbone's processor adds nothing (converted checkpoints).
        action_bins: for the discrete structure, how many uniform bins a dimension has: actions are written as tokens.
            Their ids are chosen when the processor is made, and saved.
        action_token_ids: those ids, from -1 to +1; chosen by `action_token_placement` if None.
        action_token_placement: "reuse" the vocabulary's last ordinary tokens, or add "new" ones.
        decoding: "autoregressive" or "parallel", of the discrete structure.
        fast: a FAST encoding of chunks instead of uniform bins; see `fit_fast`.
        token_source: what the model's head reads: "action" tokens, or "all", the "vision" or the "text" tokens of a
            frame, without action tokens then; must be the model's.
        instruction_frames: in which frames of an interleaved window the model keeps the instruction, "every" one or
            the "first"; must be the model's.
        image_options: options of the backbone's processor, for example `{"max_pixels": 50176}`, beside those that keep
            an image in one tile; all are given at every call, and saved.

    Raises:
        ValueError: naming the argument, for a prompt without its parts, contracts that do not go together, and what a
            discrete structure cannot be given.
    """

    def __init__(
        self,
        backbone_processor: ProcessorMixin,
        contracts: ActionContract | Mapping[str, ActionContract],
        num_action_tokens: int = 1,
        prompt_template: str = "{images}{instruction}{action}",
        action_attention: Literal["causal", "prefix"] = "prefix",
        raw_prompt: bool = False,
        action_bins: int | None = None,
        action_token_ids: Sequence[int] | None = None,
        action_token_placement: Literal["reuse", "new"] = "reuse",
        decoding: Literal["autoregressive", "parallel"] = "autoregressive",
        fast: FASTActionTokenizer | Mapping[str, Any] | None = None,
        token_source: TokenSource = "action",
        instruction_frames: Literal["every", "first"] = "every",
        image_options: Mapping[str, Any] | None = None,
    ):
        if isinstance(contracts, ActionContract):
            contracts = {contracts.embodiment: contracts}
        if not contracts:
            raise ValueError("contracts is empty: a processor needs the action contract of at least one embodiment.")
        if missing := [name for name in ("{images}", "{instruction}", "{action}") if name not in prompt_template]:
            raise ValueError(f"prompt_template {prompt_template!r} lacks {missing}.")
        self.backbone_processor = backbone_processor
        self.auto_map: dict[str, str] = {}  # where the code of this class is, for the Auto classes
        self.contracts = dict(contracts)
        self.num_action_tokens = num_action_tokens
        self.prompt_template = prompt_template
        self.action_attention = action_attention
        self.chat_template = getattr(backbone_processor, "chat_template", None)
        self.backbone_inputs = backbone_inputs(backbone_processor, image_options)
        self.backbone_inputs.require_images(max(len(contract.cameras) for contract in self.contracts.values()))
        self._actions = {name: ActionNormalizer(contract) for name, contract in self.contracts.items()}
        self._states = {
            name: VectorNormalizer(contract.state, f"state of embodiment {name!r}")
            for name, contract in self.contracts.items()
            if contract.state is not None
        }
        self.tokenizer.add_tokens([ACTION_TOKEN], special_tokens=True)
        self.action_token_id = self.tokenizer.convert_tokens_to_ids(ACTION_TOKEN)
        self.text_token_id = self._ordinary_text_id()
        self.token_source = token_source
        self.instruction_frames = instruction_frames
        if self.marks_instruction:
            self.tokenizer.add_tokens([MARK], special_tokens=True)
        self.decoding = decoding
        self.raw_prompt = raw_prompt
        self.action_tokenizer: UniformActionTokenizer | FASTActionTokenizer | None = None
        if fast is not None:
            self.action_tokenizer = fast if isinstance(fast, FASTActionTokenizer) else FASTActionTokenizer(**fast)
        elif action_token_ids is not None:
            self.action_tokenizer = UniformActionTokenizer(action_token_ids)
        elif action_bins is not None:
            choose = new_token_ids if action_token_placement == "new" else reused_token_ids
            self.action_tokenizer = UniformActionTokenizer(choose(self.tokenizer, action_bins))
        if self.action_tokenizer is not None:
            sizes = {(contract.chunk_size, contract.action_dim) for contract in self.contracts.values()}
            if len(sizes) > 1:
                raise ValueError(
                    f"Discrete actions need one chunk size and action width for all contracts, got {sizes}."
                )
            chunk_size, action_dim = sizes.pop()
            # FAST may need a token for each coefficient, and one more to end.
            self.num_action_tokens = chunk_size * action_dim + int(self.is_fast)
            if token_source != "action" or self.marks_instruction:
                raise ValueError(
                    "The discrete structure writes its own tokens: token_source must be 'action' and instruction_frames "
                    f"'every', got {token_source!r} and {instruction_frames!r}."
                )

    @property
    def model_fields(self) -> dict[str, Any]:
        """The fields of the model's config that must be this processor's, for `from_backbone(..., **model_fields)`."""
        fields: dict[str, Any] = {"num_action_tokens": self.num_action_tokens}
        if self.action_tokenizer is None:
            fields["token_source"] = self.token_source
            return fields | ({"instruction_frames": self.instruction_frames} if self.marks_instruction else {})
        fields |= {"action_token_ids": list(self.action_tokenizer.token_ids), "decoding": self.decoding}
        if isinstance(self.action_tokenizer, FASTActionTokenizer):
            fields["action_tokenizer"] = "fast"
            fields["action_token_lengths"] = self.action_tokenizer.token_lengths
            fields["stop_token_id"] = self.tokenizer.eos_token_id
        return fields

    @property
    def marks_instruction(self) -> bool:
        """Whether inputs say which tokens are the instruction."""
        return self.instruction_frames == "first"

    @property
    def is_fast(self) -> bool:
        """Whether chunks are written in the FAST encoding."""
        return isinstance(self.action_tokenizer, FASTActionTokenizer)

    def fit_fast(
        self, chunks: Any, embodiment: str | None = None, vocab_size: int = 1024, scale: float = 10.0
    ) -> FASTActionTokenizer:
        """Train a FAST encoding on raw chunks `(chunks, chunk, action_dim)`, with the vocabulary's last ordinary tokens
        for its own; make a processor with `fast=` of it."""
        ids = reused_token_ids(self.tokenizer, vocab_size)
        return FASTActionTokenizer.fit(self.encode_actions(chunks, embodiment), vocab_size, scale, token_ids=ids)

    @classmethod
    def from_backbone(
        cls, name_or_path: str, contracts: ActionContract | Mapping[str, ActionContract], **options: Any
    ) -> Self:
        """A processor over the one that is published with a vision-language model (Hub id or folder)."""
        return cls(AutoProcessor.from_pretrained(name_or_path), contracts, **options)

    @property
    def tokenizer(self):
        return self.backbone_processor.tokenizer

    @property
    def image_processor(self):
        return self.backbone_processor.image_processor

    @property
    def model_input_names(self) -> list[str]:
        own = [
            "action_token_mask",
            "feature_token_mask",
            "instruction_mask",
            "frame_mask",
            "state",
            "actions",
            "labels",
            "grounding",
        ]
        return [*self.backbone_processor.model_input_names, *own]

    @classmethod
    def get_attributes(cls) -> list[str]:
        return []

    def _ordinary_text_id(self) -> int:
        """An id of plain text, which stands at the action tokens while the backbone counts and masks by ids."""
        special = set(self.tokenizer.all_special_ids)
        ids = [i for i in self.tokenizer.encode("action", add_special_tokens=False) if i not in special]
        if not ids:
            raise ValueError("The tokenizer writes 'action' with special tokens only; it cannot carry action tokens.")
        return ids[-1]

    def contract(self, embodiment: str | None = None) -> ActionContract:
        """The contract of `embodiment`; None where there is only one.

        Raises:
            ValueError: listing the embodiments, if it is unknown, or not given where there are several.
        """
        if embodiment is None and len(self.contracts) == 1:
            return next(iter(self.contracts.values()))
        if embodiment not in self.contracts:
            asked = "no embodiment was given" if embodiment is None else f"embodiment {embodiment!r} is unknown"
            raise ValueError(f"{asked}: this processor has statistics of {sorted(self.contracts)}.")
        return self.contracts[embodiment]

    def __call__(
        self,
        images: Images | Sequence[Images],
        instruction: str | Sequence[str],
        state: Any = None,
        actions: Any = None,
        action_mask: Any = None,
        frame_mask: Any = None,
        grounding: Any = None,
        embodiment: str | Sequence[str] | None = None,
        cropped: Sequence[Mapping[str, float]] | None = None,
    ) -> BatchFeature:
        """One sample or a batch to the model's inputs.

        Args:
            images: per sample a dict from camera to uint8 RGB `(height, width, 3)` or, with history, `(window, height,
                width, 3)`.
            instruction: one per sample.
            state: `(batch, window, state_dim)` raw; leading axes of size 1 may be left out.
            actions: `(batch, window, chunk, action_dim)` raw.
            action_mask: bool `(batch, window, chunk)`, False where an action does not count. None: all count.
            frame_mask: bool `(batch, window)`, False for frames before the episode's start. None: all real.
            grounding: auxiliary targets `(batch, window, grounding_dim)`, passed through.
            embodiment: one for all, or one per sample.
            cropped: per sample, the fraction of the area of those cameras' images that training cropped randomly. Other
                images get the contract's centre crop, where it has one.

        Raises:
            ValueError: naming the field, for missing cameras, wrong shapes, and values that are not finite.
        """
        single = isinstance(images, Mapping)
        samples = [images] if single else list(images)
        instructions = [instruction] if isinstance(instruction, str) else list(instruction)
        if len(samples) != len(instructions):
            raise ValueError(f"images hold {len(samples)} samples, instruction holds {len(instructions)}.")
        contracts = self._contracts_per_sample(embodiment, len(samples))
        crops = [{} for _ in samples] if cropped is None else list(cropped)
        frames = [self._frames(*each) for each in zip(samples, contracts, crops, strict=True)]
        batch, window = len(frames), len(frames[0])
        if any(len(sample) != window for sample in frames):
            raise ValueError(f"images: samples hold different numbers of frames, {[len(s) for s in frames]}.")

        real = _mask(frame_mask, (batch, window), "frame_mask")
        if not real[:, -1].all():
            raise ValueError("frame_mask is False for a newest frame: only frames before the episode's start may be.")
        inputs = self._encode_prompts(instructions, frames, real)
        inputs["frame_mask"] = real
        self._add_state(inputs, state, contracts, (batch, window))
        if actions is not None:
            self._add_actions(inputs, actions, action_mask, contracts, (batch, window))
        if grounding is not None:
            grounding = np.asarray(grounding, dtype=np.float32)
            inputs["grounding"] = torch.from_numpy(
                _shaped(grounding, (batch, window, grounding.shape[-1]), "grounding")
            )
        return inputs

    def _contracts_per_sample(self, embodiment: str | Sequence[str] | None, batch: int) -> list[ActionContract]:
        if embodiment is None or isinstance(embodiment, str):
            return [self.contract(embodiment)] * batch
        if len(embodiment) != batch:
            raise ValueError(f"embodiment holds {len(embodiment)} names for {batch} samples.")
        return [self.contract(name) for name in embodiment]

    def _frames(
        self, images: Images, contract: ActionContract, cropped: Mapping[str, float]
    ) -> list[list[np.ndarray]]:
        """Per frame, the cameras' images in the contract's order."""
        missing = [name for name in contract.camera_names if name not in images]
        if missing:
            raise ValueError(
                f"images lack camera(s) {missing} of embodiment {contract.embodiment!r}; got {sorted(images)}."
            )
        cameras = []
        for camera in contract.cameras:
            pixels = np.asarray(images[camera.name])
            pixels = pixels[None] if pixels.ndim == 3 else pixels
            if pixels.dtype != np.uint8 or pixels.shape[1:] != (camera.height, camera.width, 3):
                raise ValueError(
                    f"images[{camera.name!r}] must be uint8 of shape (window, {camera.height}, {camera.width}, 3), the "
                    f"size that embodiment {contract.embodiment!r} was trained on; got {pixels.dtype} {pixels.shape}."
                )
            cameras.append(seen_part(pixels, camera, cropped.get(camera.name)))
        if len({len(pixels) for pixels in cameras}) > 1:
            raise ValueError(f"images: cameras hold different numbers of frames, {[len(p) for p in cameras]}.")
        return [list(frame) for frame in zip(*cameras, strict=True)]

    def prompt(self, instruction: str, num_images: int) -> str:
        """The text of one frame, with the backbone's image placeholders and the action tokens."""
        if self.raw_prompt:
            placeholder = self.backbone_inputs.raw_image_prompt()
        else:
            placeholder = self.backbone_inputs.image_prompt + self.backbone_inputs.image_separator
        instruction = marked(instruction) if self.marks_instruction else instruction
        return self.prompt_template.format(
            images=placeholder * num_images, instruction=instruction, action=ACTION_TOKEN * self._placeholders
        )

    @property
    def _placeholders(self) -> int:
        """Action token placeholders in a prompt; autoregressive tokens are appended instead, pooling needs none."""
        appended = self.action_tokenizer is not None and self.decoding == "autoregressive"
        return 0 if appended or self.token_source != "action" else self.num_action_tokens

    def _encode_prompts(
        self, instructions: list[str], frames: list[list[list[np.ndarray]]], real: torch.Tensor
    ) -> BatchFeature:
        """One row per real frame."""
        texts, images = [], []
        for sample, frame in real.nonzero().tolist():
            images.append(frames[sample][frame])
            texts.append(self.prompt(instructions[sample], len(images[-1])))
        inputs = (
            self.backbone_inputs.from_raw(texts, images) if self.raw_prompt else self.backbone_inputs(texts, images)
        )
        if self.marks_instruction:
            mark_id = self.tokenizer.convert_tokens_to_ids(MARK)
            inputs["instruction_mask"] = take_marks_out(inputs, mark_id)
        mask = inputs["input_ids"] == self.action_token_id
        inputs["input_ids"] = inputs["input_ids"].masked_fill(mask, self.text_token_id)
        if self._placeholders:
            inputs["action_token_mask"] = mask
        self.backbone_inputs.mark_actions(inputs, mask, causal=self.action_attention == "causal")
        if self.token_source != "action":
            inputs["feature_token_mask"] = self._pooled_tokens(inputs)
        return inputs

    def _pooled_tokens(self, inputs: BatchFeature) -> torch.Tensor:
        """The tokens that `token_source` names, bool `(rows, sequence)`; text is what is neither an image nor the
        prompt's begin or end."""
        ids, real = inputs["input_ids"], inputs["attention_mask"].bool()
        if self.token_source == "all":
            return real
        is_image = self.backbone_inputs.image_positions(inputs)
        if self.token_source == "vision":
            return real & is_image
        if self.raw_prompt:  # its own first and last token
            order = real.cumsum(dim=1)
            is_text = (order > 1) & (order < order[:, -1:])
        else:
            ends = [i for i in (self.tokenizer.bos_token_id, self.tokenizer.eos_token_id) if i is not None]
            is_text = ~torch.isin(ids, torch.tensor(ends, dtype=ids.dtype))
        return real & ~is_image & is_text

    def _add_state(
        self, inputs: BatchFeature, state: Any, contracts: list[ActionContract], shape: tuple[int, int]
    ) -> None:
        wanted = {contract.embodiment for contract in contracts if contract.state is not None}
        if not wanted:
            return
        if state is None:
            raise ValueError(f"state is missing: embodiment(s) {sorted(wanted)} use it.")
        values = np.asarray(state, dtype=np.float64)
        values = _shaped(values, (*shape, contracts[0].state_dim), "state")
        rows = [self._states[contract.embodiment].encode(row) for contract, row in zip(contracts, values, strict=True)]
        inputs["state"] = torch.from_numpy(np.stack(rows))

    def _add_actions(
        self,
        inputs: BatchFeature,
        actions: Any,
        action_mask: Any,
        contracts: list[ActionContract],
        shape: tuple[int, int],
    ) -> None:
        values = np.asarray(actions)
        wanted = (*shape, contracts[0].chunk_size)
        if values.ndim == 2 and shape == (1, 1):
            values = values[None, None]
        if values.ndim != 4 or values.shape[:3] != wanted:
            raise ValueError(
                f"actions must have shape (batch, window, chunk, action_dim) = {wanted} + (action_dim,), "
                f"got {np.asarray(actions).shape}."
            )
        encoded = [
            self.encode_actions(row, contract.embodiment) for row, contract in zip(values, contracts, strict=True)
        ]
        inputs["actions"] = torch.from_numpy(np.stack(encoded))
        valid = _mask(action_mask, wanted, "action_mask") & inputs["frame_mask"][..., None]
        if self.action_tokenizer is None:
            inputs["labels"] = torch.where(valid, 0, -100)
        else:
            self._add_action_tokens(inputs, valid)

    def _add_action_tokens(self, inputs: BatchFeature, valid: torch.Tensor) -> None:
        """Labels of the discrete structure; autoregressive action tokens are also appended to the prompts."""
        rows = len(inputs["input_ids"])
        if self.is_fast:
            stop = self.tokenizer.eos_token_id
            chunks = inputs["actions"].flatten(0, 1).numpy()
            ids = [torch.tensor([*self.action_tokenizer.encode(chunk), stop]) for chunk in chunks]
            append_tokens(inputs, ids, ids, self.tokenizer.pad_token_id, self.backbone_inputs.appended_token_type)
            return
        ids = torch.from_numpy(self.action_tokenizer.encode(inputs["actions"].numpy())).reshape(rows, -1)
        counts = valid[..., None].expand(inputs["actions"].shape).reshape(rows, -1)
        targets = torch.where(counts, ids, -100)
        if self.decoding == "parallel":
            labels = torch.full_like(inputs["input_ids"], -100)
            inputs["labels"] = labels.masked_scatter(inputs["action_token_mask"], targets)
        else:
            append_tokens(
                inputs, list(ids), list(targets), self.tokenizer.pad_token_id, self.backbone_inputs.appended_token_type
            )

    def encode_actions(self, actions: Any, embodiment: str | None = None) -> np.ndarray:
        """Raw `(..., action_dim)` to normalised float32."""
        return self._actions[self.contract(embodiment).embodiment].encode(np.asarray(actions))

    def decode_actions(self, actions: Any, embodiment: str | None = None) -> np.ndarray:
        """Normalised `(..., action_dim)`, tensor or array, to float32 in the robot's units: the inverse of encoding."""
        if torch.is_tensor(actions):
            actions = actions.detach().float().cpu().numpy()
        return self._actions[self.contract(embodiment).embodiment].decode(actions)

    def decode_action_tokens(self, token_ids: Any, embodiment: str | None = None) -> np.ndarray:
        """Token ids `(rows, tokens)` of the discrete structure to actions `(rows, chunk, action_dim)` in the robot's
        units. FAST rows end at their first -1.

        Raises:
            ValueError: for a token that is no action token, or if this processor writes no tokens.
        """
        if self.action_tokenizer is None:
            raise ValueError("This processor has no action tokenizer: make it with action_bins for discrete actions.")
        contract = self.contract(embodiment)
        token_ids = np.asarray(token_ids)
        if self.is_fast:
            values = np.stack([self.action_tokenizer.decode(row[row >= 0]) for row in token_ids])
        else:
            values = self.action_tokenizer.decode(token_ids)
            values = values.reshape(len(values), contract.chunk_size, contract.action_dim)
        return self.decode_actions(values, contract.embodiment)

    def batch_decode(self, *args: Any, **kwargs: Any) -> list[str]:
        return self.tokenizer.batch_decode(*args, **kwargs)

    def decode(self, *args: Any, **kwargs: Any) -> str:
        return self.tokenizer.decode(*args, **kwargs)

    def to_dict(self) -> dict[str, Any]:
        """What this class adds to the backbone processor's files, as JSON."""
        return {
            "contracts": {name: contract.to_dict() for name, contract in self.contracts.items()},
            "num_action_tokens": self.num_action_tokens,
            "prompt_template": self.prompt_template,
            "action_attention": self.action_attention,
            "action_token_ids": list(self.action_tokenizer.token_ids)
            if self.action_tokenizer is not None and not self.is_fast
            else None,
            "fast": self.action_tokenizer.to_dict() if self.is_fast else None,
            "decoding": self.decoding,
            "raw_prompt": self.raw_prompt,
            "token_source": self.token_source,
            "instruction_frames": self.instruction_frames,
            "image_options": dict(self.backbone_inputs.image_options),
        }

    def __repr__(self) -> str:
        return f"{type(self).__name__}({json.dumps(self.to_dict(), indent=2)})"

    def save_pretrained(self, save_directory: str | Path, push_to_hub: bool = False, **kwargs: Any) -> list[str]:
        """Write the backbone processor's own files, and into its `processor_config.json` what this class adds."""
        if push_to_hub:
            raise ValueError("push_to_hub is not an option of save_pretrained here: call processor.push_to_hub(repo).")
        tell_before_save(self, save_directory)
        self.backbone_processor.save_pretrained(save_directory, **kwargs)
        file = Path(save_directory) / "processor_config.json"
        config = json.loads(file.read_text()) if file.exists() else {}
        if self.auto_map:
            config["auto_map"] = self.auto_map
        if self._auto_class is not None:  # this is remote code itself
            custom_object_save(self, save_directory, config=config)
        config["backbone_processor_class"] = type(self.backbone_processor).__name__
        config["processor_class"] = type(self).__name__
        config["robovlms"] = self.to_dict() | {"version": VERSION}
        file.write_text(json.dumps(config, indent=2, sort_keys=True, allow_nan=False) + "\n")
        tell_after_save(self, save_directory)
        return [str(file)]

    def _upload_modified_files(self, working_dir: str, repo_id: str, *args: Any, **options: Any) -> Any:
        """What `push_to_hub` does last."""
        tell_before_upload(self, working_dir, repo_id, options.get("token"))
        return super()._upload_modified_files(working_dir, repo_id, *args, **options)

    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path: str | Path, **kwargs: Any) -> Self:
        """Load what `save_pretrained` wrote, from a folder or the Hub."""
        config, _ = ProcessorMixin.get_processor_dict(pretrained_model_name_or_path, **kwargs)
        if "robovlms" not in config:
            raise ValueError(
                f"{pretrained_model_name_or_path} holds no robovlms processor (its processor_config.json has no "
                "'robovlms' entry). For a plain vision-language model use RoboVLMProcessor.from_backbone."
            )
        own = dict(config["robovlms"])
        own.pop("version", None)
        contracts = {name: ActionContract.from_dict(data) for name, data in own.pop("contracts").items()}
        backbone_class = processor_class_from_name(config["backbone_processor_class"])
        return cls(backbone_class.from_pretrained(pretrained_model_name_or_path, **kwargs), contracts, **own)


def _mask(mask: Any, shape: tuple[int, ...], name: str) -> torch.Tensor:
    if mask is None:
        return torch.ones(shape, dtype=torch.bool)
    return torch.from_numpy(_shaped(np.asarray(mask, dtype=bool), shape, name))


def _shaped(values: np.ndarray, shape: tuple[int, ...], name: str) -> np.ndarray:
    """`values` in `shape`; leading axes of size 1 may be missing."""
    if tuple(values.shape) != shape[len(shape) - values.ndim :] or any(
        n != 1 for n in shape[: len(shape) - values.ndim]
    ):
        raise ValueError(f"{name} must have shape {shape}, got {tuple(values.shape)}.")
    return values.reshape(shape)
