"""The one runner of every vision-language backbone: the backbone runs its own forward, unmodified.

Action tokens are positions of `input_ids` that carry an ordinary text id. While the backbone runs, a hook on its
input embedding writes learnable vectors there, and the last hidden state is read at the same positions. Prompt
layout, image tokens, multimodal positions and cross-attention stay the backbone's own business.
"""

import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

import torch
from torch import nn
from transformers import DynamicCache, PreTrainedModel

from ..configuration.configuration_robovlms import RoboVLMConfig
from ..configuration.saving import travels_with
from .image_inputs import IMAGE_INPUTS, encoded_as_inputs, encoded_per_row, is_image_input, per_row
from .unused_parameters import unused_parameters


class UnsupportedByBackbone(ValueError):
    """A backbone's family cannot serve a structure."""


class Backbone:
    """Runs one vision-language model. Subclass and `register_backbone` for a family that needs something else.

    Args:
        model: the vision-language model, as `AutoModelForImageTextToText` builds it.
    """

    takes_several_images = True
    """Whether a row may hold more than one image."""
    unused_names = ""
    """Pattern of names of this family's parameters that no loss on whole images and text reaches."""

    def __init__(self, model: PreTrainedModel):
        self.model: Any = model  # what it has beside a PreTrainedModel's own is its family's business

    def require_support(self, config: RoboVLMConfig) -> None:
        """Raises UnsupportedByBackbone, saying why, if this family cannot serve the structure of `config`."""

    @travels_with("interleaved_continuous")
    def require_joined_frames(self, config: RoboVLMConfig) -> None:
        """Raises UnsupportedByBackbone if this family cannot read frames that see each other, as `config` asks for."""
        if config.frame_attention == "banded":
            self.require_keys_and_values()
        elif config.window_size > 1 and not self.takes_several_images:
            raise UnsupportedByBackbone(
                f"backbone {self.family!r} reads the images of one frame per sequence, an interleaved window holds those of "
                "several. Use PolicyHeadContinuousVLA for history."
            )

    @travels_with("interleaved_continuous")
    def require_keys_and_values(self) -> None:
        """Raises UnsupportedByBackbone if past frames cannot be kept as keys and values of the text side's layers."""
        layers = set(getattr(self.model.config.get_text_config(), "layer_types", None) or ["full_attention"])
        if layers - {"full_attention", "sliding_attention"}:
            raise UnsupportedByBackbone(
                f"frame_attention = 'banded' needs layers that keep the keys and values of all tokens; backbone "
                f"{self.family!r} has {sorted(layers)}. Use 'window'."
            )

    @property
    def family(self) -> str:
        """The family's name in transformers."""
        return self.model.config.model_type

    def hidden_states(self, inputs: dict[str, Any], *written: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
        """Last hidden states (after the final norm) of the text side, `(rows, sequence, hidden_size)`.

        Args:
            inputs: what the backbone's own processor returned, `input_ids` `(rows, sequence)` included.
            written: where vectors replace the input embeddings, bool `(rows, sequence)`, and the vectors
                `(mask.sum(), hidden_size)` in row-major order of the mask.
        """
        with self.written_embeddings(*written):
            states = self.run(self.accepted(inputs))
        return states[:, -inputs["input_ids"].shape[1] :]  # some families put the images' tokens in front

    @travels_with("interleaved_continuous")
    def step(
        self,
        inputs: dict[str, Any],
        token_mask: torch.Tensor,
        tokens: torch.Tensor,
        past: DynamicCache,
        position_ids: torch.Tensor,
    ) -> torch.Tensor:
        """Do what `hidden_states` does, for frames that continue `past`; their keys and values are appended to it.

        Args:
            inputs: one frame per row; `attention_mask` `(rows, past + sequence)` covers the past too.
            past: keys and values of earlier frames.
            position_ids: from `position_ids`.
        """
        inputs = (
            self.accepted(inputs) | cache_argument(past, self.entry, self.text_tower) | {"position_ids": position_ids}
        )
        with self.written_embeddings((token_mask, tokens)):
            states = self.run(inputs)
        return states[:, -token_mask.shape[1] :]

    @travels_with("interleaved_continuous", "one_step_discrete")
    def position_ids(self, inputs: dict[str, Any], start: torch.Tensor) -> torch.Tensor:
        """Positions of one frame's tokens, `(..., rows, sequence)`, that go on from `start` `(rows,)`."""
        return count_positions(self.model, inputs, start)

    @travels_with("interleaved_continuous")
    def image_features(self, inputs: dict[str, Any], rows: int) -> dict[str, torch.Tensor]:
        """Return what the backbone needs of each row's images, encoded once, `(rows, ...)` each.

        Families that cannot be given encoded images keep the pixels, and encode them again.
        """
        images = {name: value for name, value in inputs.items() if is_image_input(name, value, inputs["input_ids"])}
        encoded = None
        encode = getattr(self.model.base_model, "get_image_features", None)
        if encode is not None and "mm_encoder_outputs" in forward_names(type(self.entry)):
            names = frozenset(inspect.signature(encode).parameters)
            accepted = {name: value for name, value in self.accepted(inputs).items() if name in names}
            encoded = encoded_per_row(encode(**accepted), rows)
        if encoded is None:
            return {name: per_row(value, rows) for name, value in images.items()}
        return encoded | {
            name: per_row(value, rows) for name, value in images.items() if not name.startswith("pixel_values")
        }

    def encode_images(self, pixel_values: torch.Tensor, **image_inputs: Any) -> torch.Tensor:
        """Images to `(images, tokens, hidden_size)`.

        Raises:
            ValueError: if the family has no such function, or its images differ in their number of tokens.
        """
        encode = getattr(self.model.base_model, "get_image_features", None)
        if encode is None:
            raise ValueError(f"{type(self.model).__name__} has no get_image_features.")
        features = encode(pixel_values=pixel_values.to(self.model.dtype), **image_inputs).pooler_output
        if not torch.is_tensor(features):
            if len({image.shape for image in features}) > 1:
                raise ValueError("The images have different numbers of tokens: encode them one by one.")
            features = torch.stack(list(features))
        return features

    @property
    def text_tower(self) -> nn.Module:
        """The language model."""
        return self.model.get_decoder()

    @property
    def vision_tower(self) -> nn.Module:
        """The vision encoder."""
        return self.model.get_encoder(modality="image")

    @travels_with("interleaved_continuous")
    def with_image_features(self, features: dict[str, torch.Tensor]) -> dict[str, Any]:
        """Inputs that stand for encoded images: `image_features` of any frames, one after another."""
        return encoded_as_inputs({name: value.flatten(0, 1) for name, value in features.items()})

    @travels_with("interleaved_continuous")
    def join_images(self, inputs: dict[str, Any], frame_mask: torch.Tensor) -> dict[str, Any]:
        """Inputs of frames whose rows are about to be joined per sample, with images laid out for the joined rows.

        Args:
            inputs: a row per real frame.
            frame_mask: `(batch, window)`, which frames are there.
        """
        return inputs

    @travels_with("interleaved_continuous")
    def causal(self, inputs: dict[str, Any]) -> dict[str, Any]:
        """`inputs` such that no token sees a later frame."""
        return inputs

    @travels_with("one_step_discrete")
    def bidirectional(self, inputs: dict[str, Any], marks: torch.Tensor) -> dict[str, Any]:
        """`inputs` such that the marked tokens of a row see each other in both directions."""
        real = inputs["attention_mask"].bool()
        causal = torch.ones(*marks.shape, marks.shape[1], dtype=torch.bool, device=marks.device).tril()
        seen = (causal | (marks[:, :, None] & marks[:, None])) & real[:, None]
        own = torch.eye(marks.shape[1], dtype=torch.bool, device=marks.device)
        start = real.new_zeros(len(real), dtype=torch.long)
        return inputs | {"attention_mask": (seen | own)[:, None], "position_ids": self.position_ids(inputs, start)}

    def logits(
        self, inputs: dict[str, Any], token_mask: torch.Tensor | None = None, tokens: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Vocabulary logits `(rows, sequence, vocabulary)`, with `tokens` written as in `hidden_states`."""
        written = () if token_mask is None or tokens is None else ((token_mask, tokens),)
        names, length = forward_names(type(self.model)), inputs["input_ids"].shape[1]
        kept = ("position_ids", "logits_to_keep")
        inputs = self.accepted(inputs) | {name: inputs[name] for name in kept if name in inputs}
        with self.written_embeddings(*written):
            return self.model(**{name: value for name, value in inputs.items() if name in names}).logits[:, -length:]

    def answer_logits(self, inputs: dict[str, Any], is_answer: torch.Tensor) -> torch.Tensor:
        """Vocabulary logits of the tokens of answers, `(is_answer.sum(), vocabulary)`, each read from what stands before it.

        Args:
            inputs: prompts with their answers behind them, padded at the right.
            is_answer: bool `(rows, sequence)`.
        """
        return self.logits(inputs)[:, :-1][is_answer[:, 1:]]

    @travels_with("one_step_discrete")
    def generate(self, inputs: dict[str, Any], **options: Any) -> torch.Tensor:
        """Prompts and what the language model writes behind them, `(rows, sequence)`; `options` are transformers'."""
        return self.model.generate(**self.generation_inputs(inputs), **options)

    @travels_with("one_step_discrete")
    def generation_inputs(self, inputs: dict[str, Any]) -> dict[str, Any]:
        """`inputs` as the head model's forward takes them."""
        names = forward_names(type(self.model))
        accepted = {name: value for name, value in self.accepted(inputs).items() if name in inputs}
        own = {name: value for name, value in inputs.items() if name in names}
        return {name: value for name, value in (own | accepted).items() if name in names}

    def run(self, inputs: dict[str, Any]) -> torch.Tensor:
        """The last hidden state, without vocabulary logits."""
        if self.entry is not self.model:
            return self.entry(**inputs).last_hidden_state
        return self.run_to_vocabulary(inputs)

    def run_to_vocabulary(self, inputs: dict[str, Any]) -> torch.Tensor:
        """For families without a base model: what reaches the vocabulary's output layer, which gets one position."""
        reached: list[torch.Tensor] = []

        def tap(module: nn.Module, arguments: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
            reached.append(arguments[0])
            return (arguments[0][:, -1:], *arguments[1:])

        if self.output_layer is None:
            raise ValueError(
                f"backbone {self.family!r} has neither a base model nor output embeddings: register a Backbone whose `run` "
                "says where its last hidden states are."
            )
        handle = self.output_layer.register_forward_pre_hook(tap)
        try:
            self.model(**inputs)
        finally:
            handle.remove()
        return reached[-1]

    @property
    def output_layer(self) -> nn.Module | None:
        """The vocabulary's output layer, where there is one."""
        for holder in (self.model, self.text_tower):
            find = getattr(holder, "get_output_embeddings", None)
            if find is not None and (layer := find()) is not None:
                return layer
        return None

    def accepted(self, inputs: dict[str, Any]) -> dict[str, Any]:
        """`inputs` that the forward takes, floats in the backbone's dtype.

        Raises:
            ValueError: if it does not take the images.
        """
        names = forward_names(type(self.entry))
        if lost := [name for name in inputs if name.startswith(IMAGE_INPUTS) and name not in names]:
            raise ValueError(
                f"{type(self.entry).__name__} does not take {lost}: its processor names images differently."
            )
        dtype = self.model.dtype
        kept = {
            name: value.to(dtype) if torch.is_tensor(value) and value.is_floating_point() else value
            for name, value in inputs.items()
            if name in names
        }
        return kept | ({"use_cache": False} if "use_cache" in names else {})

    @property
    def entry(self) -> nn.Module:
        """The module whose forward is called."""
        return self.model.base_model

    def unused_parameters(self, is_continuous: bool) -> Iterator[nn.Parameter]:
        """Parameters that never get a gradient.

        Args:
            is_continuous: whether hidden states are read, and the vocabulary's output layer is not.
        """
        return unused_parameters(self.model, self.unused_names, self.output_layer if is_continuous else None)

    def embedding_modules(self) -> list[nn.Module]:
        """Return the modules that embed the tokens among which action tokens stand."""
        return [self.model.get_input_embeddings()]

    @contextmanager
    def written_embeddings(self, *written: tuple[torch.Tensor, torch.Tensor]) -> Iterator[None]:
        """While open, the input embeddings at each mask `(rows, sequence)` are its vectors `(mask.sum(), hidden)`."""

        def write(module: nn.Module, arguments: Any, output: torch.Tensor) -> torch.Tensor:
            for mask, vectors in written:
                if output.shape[:2] == mask.shape:
                    vectors = vectors.to(output.device, output.dtype)
                    output = output.masked_scatter(mask.to(output.device)[..., None], vectors)
            return output

        handles = [module.register_forward_hook(write) for module in self.embedding_modules()]
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()


@lru_cache
def forward_names(entry: type[nn.Module]) -> frozenset[str]:
    """Return the named arguments of a module's forward."""
    parameters = inspect.signature(entry.forward).parameters.values()
    return frozenset(parameter.name for parameter in parameters if parameter.kind != parameter.VAR_KEYWORD)


def count_positions(model: PreTrainedModel, inputs: dict[str, Any], start: torch.Tensor) -> torch.Tensor:
    """Positions of the tokens as the backbone counts them, `(..., rows, sequence)`, that go on from `start` `(rows,)`."""
    if count := getattr(model.base_model, "get_rope_index", None):
        names = frozenset(inspect.signature(count).parameters)
        own = count(**{name: value for name, value in inputs.items() if name in names})[0]
    else:
        own = (inputs["attention_mask"].cumsum(dim=1) - 1).clamp(min=0)
    return own + start[:, None]


def cache_argument(past: DynamicCache, *modules: nn.Module) -> dict[str, Any]:
    """Keys and values of the past, under the name by which the forward of the first of `modules` that names them takes
    them: `past_key_values`, or `cache` since transformers 5.24."""
    names = [
        name for module in modules for name in ("cache", "past_key_values") if name in forward_names(type(module))
    ]
    return {names[0]: past, "use_cache": True}


_BY_MODEL_TYPE: dict[str, type[Backbone]] = {}
_BY_TRAIT: dict[Callable[[PreTrainedModel], bool], type[Backbone]] = {}


def register_backbone(
    *model_types: str, where: Callable[[PreTrainedModel], bool] | None = None
) -> Callable[[type[Backbone]], type[Backbone]]:
    """Class decorator: this class runs backbones whose `config.model_type` is one of `model_types`, and with `where`
    those of any other family of which it is true."""

    def register(backbone: type[Backbone]) -> type[Backbone]:
        _BY_MODEL_TYPE.update(dict.fromkeys(model_types, backbone))
        if where is not None:
            _BY_TRAIT[where] = backbone
        return backbone

    return register


def backbone_class(model: PreTrainedModel) -> type[Backbone]:
    """Return the class that is registered for a vision-language model, `Backbone` itself if none is."""
    if (registered := _BY_MODEL_TYPE.get(model.config.model_type)) is not None:
        return registered
    return next((backbone for has_trait, backbone in _BY_TRAIT.items() if has_trait(model)), Backbone)


def backbone_runner(model: PreTrainedModel) -> Backbone:
    """Return what runs a vision-language model."""
    return backbone_class(model)(model)
