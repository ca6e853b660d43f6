"""What all VLAs share: the backbone, loading and saving, the framework's seven handles, and what `forward` returns."""

import copy
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

import torch
from torch import nn
from transformers import AutoConfig, AutoImageProcessor, AutoModelForImageTextToText, PreTrainedModel
from transformers import initialization as init
from transformers.utils.generic import ModelOutput
from transformers.utils.quantization_config import QuantizationConfigMixin

from ..configuration.configuration_robovlms import RoboVLMConfig
from ..configuration.saving import complete_checkpoint, travels_with, write_card
from .backbone import Backbone, backbone_runner
from .load_report import expect_new_weights
from .loading import published_names_to_own, quantizing_the_backbone_only, require_image_input, take_quantization
from .streaming import VLACache

if TYPE_CHECKING:  # a checkpoint's model does without it
    from ..configuration.action_contract import ActionContract

OWN_MODULES = ("action_tokens", "state_encoder", "grounding", "head")


@dataclass
class VLAOutput(ModelOutput):
    """Output of a VLA.

    Args:
        loss: what training minimises, a scalar; None without labels.
        pose_loss, gripper_loss, grounding_loss: its parts before weighting.
        text_loss: cross-entropy per text token of the image-text samples that were given along with the actions.
        actions: normalised actions `(batch, window, chunk, action_dim)`; grippers in (-1, 1), +1 is open.
        pose: the pose dimensions `(batch, window, chunk, pose_dim)`.
        gripper_logits: logits of "open" `(batch, window, chunk, num_grippers)`.
        grounding: auxiliary prediction `(batch, window, grounding_dim)`.
        action_features: hidden states of the action tokens `(batch, window, num_action_tokens, hidden_size)`.
        logits: vocabulary logits of the discrete structure `(batch, sequence, vocabulary)`.
        token_accuracy, dimension_accuracy: share of action tokens predicted right, in all and per dimension of the
            action `(action_dim,)`, NaN where no robot of the batch has it.
        action_l1: mean distance between the normalised actions that predicted and wanted tokens decode to.
    """

    loss: torch.Tensor | None = None
    pose_loss: torch.Tensor | None = None
    gripper_loss: torch.Tensor | None = None
    grounding_loss: torch.Tensor | None = None
    text_loss: torch.Tensor | None = None
    actions: torch.Tensor | None = None
    pose: torch.Tensor | None = None
    gripper_logits: torch.Tensor | None = None
    grounding: torch.Tensor | None = None
    action_features: torch.Tensor | None = None
    logits: torch.Tensor | None = None
    token_accuracy: torch.Tensor | None = None
    dimension_accuracy: torch.Tensor | None = None
    action_l1: torch.Tensor | None = None

    def add_loss(self, loss: torch.Tensor) -> None:
        """Add a weighted part to what training minimises."""
        self.loss = loss if self.loss is None else self.loss + loss


class RoboVLMPreTrainedModel(PreTrainedModel):
    """Base of every VLA."""

    config: RoboVLMConfig
    config_class: type[RoboVLMConfig]
    backbone: PreTrainedModel
    action_tokens: nn.Embedding
    base_model_prefix = "backbone"
    main_input_name = "input_ids"
    input_modalities = ["image", "text"]  # noqa: RUF012  (as transformers declares it)
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

    @travels_with()
    def _init_weights(self, module: nn.Module) -> None:
        init_layer(module)

    @travels_with()
    @classmethod
    def from_backbone(
        cls,
        name_or_path: str,
        contract: "ActionContract | None" = None,
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
            dtype: of the backbone's weights; float32 by default whatever was published, since most bfloat16 weights never
                move in fine-tuning ("auto": as published; also the default under quantisation). Action tokens and heads
                are always float32.
            attn_implementation, device_map: as in transformers' `from_pretrained`.
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
        if published := take_quantization(config.vlm, cls._keep_in_fp32_modules_strict):
            config.quantization_config = published
        if dtype is None and quantization_config is None and not published:
            dtype = torch.float32
        with expect_new_weights():
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

    @travels_with()
    def grow_vocabulary(self) -> None:
        """Make room for new action tokens, in structures that write them."""

    @classmethod
    def from_pretrained(
        cls, *args: Any, quantization_config: QuantizationConfigMixin | dict[str, Any] | None = None, **kwargs: Any
    ) -> Any:
        """Do what transformers does, from safetensors alone; `quantization_config` quantises the backbone only.

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

    @travels_with()
    def save_pretrained(
        self, save_directory: str | Path, is_main_process: bool = True, state_dict: dict | None = None, **kwargs: Any
    ) -> None:
        """Do what transformers does; the code that loads it without this package goes with it."""
        with complete_checkpoint(self, save_directory) if is_main_process else nullcontext():
            super().save_pretrained(save_directory, is_main_process=is_main_process, state_dict=state_dict, **kwargs)

    @travels_with()
    def _upload_modified_files(self, working_dir: str, repo_id: str, *args: Any, **options: Any) -> Any:
        """What `push_to_hub` does last."""
        write_card(working_dir, repo_id, options.get("token"))
        return super()._upload_modified_files(working_dir, repo_id, *args, **options)

    def freeze_unused(self) -> None:
        """Freeze what never gets a gradient, so that data-parallel training needs no search for it."""
        for parameter in self.runner.unused_parameters(is_continuous=not self.reads_logits):
            parameter.requires_grad_(False)

    def train(self, mode: bool = True) -> Self:
        """Do what torch does; frozen batch normalisation (some vision towers) keeps the statistics of its training."""
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

    @travels_with()
    def own_modules_to_float32(self) -> None:
        """Action tokens and heads stay in float32 whatever the backbone's dtype."""
        for name in OWN_MODULES:
            if isinstance(module := getattr(self, name, None), nn.Module):
                module.float()

    @travels_with()
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

    @travels_with()
    def load_state_dict(self, state_dict: dict[str, Any], strict: bool = True, assign: bool = False):
        """Do what torch does; checkpoints on disk, which carry the backbone's published key names, are understood too,
        so that the Trainer resumes from them."""
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
            text: the backbone's inputs, padded at the right, and `labels` `(rows, sequence)`, the token itself where it
                is to be learnt, and -100 where it is given.
        """
        inputs = dict(text)
        labels = inputs.pop("labels")
        is_answer = labels != -100
        logits = self.runner.answer_logits(inputs, is_answer)
        total = nn.functional.cross_entropy(logits.float(), labels[is_answer], reduction="sum")
        return total / is_answer.sum().clamp(min=1)

    def add_text_loss(
        self, output: VLAOutput, text: Mapping[str, torch.Tensor], counted: torch.Tensor, num_items: torch.Tensor | int
    ) -> None:
        """Add the text loss of co-training to `output`.

        It is averaged over its own tokens; `num_items` counts the actions of a whole update, of which this batch has
        `counted`: weighted by that share, the means of an update's batches add up to one mean.
        """
        text_loss = self.text_loss(text) * (counted / num_items)
        output.text_loss = text_loss
        output.add_loss(self.config.text_loss_weight * text_loss)

    def model_encode_images(self, pixel_values: torch.Tensor, **image_inputs: Any) -> torch.Tensor:
        """Images `(images, 3, height, width)`, or as the backbone's processor lays them out, to what the language
        model reads of them, `(images, tokens, hidden_size)`; `image_inputs` are the processor's other image outputs.
        """
        return self.runner.encode_images(pixel_values, **image_inputs)

    def new_cache(self, batch: int) -> VLACache:
        """An empty streaming state for `batch` rows."""
        raise NotImplementedError

    def predict_action_chunk(self, *args: Any, **inputs: Any) -> torch.Tensor:
        """The newest frame's chunk of normalised actions, `(batch, chunk, action_dim)`; see the structures."""
        raise NotImplementedError

    def predict_action(self, *args: Any, **inputs: Any) -> torch.Tensor:
        """The former name of `predict_action_chunk`."""
        return self.predict_action_chunk(*args, **inputs)


def items_of_update(num_items: torch.Tensor | int | None, counted: torch.Tensor) -> torch.Tensor | int:
    """What losses are averaged over: the counting items of a whole update, or those `counted` in this batch where that
    number is not known. At least one, so that an update in which nothing counts has gradients of zero."""
    if num_items is None:
        num_items = counted.sum()
    return num_items.clamp(min=1) if isinstance(num_items, torch.Tensor) else max(num_items, 1)


def init_layer(layer: nn.Module) -> None:
    """Xavier for linear and attention layers, torch's own range for recurrent ones, 0.02 for embeddings.

    Called for every layer; what was loaded from a checkpoint stays.
    """
    if isinstance(layer, nn.Linear):
        init.xavier_uniform_(layer.weight, gain=getattr(layer, "init_gain", 1.0))
        if layer.bias is not None:
            init.zeros_(layer.bias)
    elif isinstance(layer, nn.MultiheadAttention):
        init.xavier_uniform_(layer.in_proj_weight)
        init.zeros_(layer.in_proj_bias)
    elif isinstance(layer, nn.RNNBase):
        for parameter in layer.parameters():
            init.uniform_(parameter, -(layer.hidden_size**-0.5), layer.hidden_size**-0.5)
    elif isinstance(layer, nn.Embedding):
        init.normal_(layer.weight, std=0.02)
    elif isinstance(layer, nn.LayerNorm) and layer.elementwise_affine:
        init.ones_(layer.weight)
        init.zeros_(layer.bias)
