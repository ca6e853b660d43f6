"""The processor of a VLA: observations, instructions and actions to tensors, and predicted actions back to the robot."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np
import torch
from transformers import AutoProcessor, BatchFeature, ProcessorMixin
from transformers.dynamic_module_utils import custom_object_save
from transformers.models.auto.processing_auto import processor_class_from_name

from ..configuration.action_contract import ActionContract
from ..configuration.configuration_robovlms import TokenSource
from ..configuration.package_version import VERSION
from ..configuration.saving import complete_checkpoint, travels_with, write_card
from ..configuration.widths import SharedWidths
from .action_encoding import ActionEncoder, mask_or_ones, shaped
from .action_tokenizer import choose_action_tokenizer, reused_token_ids
from .backbone_inputs import choose_inputs
from .camera_images import ordered_frames
from .prompts import PromptEncoder

if TYPE_CHECKING:  # a processor of continuous actions does without it
    from .action_tokenizer import ActionTokenizer

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

    Example:
        processor = RoboVLMProcessor.from_backbone("Qwen/Qwen2-VL-2B-Instruct", contract)
        inputs = processor({"front": images}, "push the block", states)  # (window, height, width, 3); (window, state_dim)
        actions = processor.decode_actions(vla.predict_action_chunk(**inputs))  # (1, chunk, action_dim)
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
        fast: "ActionTokenizer | Mapping[str, Any] | None" = None,
        token_source: TokenSource = "action",
        instruction_frames: Literal["every", "first"] = "every",
        image_options: Mapping[str, Any] | None = None,
    ):
        if isinstance(contracts, ActionContract):
            contracts = {contracts.embodiment: contracts}
        if not contracts:
            raise ValueError("contracts is empty: a processor needs the action contract of at least one embodiment.")
        self.backbone_processor = backbone_processor
        self.auto_map: dict[str, str] = {}  # where the code of this class is, for the Auto classes
        self.contracts = dict(contracts)
        self.num_action_tokens, self.prompt_template = num_action_tokens, prompt_template
        self.action_attention, self.raw_prompt, self.decoding = action_attention, raw_prompt, decoding
        self.chat_template = getattr(backbone_processor, "chat_template", None)
        self.backbone_inputs = choose_inputs(backbone_processor, image_options)
        self.backbone_inputs.require_images(max(len(contract.cameras) for contract in self.contracts.values()))
        self.token_source = token_source
        self.instruction_frames = instruction_frames
        self.prompts = PromptEncoder(
            self.backbone_inputs,
            self.tokenizer,
            template=prompt_template,
            attention=action_attention,
            is_raw=raw_prompt,
            token_source=token_source,
            marks_instruction=self.marks_instruction,
        )
        self.action_tokenizer: ActionTokenizer | None = None
        if fast is not None:
            is_made = not isinstance(fast, Mapping)
            self.action_tokenizer = fast if is_made else choose_action_tokenizer("fast").from_dict(fast)
        elif action_token_ids is not None:
            self.action_tokenizer = choose_action_tokenizer("uniform").from_dict({"token_ids": action_token_ids})
        elif action_bins is not None:
            uniform = choose_action_tokenizer("uniform")
            self.action_tokenizer = uniform.from_vocabulary(self.tokenizer, action_bins, action_token_placement)
        if self.action_tokenizer is not None:
            self.action_tokenizer.require_own_tokens(token_source, instruction_frames)
            self.num_action_tokens = self.action_tokenizer.tokens_per_chunk(self.contracts.values())
        self.action_encoder = ActionEncoder(
            self.contracts,
            self.action_tokenizer,
            decoding,
            text_tokenizer=self.tokenizer,
            token_type=self.backbone_inputs.appended_token_type,
        )

    @travels_with()
    @property
    def model_fields(self) -> dict[str, Any]:
        """The fields of the model's config that must be this processor's, for `from_backbone(..., **model_fields)`."""
        fields: dict[str, Any] = {"num_action_tokens": self.num_action_tokens} | self.widths.config_fields
        if self.action_tokenizer is None:
            fields["token_source"] = self.token_source
            return fields | ({"instruction_frames": self.instruction_frames} if self.marks_instruction else {})
        fields |= {"action_token_ids": list(self.action_tokenizer.token_ids), "decoding": self.decoding}
        if self.action_tokenizer.ends_with_stop:
            fields["action_tokenizer"] = self.action_tokenizer.kind
            fields["action_token_lengths"] = self.action_tokenizer.token_lengths
            fields["stop_token_id"] = self.tokenizer.eos_token_id
        return fields

    @travels_with()
    @property
    def widths(self) -> SharedWidths:
        """Of the model's action and state, which hold those of every contract."""
        return self.action_encoder.widths

    @property
    def marks_instruction(self) -> bool:
        """Whether inputs say which tokens are the instruction."""
        return self.instruction_frames == "first"

    @travels_with()
    def fit_fast(
        self, chunks: Any, embodiment: str | None = None, vocab_size: int = 1024, scale: float = 10.0
    ) -> "ActionTokenizer":
        """Train a FAST encoding on a dataset's chunks `(chunks, chunk, action_dim)`, or on a dict of them by embodiment,
        with the vocabulary's last ordinary tokens for its own; make a processor with `fast=` of it."""
        ids = reused_token_ids(self.tokenizer, vocab_size)
        by_name = chunks if isinstance(chunks, Mapping) else {self.contract(embodiment).embodiment: chunks}
        chunks = [self.action_encoder.actions[name].encode(np.asarray(own)) for name, own in by_name.items()]
        return choose_action_tokenizer("fast").fit(chunks, vocab_size, scale, token_ids=ids)

    @travels_with()
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
            "action_dim_mask",
            "state",
            "actions",
            "labels",
            "grounding",
        ]
        return [*self.backbone_processor.model_input_names, *own]

    @classmethod
    def get_attributes(cls) -> list[str]:
        return []

    @property
    def text_token_id(self) -> int:
        """What stands at the action tokens in `input_ids`."""
        return self.prompts.text_token_id

    @property
    def action_token_id(self) -> int:
        """What stands there in a prompt."""
        return self.prompts.action_token_id

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
            state: `(batch, window, state_dim)` raw; leading axes of size 1 may be left out. Embodiments of different
                widths: a list of `(window, state_dim)`, None for one without a state.
            actions: `(batch, window, chunk, action_dim)` raw (or such a list); where the contract has a transform, as the
                samples of a dataset with that transform hold them (`encode_actions` takes the robot's own).
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
        frames = [
            ordered_frames(own, contract, crop) for own, contract, crop in zip(samples, contracts, crops, strict=True)
        ]
        batch, window = len(frames), len(frames[0])
        if any(len(sample) != window for sample in frames):
            raise ValueError(f"images: samples hold different numbers of frames, {[len(s) for s in frames]}.")

        real = mask_or_ones(frame_mask, (batch, window), "frame_mask")
        if not real[:, -1].all():
            raise ValueError("frame_mask is False for a newest frame: only frames before the episode's start may be.")
        inputs = self.prompts.encode(instructions, frames, real, [self._placeholders(one) for one in contracts])
        inputs["frame_mask"] = real
        self.action_encoder.add_dims(inputs, contracts)
        self.action_encoder.add_state(inputs, state, contracts, (batch, window))
        if actions is not None:
            self.action_encoder.add_actions(inputs, actions, action_mask, contracts, (batch, window))
        if grounding is not None:
            grounding = np.asarray(grounding, dtype=np.float32)
            grounding = shaped(grounding, (batch, window, grounding.shape[-1]), "grounding")
            inputs["grounding"] = torch.from_numpy(grounding)
        return inputs

    def _contracts_per_sample(self, embodiment: str | Sequence[str] | None, batch: int) -> list[ActionContract]:
        if embodiment is None or isinstance(embodiment, str):
            return [self.contract(embodiment)] * batch
        if len(embodiment) != batch:
            raise ValueError(f"embodiment holds {len(embodiment)} names for {batch} samples.")
        return [self.contract(name) for name in embodiment]

    def prompt(self, instruction: str, num_images: int, embodiment: str | None = None) -> str:
        """The text of one frame, with the backbone's image placeholders and the action tokens."""
        return self.prompts.write(instruction, num_images, self._placeholders(self.contract(embodiment)))

    def _placeholders(self, contract: ActionContract) -> int:
        """Action token placeholders in a prompt; autoregressive tokens are appended instead, pooling needs none."""
        if self.action_tokenizer is not None:
            return 0 if self.decoding == "autoregressive" else contract.chunk_size * contract.predicted.dim
        return self.num_action_tokens if self.token_source == "action" else 0

    def encode_actions(self, actions: Any, embodiment: str | None = None, state: Any = None) -> np.ndarray:
        """The robot's actions `(..., action_dim)` to what the model learns, normalised float32; `state` as in
        `decode_actions`, whose inverse it is."""
        return self.action_encoder.encode(actions, self.contract(embodiment), state)

    def decode_actions(self, actions: Any, embodiment: str | None = None, state: Any = None) -> np.ndarray:
        """What the model predicts, normalised `(..., chunk, width)`, tensor or array, to the robot's own actions, float32
        `(..., chunk, action_dim)`.

        Args:
            state: raw `(..., state_dim)`, that of the observation from which each chunk was predicted; leading axes of size
                1 may be left out. Needed where the contract's transform refers to it, whether or not the policy sees it.

        Raises:
            ValueError: for a state that is needed and missing, or of another shape.
        """
        return self.action_encoder.decode(actions, self.contract(embodiment), state)

    @travels_with("one_step_discrete")
    def decode_action_tokens(self, token_ids: Any, embodiment: str | None = None, state: Any = None) -> np.ndarray:
        """Token ids `(rows, tokens)` of the discrete structure to the robot's actions `(rows, chunk, action_dim)`; `state`
        `(rows, state_dim)` as in `decode_actions`. Rows end at their first -1.

        Raises:
            ValueError: for a token that is no action token, or if this processor writes no tokens.
        """
        return self.action_encoder.decode_tokens(token_ids, self.contract(embodiment), state)

    def batch_decode(self, *args: Any, **kwargs: Any) -> list[str]:
        return self.tokenizer.batch_decode(*args, **kwargs)

    def decode(self, *args: Any, **kwargs: Any) -> str:
        return self.tokenizer.decode(*args, **kwargs)

    def to_dict(self) -> dict[str, Any]:
        """What this class adds to the backbone processor's files, as JSON."""
        kind = None if self.action_tokenizer is None else self.action_tokenizer.kind
        written = {} if self.action_tokenizer is None else self.action_tokenizer.to_dict()
        return {
            "contracts": {name: contract.to_dict() for name, contract in self.contracts.items()},
            "num_action_tokens": self.num_action_tokens,
            "prompt_template": self.prompt_template,
            "action_attention": self.action_attention,
            "action_token_ids": written["token_ids"] if kind == "uniform" else None,
            "fast": written if kind == "fast" else None,
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
        with complete_checkpoint(self, save_directory):
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
        return [str(file)]

    @travels_with()
    def _upload_modified_files(self, working_dir: str, repo_id: str, *args: Any, **options: Any) -> Any:
        """What `push_to_hub` does last."""
        write_card(working_dir, repo_id, options.get("token"))
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
        name = config["backbone_processor_class"]
        if (backbone_class := processor_class_from_name(name)) is None:
            raise ValueError(
                f"{pretrained_model_name_or_path} was made over a {name}, which transformers does not know: import the "
                "module that registers it with AutoProcessor first."
            )
        return cls(backbone_class.from_pretrained(pretrained_model_name_or_path, **kwargs), contracts, **own)
