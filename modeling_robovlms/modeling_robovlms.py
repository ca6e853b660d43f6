"""What all VLAs share: the backbone, the action tokens, loading and saving, and the framework's seven handles."""

import copy
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Self

import torch
from torch import nn
from transformers import AutoConfig, AutoImageProcessor, AutoModelForImageTextToText, PreTrainedConfig, PreTrainedModel
from transformers.utils.quantization_config import QuantizationConfigMixin

from ..configuration.action_contract import ActionContract
from ..configuration.configuration_robovlms import RoboVLMConfig
from ..configuration.save_listeners import tell_after_save, tell_before_upload
from .backbone import Backbone, backbone_runner
from .heads.action_head import ActionTargets
from .heads.build_head import build_head
from .heads.overlap import ChunkOverlap
from .initialization import init_layer
from .outputs import VLAOutput
from .quantization import quantizing_the_backbone_only, take_quantization
from .state_dict import published_names_to_own
from .streaming import VLACache

OWN_MODULES = ("action_tokens", "state_encoder", "grounding", "head")


class RoboVLMPreTrainedModel(PreTrainedModel):
    """Base of every VLA."""

    config: RoboVLMConfig
    base_model_prefix = "backbone"
    main_input_name = "input_ids"
    input_modalities = ("image", "text")
    supports_gradient_checkpointing = True
    accepts_loss_kwargs = True
    reads_logits: ClassVar[bool] = False
    _supports_sdpa = True
    _supports_flash_attn = True
    _supports_flex_attn = True
    _supports_attention_backend = True
    # Patterns: a bare "head" would also be found in the backbone's "lm_head".
    _keep_in_fp32_modules_strict: ClassVar[list[str]] = [
        "action_tokens",
        "state_encoder",
        "grounding",
        "head.history",
        "head.decoder",
    ]

    def __init__(self, config: RoboVLMConfig):
        super().__init__(config)
        self.backbone = AutoModelForImageTextToText.from_config(config.vlm_config)
        self.runner.require_support(config)

    def _init_weights(self, module: nn.Module) -> None:
        init_layer(module)

    @classmethod
    def from_backbone(
        cls,
        name_or_path: str,
        contract: ActionContract | None = None,
        *,
        config: RoboVLMConfig | None = None,
        revision: str | None = None,
        dtype: str | torch.dtype | None = None,
        attn_implementation: str | None = None,
        device_map: Any = None,
        quantization_config: QuantizationConfigMixin | dict[str, Any] | None = None,
        trust_remote_code: bool = False,
        **config_fields: Any,
    ) -> Self:
        """A VLA over the published weights of a vision-language model; action tokens and head are new.

        Args:
            name_or_path: Hub id or folder of the vision-language model.
            contract: gives action, chunk, window and state sizes; `config_fields` override or replace it.
            config: the config of another VLA, in place of contract and fields; its `vlm_config` becomes that of this
                backbone.
            dtype, attn_implementation, device_map: as in transformers' `from_pretrained`. Action tokens and heads are
                float32 whatever the `dtype`.
            quantization_config: as in transformers; only the backbone is quantised. A backbone that was published
                quantised needs none.
            config_fields: fields of the structure's config, for example `head_config`.

        Raises:
            ValueError: if the model takes no images, weights of the backbone are missing in its files, or a config is given
                beside a contract or fields.
            ImportError: if the library that `quantization_config` needs is not installed.
        """
        vlm_config = AutoConfig.from_pretrained(name_or_path, revision=revision, trust_remote_code=trust_remote_code)
        require_image_input(vlm_config, name_or_path)
        if config is not None:
            if contract is not None or config_fields:
                raise ValueError("from_backbone takes either a config or a contract and fields, got both.")
            config = copy.deepcopy(config)
            config.vlm_config = vlm_config
        elif contract is None:
            config = cls.config_class.checked(vlm_config=vlm_config, **config_fields)
        else:
            config = cls.config_class.from_contract(contract, vlm_config, **config_fields)
        if published := take_quantization(config.vlm_config, cls._keep_in_fp32_modules_strict):
            config.quantization_config = published
        vla, info = cls.from_pretrained(
            name_or_path,
            config=config,
            revision=revision,
            dtype=dtype,
            attn_implementation=attn_implementation,
            device_map=device_map,
            quantization_config=quantization_config,
            output_loading_info=True,
        )
        missing = sorted(key for key in info["missing_keys"] if key.split(".")[0] not in OWN_MODULES)
        if missing or info["mismatched_keys"]:
            raise ValueError(
                f"{name_or_path} does not hold the whole backbone: missing {missing[:8]} ({len(missing)} in all), "
                f"mismatched {list(info['mismatched_keys'])[:8]}."
            )
        vla.own_modules_to_float32()
        vla.grow_vocabulary()
        if hasattr(vla, "action_tokens"):
            vla.reset_action_tokens()
        return vla

    def grow_vocabulary(self) -> None:
        """Make room for new action tokens, in structures that write them."""

    @classmethod
    def from_pretrained(
        cls,
        *args: Any,
        quantization_config: QuantizationConfigMixin | dict[str, Any] | None = None,
        **kwargs: Any,
    ):
        """As in transformers, from safetensors alone; `quantization_config` quantises the backbone only.

        Raises:
            ValueError: for `use_safetensors=False`: loading pickled weights can run code.
            OSError: if there are no safetensors.
        """
        if not kwargs.setdefault("use_safetensors", True):
            raise ValueError("use_safetensors=False is refused: loading pickled weights can run code.")
        if quantization_config is not None:
            kwargs["quantization_config"] = quantizing_the_backbone_only(
                quantization_config, cls._keep_in_fp32_modules_strict
            )
        try:
            loaded = super().from_pretrained(*args, **kwargs)
        except OSError as error:
            if "model.safetensors" not in str(error):
                raise
            raise OSError(
                f"{error} Pickled weights (pytorch_model.bin, *.pt) are not read, since that can run code; convert them "
                "where they were written, with save_pretrained."
            ) from error
        vla = loaded[0] if isinstance(loaded, tuple) else loaded
        vla.freeze_unused()
        return loaded

    def save_pretrained(
        self, save_directory: str | Path, is_main_process: bool = True, state_dict: dict | None = None, **kwargs: Any
    ) -> None:
        """As in transformers; the code that loads it without this package goes with it."""
        super().save_pretrained(save_directory, is_main_process=is_main_process, state_dict=state_dict, **kwargs)
        if is_main_process:
            tell_after_save(self, save_directory)

    def _upload_modified_files(self, working_dir: str, repo_id: str, *args: Any, **options: Any) -> Any:
        """What `push_to_hub` does last."""
        tell_before_upload(self, working_dir, repo_id, options.get("token"))
        return super()._upload_modified_files(working_dir, repo_id, *args, **options)

    def freeze_unused(self) -> None:
        """Freeze what never gets a gradient, so that data-parallel training needs no search for it."""
        for parameter in self.runner.unused_parameters(is_continuous=not self.reads_logits):
            parameter.requires_grad_(False)

    def train(self, mode: bool = True) -> Self:
        """As in torch; frozen batch normalisation (some vision towers) keeps the statistics it was trained with."""
        super().train(mode)
        for module in self.backbone.modules():
            if isinstance(module, nn.modules.batchnorm._BatchNorm):
                module.train(mode and any(parameter.requires_grad for parameter in module.parameters()))
        return self

    @property
    def modules_to_save(self) -> list[str]:
        """Names of the layers that are not the backbone's, for PEFT's `modules_to_save`: PEFT compares the ends of names,
        and a bare "head" is also that of `lm_head`."""
        layers = [name for name in OWN_MODULES if name != "head" and hasattr(self, name)]
        return layers + [f"head.{name}" for name, _ in getattr(self, "head", nn.Module()).named_children()]

    def own_modules_to_float32(self) -> None:
        """Action tokens and heads stay in float32 whatever the backbone's dtype."""
        for name in OWN_MODULES:
            if isinstance(module := getattr(self, name, None), nn.Module):
                module.float()

    @torch.no_grad()
    def reset_action_tokens(self) -> None:
        """Start the action tokens at the mean input embedding of the vocabulary, as the backbone's embedding module
        puts it out (scaled or normalised as the family does), plus noise."""
        embed = self.runner.embedding_modules()[0]
        ids = torch.arange(min(self.config.get_text_config().vocab_size, 32_000), device=self.device)
        vectors = torch.cat([embed(part[None])[0].float() for part in ids.split(4096)])
        tokens = self.action_tokens.weight
        noise = torch.randn(tokens.shape, generator=torch.Generator().manual_seed(0)).to(tokens)
        tokens.copy_((vectors.mean(0) + 0.1 * vectors.std(0) * noise).to(tokens))

    def load_state_dict(self, state_dict: dict[str, Any], strict: bool = True, assign: bool = False):
        """As in torch; checkpoints on disk, which carry the backbone's published key names, are understood too, so
        that the Trainer resumes from them."""
        return super().load_state_dict(published_names_to_own(self, state_dict), strict=strict, assign=assign)

    def get_input_embeddings(self) -> nn.Module:
        return self.backbone.get_input_embeddings()

    def set_input_embeddings(self, value: nn.Module) -> None:
        self.backbone.set_input_embeddings(value)

    def get_output_embeddings(self) -> nn.Module | None:
        return self.backbone.get_output_embeddings()

    def set_output_embeddings(self, value: nn.Module) -> None:
        self.backbone.set_output_embeddings(value)

    @property
    def runner(self) -> Backbone:
        """What runs this backbone, in its family's way."""
        return backbone_runner(self.backbone)

    # The framework's seven handles on the vision-language model.

    @property
    def model(self) -> PreTrainedModel:
        """The vision-language model."""
        return self.backbone

    @property
    def image_processor(self) -> Any:
        """The image processor saved with the checkpoint (or the backbone) that this model was loaded from.

        Raises:
            OSError: if there is none.
        """
        return AutoImageProcessor.from_pretrained(self.name_or_path)

    @property
    def hidden_size(self) -> int:
        """Width of the text side's hidden states."""
        return self.config.get_text_config().hidden_size

    @property
    def word_embedding(self) -> nn.Module:
        """The module that embeds `input_ids`."""
        return self.get_input_embeddings()

    @property
    def text_tower(self) -> nn.Module:
        """The language model inside the vision-language model."""
        return self.runner.text_tower

    @property
    def vision_tower(self) -> nn.Module:
        """The vision encoder inside the vision-language model."""
        return self.runner.vision_tower

    def text_loss(self, text: Mapping[str, torch.Tensor]) -> torch.Tensor:
        """Cross-entropy per text token of image-text samples, the VLM's own loss.

        Args:
            text: the backbone's inputs and `labels` `(rows, sequence)`, -100 where a token is given.
        """
        logits = self.runner.logits(dict(text))[:, :-1]
        targets = text["labels"][:, 1:]
        counted = targets != -100
        total = nn.functional.cross_entropy(logits[counted].float(), targets[counted], reduction="sum")
        return total / counted.sum().clamp(min=1)

    def add_text_loss(
        self, output: VLAOutput, text: Mapping[str, torch.Tensor], counted: torch.Tensor, num_items: torch.Tensor | int
    ) -> None:
        """Add the text loss of co-training to `output`.

        It is averaged over its own tokens; `num_items` counts the actions of a whole update, of which this batch has
        `counted`: weighted by that share, the means of an update's batches add up to one mean.
        """
        output.text_loss = self.text_loss(text) * (counted / num_items)
        weighted = self.config.text_loss_weight * output.text_loss
        output.loss = weighted if output.loss is None else output.loss + weighted

    def model_encode_images(self, pixel_values: torch.Tensor, **image_inputs: Any) -> torch.Tensor:
        """Images `(images, 3, height, width)`, or as the backbone's processor lays them out, to what the language
        model reads of them, `(images, tokens, hidden_size)`; `image_inputs` are the processor's other image outputs.
        """
        return self.runner.encode_images(pixel_values, **image_inputs)

    def predict_action_chunk(self, *args: Any, **inputs: Any) -> torch.Tensor:
        """The newest frame's chunk of normalised actions, `(batch, chunk, action_dim)`; see the structures."""
        raise NotImplementedError

    def predict_action(self, *args: Any, **inputs: Any) -> torch.Tensor:
        """The former name of `predict_action_chunk`."""
        return self.predict_action_chunk(*args, **inputs)


class ContinuousVLA(RoboVLMPreTrainedModel):
    """Base of the structures that read hidden states of action tokens and regress or sample continuous actions.

    A subclass says how the rows of a batch become `(batch, window)` frames.
    """

    def __init__(self, config: RoboVLMConfig):
        super().__init__(config)
        width = config.get_text_config().hidden_size
        if config.token_source == "action":
            self.action_tokens = nn.Embedding(config.num_action_tokens, width)
        if config.state_dim:
            self.state_encoder = nn.Linear(config.state_dim, width)
        if config.grounding_dim:
            self.grounding = nn.Linear(config.num_action_tokens * width, config.grounding_dim)
        self.head = build_head(config, width)
        self.post_init()
        self.freeze_unused()

    def features(
        self,
        inputs: dict[str, Any],
        frame_mask: torch.Tensor,
        state: torch.Tensor | None,
        past: VLACache | None = None,
    ) -> torch.Tensor:
        """What the head reads of each frame, `(batch, window, num_action_tokens, hidden_size)` in float32; zeros for
        frames before the episode's start.

        Args:
            inputs: one row per real frame, in the order of `frame_mask`.
            past: what earlier frames left, for structures whose frames see each other.
        """
        per_frame = self.config.num_action_tokens
        if self.config.token_source == "action":
            marks = inputs.pop("action_token_mask", None)
            expected = int(frame_mask.sum()) * per_frame
            if marks is None or int(marks.sum()) != expected:
                got = "nothing" if marks is None else f"{int(marks.sum())} marks"
                raise ValueError(
                    f"action_token_mask must mark num_action_tokens = {per_frame} positions in each of the "
                    f"{int(frame_mask.sum())} real frames, {expected} in all; got {got}."
                )
            tokens = self.action_tokens.weight.expand(*frame_mask.shape, -1, -1)
            if self.config.state_dim:
                tokens = tokens + self._encoded_state(state, frame_mask.shape)[:, :, None]
            encoded = self.encode(inputs, marks, tokens[frame_mask].flatten(0, 1), frame_mask, past)
        else:
            encoded = self._pooled(inputs)
        encoded = encoded.to(self.head.dtype)
        features = encoded.new_zeros(*frame_mask.shape, per_frame, encoded.shape[-1])
        return features.masked_scatter(frame_mask[..., None, None].to(encoded.device), encoded)

    def encode(
        self,
        inputs: dict[str, Any],
        marks: torch.Tensor,
        tokens: torch.Tensor,
        frame_mask: torch.Tensor,
        past: VLACache | None = None,
    ) -> torch.Tensor:
        """Hidden states at the action tokens of all real frames, `(frames * num_action_tokens, hidden_size)`.

        Every frame is a sequence of its own; structures that join frames override this.
        """
        return self.runner.hidden_states(inputs, (marks, tokens))[marks]

    def _pooled(self, inputs: dict[str, Any]) -> torch.Tensor:
        """Hidden states of the tokens that `feature_token_mask` names, max-pooled to `num_action_tokens` per row."""
        mask = inputs.pop("feature_token_mask", None)
        if mask is None:
            raise ValueError(f"feature_token_mask is missing: token_source = {self.config.token_source!r} needs it.")
        states = self.runner.hidden_states(inputs)
        pooled = [
            nn.functional.adaptive_max_pool1d(row[chosen].T, self.config.num_action_tokens).T
            for row, chosen in zip(states, mask, strict=True)
        ]
        return torch.cat(pooled)

    def _encoded_state(self, state: torch.Tensor | None, frames: torch.Size) -> torch.Tensor:
        wanted = (*frames, self.config.state_dim)
        if state is None or tuple(state.shape) != wanted:
            got = "nothing" if state is None else tuple(state.shape)
            raise ValueError(f"state must have shape {wanted} (batch, window, state_dim), got {got}.")
        return self.state_encoder(state.to(self.state_encoder.weight.dtype))

    def forward(
        self,
        input_ids: torch.Tensor,
        frame_mask: torch.Tensor | None = None,
        state: torch.Tensor | None = None,
        actions: torch.Tensor | None = None,
        labels: torch.Tensor | None = None,
        grounding: torch.Tensor | None = None,
        num_items_in_batch: torch.Tensor | int | None = None,
        generator: torch.Generator | None = None,
        text: Mapping[str, torch.Tensor] | None = None,
        **inputs: Any,
    ) -> VLAOutput:
        """Predict a chunk for every frame of the window, and the loss where `actions` are given.

        Args:
            input_ids: `(rows, sequence)`, a row per real frame, as the processor lays them out.
            frame_mask: bool `(batch, window)`, False for frames before the episode's start (they come first).
                None: one real frame per row.
            state: normalised `(batch, window, state_dim)`, where the config has a `state_dim`.
            actions: normalised targets `(batch, window, chunk, action_dim)`.
            labels: `(batch, window, chunk)`, -100 where the action does not count, else 0. None: all of real
                frames count.
            grounding: auxiliary targets `(batch, window, grounding_dim)`, NaN where absent.
            num_items_in_batch: number of counting actions over which the loss is averaged (the Trainer passes it
                under gradient accumulation and data parallelism). None: those of this batch.
            text: image-text samples to learn along with the actions, see `text_loss`.
            inputs: everything else that the backbone takes (`pixel_values`, `attention_mask`, ...), and
                `action_token_mask`, bool `(rows, sequence)`, True at the action tokens (or `feature_token_mask`, True
                at the tokens to pool, where `token_source` is not "action").
        """
        frame_mask = self.frame_mask_or_single(frame_mask, input_ids)
        features = self.features({"input_ids": input_ids, **inputs}, frame_mask, state)
        targets = self._targets(actions, labels, frame_mask, num_items_in_batch)
        head = self.head(features, frame_mask, targets=targets, generator=generator)
        output = VLAOutput(**vars(head), action_features=features)
        if self.config.grounding_dim:
            output.grounding = self.grounding(features.flatten(2))
            if grounding is not None and targets is not None:
                output.grounding_loss = self._grounding_loss(output.grounding, grounding, targets)
                output.loss = output.loss + self.config.grounding_loss_weight * output.grounding_loss
        if text is not None and targets is not None:
            self.add_text_loss(output, text, targets.valid.sum(), targets.num_items)
        return output

    def _targets(
        self,
        actions: torch.Tensor | None,
        labels: torch.Tensor | None,
        frame_mask: torch.Tensor,
        num_items: torch.Tensor | int | None,
    ) -> ActionTargets | None:
        if actions is None:
            return None
        wanted = (*frame_mask.shape, self.config.chunk_size, self.config.action_dim)
        if tuple(actions.shape) != wanted:
            raise ValueError(
                f"actions must have shape {wanted} (batch, window, chunk, action_dim), got {tuple(actions.shape)}."
            )
        valid = frame_mask[..., None].expand(wanted[:3]) if labels is None else labels != -100
        if num_items is None:
            num_items = valid.sum().clamp(min=1)
        return ActionTargets(actions.to(self.head.dtype), valid, num_items)

    def _grounding_loss(self, predicted: torch.Tensor, wanted: torch.Tensor, targets: ActionTargets) -> torch.Tensor:
        """Huber on the known numbers of frames that have a counting action, on the scale of the action loss: each
        frame weighs as much as its counting actions, so that `num_items` averages it too."""
        known = ~wanted.isnan()
        error = nn.functional.huber_loss(predicted, wanted.nan_to_num().to(predicted.dtype), reduction="none")
        weight = targets.valid.sum(dim=2, keepdim=True) * known
        return (error * weight).sum() / (targets.num_items * predicted.shape[-1])

    def frame_mask_or_single(self, frame_mask: torch.Tensor | None, input_ids: torch.Tensor) -> torch.Tensor:
        """The frame mask, or one real frame per row of `input_ids`."""
        if frame_mask is None:
            return torch.ones(len(input_ids), 1, dtype=torch.bool, device=input_ids.device)
        if frame_mask.shape[1] > self.config.window_size:
            raise ValueError(
                f"The window holds {frame_mask.shape[1]} frames, the model was made for window_size = "
                f"{self.config.window_size}."
            )
        return frame_mask

    def new_cache(self, batch: int) -> VLACache:
        """Empty streaming state for `batch` rows."""
        return VLACache(self.head.new_state(batch))

    @torch.inference_mode()
    def predict_action_chunk(
        self,
        cache: VLACache | None = None,
        generator: torch.Generator | Sequence[torch.Generator | None] | None = None,
        overlap: ChunkOverlap | None = None,
        **inputs: Any,
    ) -> torch.Tensor:
        """The newest frame's chunk of normalised actions, `(batch, chunk, action_dim)`.

        Args:
            cache: streaming state from `new_cache`; then `inputs` hold the new frame alone, and what comes out is what
                a window that ends with it would give. Updated in place.
            generator: where sampling heads draw from; one, or one per row. Torch's own by default.
            overlap: the running chunk, which the new one is to join (real-time chunking): sampling heads are guided
                towards it, others mix it in.
            inputs: the processor's output, without actions.
        """
        input_ids, state = inputs.pop("input_ids"), inputs.pop("state", None)
        frame_mask = self.frame_mask_or_single(inputs.pop("frame_mask", None), input_ids)
        inputs["input_ids"] = input_ids
        if cache is None:
            features = self.features(inputs, frame_mask, state)
            return self.head.newest(features, frame_mask, generator=generator, overlap=overlap)
        if frame_mask.shape[1] != 1 or not frame_mask.all():
            raise ValueError(f"Streaming takes one new real frame per row, got frame_mask {frame_mask.tolist()}.")
        return self.stream(inputs, frame_mask, state, cache, generator=generator, overlap=overlap)

    def stream(
        self,
        inputs: dict[str, Any],
        frame_mask: torch.Tensor,
        state: torch.Tensor | None,
        cache: VLACache,
        **sampling: Any,
    ) -> torch.Tensor:
        """The chunk for one new frame per row; what is needed of the past is in `cache`."""
        return self.head.step(self.features(inputs, frame_mask, state), cache, **sampling).actions[:, -1]


def require_image_input(vlm_config: PreTrainedConfig, name: str) -> None:
    """Raises ValueError if transformers has no image-text-to-text model for this config."""
    from transformers.models.auto.modeling_auto import MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING

    known = type(vlm_config) in MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING
    if not known and "AutoModelForImageTextToText" not in getattr(vlm_config, "auto_map", {}):
        raise ValueError(
            f"backbone {name!r} is of type {vlm_config.model_type!r}, which takes no images: "
            "AutoModelForImageTextToText has no model for it."
        )
