"""The one adapter over every vision-language backbone: the backbone runs its own forward, unmodified.

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
from transformers.modeling_outputs import BaseModelOutputWithPooling


class Backbone:
    """Runs one vision-language model. Subclass and `register_backbone` for a family that needs something else.

    Args:
        model: the vision-language model, as `AutoModelForImageTextToText` builds it.
    """

    def __init__(self, model: PreTrainedModel):
        self.model = model

    def hidden_states(self, inputs: dict[str, Any], *written: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
        """Last hidden states (after the final norm) of the text side, `(rows, sequence, hidden_size)`.

        Args:
            inputs: what the backbone's own processor returned, `input_ids` `(rows, sequence)` included.
            written: where vectors replace the input embeddings, bool `(rows, sequence)`, and the vectors
                `(mask.sum(), hidden_size)` in row-major order of the mask.
        """
        with self.written_embeddings(*written):
            states = self.run(self.accepted(inputs))
        return states[:, -inputs["input_ids"].shape[1] :]

    def step(
        self,
        inputs: dict[str, Any],
        token_mask: torch.Tensor,
        tokens: torch.Tensor,
        past: DynamicCache,
        position_ids: torch.Tensor,
    ) -> torch.Tensor:
        """As `hidden_states`, for frames that continue `past`; their keys and values are appended to it.

        Args:
            inputs: one frame per row; `attention_mask` `(rows, past + sequence)` covers the past too.
            past: keys and values of earlier frames.
            position_ids: from `position_ids`.
        """
        inputs = self.accepted(inputs) | {"past_key_values": past, "use_cache": True, "position_ids": position_ids}
        with self.written_embeddings((token_mask, tokens)):
            states = self.run(inputs)
        return states[:, -token_mask.shape[1] :]

    def position_ids(self, inputs: dict[str, Any], start: torch.Tensor) -> torch.Tensor:
        """Positions of one frame's tokens, `(..., rows, sequence)`, that go on from `start` `(rows,)`."""
        if count := getattr(self.model.base_model, "get_rope_index", None):
            names = frozenset(inspect.signature(count).parameters)
            own = count(**{name: value for name, value in inputs.items() if name in names})[0]
        else:
            own = (inputs["attention_mask"].cumsum(dim=1) - 1).clamp(min=0)
        return own + start[:, None]

    def image_features(self, inputs: dict[str, Any], rows: int) -> dict[str, torch.Tensor]:
        """What the backbone needs of each row's images, encoded once, `(rows, ...)` each.

        Families that cannot be given encoded images keep the pixels, and encode them again.
        """
        images = {name: value for name, value in inputs.items() if is_image_input(name, value, inputs["input_ids"])}
        if "mm_encoder_outputs" not in _forward_names(type(self.entry)):
            return {name: per_row(value, rows) for name, value in images.items()}
        encode = self.model.base_model.get_image_features
        names = frozenset(inspect.signature(encode).parameters)
        encoded = encode(**{name: value for name, value in self.accepted(inputs).items() if name in names})
        kept = {name: per_row(value, rows) for name, value in images.items() if not name.startswith("pixel_")}
        features = encoded.pooler_output
        if torch.is_tensor(features):
            return kept | {TENSOR_OF_IMAGES: per_row(features, rows)}
        if len({image.shape for image in features}) == 1:
            return kept | {LIST_OF_IMAGES: per_row(torch.stack(list(features)), rows)}
        # Cameras of different sizes: a frame's images end to end, which is how such families read them.
        return kept | {LIST_OF_IMAGES: per_row(torch.cat(list(features)), rows)[:, None]}

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

    def with_image_features(self, features: dict[str, torch.Tensor]) -> dict[str, Any]:
        """Inputs that stand for encoded images: `image_features` of any frames, one after another."""
        inputs = {name: value.flatten(0, 1) for name, value in features.items()}
        if (encoded := inputs.pop(TENSOR_OF_IMAGES, None)) is not None:
            inputs["mm_encoder_outputs"] = {"image": BaseModelOutputWithPooling(pooler_output=encoded)}
        elif (encoded := inputs.pop(LIST_OF_IMAGES, None)) is not None:
            inputs["mm_encoder_outputs"] = {"image": BaseModelOutputWithPooling(pooler_output=tuple(encoded))}
        return inputs

    def join_images(self, inputs: dict[str, Any], frame_mask: torch.Tensor) -> dict[str, Any]:
        """Image tensors of frames for rows in which each sample's frames are joined; `frame_mask` `(batch, window)`
        says which frames are there."""
        return inputs

    def causal(self, inputs: dict[str, Any]) -> dict[str, Any]:
        """`inputs` such that no token sees a later frame."""
        return inputs

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
        written = () if token_mask is None else ((token_mask, tokens),)
        names = _forward_names(type(self.model))
        inputs = self.accepted(inputs) | {name: inputs[name] for name in ("position_ids",) if name in inputs}
        with self.written_embeddings(*written):
            return self.model(**{name: value for name, value in inputs.items() if name in names}).logits

    def run(self, inputs: dict[str, Any]) -> torch.Tensor:
        """The base model's last hidden state, without vocabulary logits."""
        return self.model.base_model(**inputs).last_hidden_state

    def accepted(self, inputs: dict[str, Any]) -> dict[str, Any]:
        """`inputs` that the forward takes, floats in the backbone's dtype."""
        names = _forward_names(type(self.entry))
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

    def embedding_modules(self) -> list[nn.Module]:
        """The modules that embed `input_ids`."""
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


TENSOR_OF_IMAGES, LIST_OF_IMAGES = "encoded_images", "list_of_encoded_images"


def is_image_input(name: str, value: Any, input_ids: torch.Tensor) -> bool:
    """Whether an input belongs to the images: it is not laid out like the tokens."""
    return torch.is_tensor(value) and value.shape[:2] != input_ids.shape


def per_row(value: torch.Tensor, rows: int) -> torch.Tensor:
    """A tensor over all rows' images, `(rows * n, ...)`, as `(rows, n, ...)`."""
    if len(value) % rows:
        raise ValueError(f"The rows' images differ in size or number: {len(value)} entries for {rows} rows.")
    return value.unflatten(0, (rows, -1))


@lru_cache
def _forward_names(entry: type[nn.Module]) -> frozenset[str]:
    parameters = inspect.signature(entry.forward).parameters.values()
    return frozenset(parameter.name for parameter in parameters if parameter.kind != parameter.VAR_KEYWORD)


_REGISTRY: dict[str, type[Backbone]] = {}


def register_backbone(*model_types: str) -> Callable[[type[Backbone]], type[Backbone]]:
    """Class decorator: use this adapter for backbones whose `config.model_type` is one of `model_types`."""

    def register(adapter: type[Backbone]) -> type[Backbone]:
        _REGISTRY.update(dict.fromkeys(model_types, adapter))
        return adapter

    return register


def backbone_adapter(model: PreTrainedModel) -> Backbone:
    """The adapter registered for the model's family, else the general one."""
    return _REGISTRY.get(model.config.model_type, Backbone)(model)


@register_backbone("paligemma")
class PaliGemmaBackbone(Backbone):
    """A prefix language model: tokens of type 0 see each other in both directions, those of type 1 the past only."""

    def causal(self, inputs: dict[str, Any]) -> dict[str, Any]:
        return inputs | {"token_type_ids": inputs["attention_mask"].long()}

    def bidirectional(self, inputs: dict[str, Any], marks: torch.Tensor) -> dict[str, Any]:
        """The marked tokens become part of the prefix, with what they follow."""
        return inputs | {"token_type_ids": torch.zeros_like(inputs["input_ids"])}


@register_backbone("idefics2", "idefics3", "smolvlm")
class ImagesPerSampleBackbone(Backbone):
    """Families that take the images of a row side by side, `(rows, images, ...)`; all-zero images are skipped."""

    def join_images(self, inputs: dict[str, Any], frame_mask: torch.Tensor) -> dict[str, Any]:
        def joined(value: torch.Tensor) -> torch.Tensor:
            samples = [rows.flatten(0, 1) for rows in value.split(frame_mask.sum(dim=1).tolist())]
            return torch.nn.utils.rnn.pad_sequence(samples, batch_first=True)

        return {name: joined(value) if name.startswith("pixel_") else value for name, value in inputs.items()}


class HeadModelBackbone(Backbone):
    """Families without a base model: the head model is called itself, asked for a single logit."""

    @property
    def entry(self) -> nn.Module:
        return self.model

    def run(self, inputs: dict[str, Any]) -> torch.Tensor:
        extra = {"logits_to_keep": 1} if "logits_to_keep" in _forward_names(type(self.model)) else {}
        return self.model(**inputs, **extra, output_hidden_states=True).hidden_states[-1]


@register_backbone("kosmos-2")
class Kosmos2Backbone(HeadModelBackbone):
    """Images enter through the head model, and only without a past: with one, they are written where they belong."""

    def bidirectional(self, inputs: dict[str, Any], marks: torch.Tensor) -> dict[str, Any]:
        raise ValueError(
            "KosMos-2 builds its own causal mask: decode autoregressively, parallel decoding is not possible."
        )

    @property
    def text_tower(self) -> nn.Module:
        return self.model.text_model

    @property
    def vision_tower(self) -> nn.Module:
        return self.model.vision_model

    def image_features(self, inputs: dict[str, Any], rows: int) -> dict[str, torch.Tensor]:
        pixels = self.accepted(inputs)["pixel_values"]
        return {"image_embeds": per_row(self.encode_images(pixels), rows)}

    def encode_images(self, pixel_values: torch.Tensor, **image_inputs: Any) -> torch.Tensor:
        pixels = pixel_values.to(self.model.dtype)
        states = self.model.vision_model(pixel_values=pixels).last_hidden_state
        states = self.model.vision_model.model.post_layernorm(states)
        return self.model.image_to_text_projection(nn.functional.normalize(states, dim=-1))[0]

    def step(
        self,
        inputs: dict[str, Any],
        token_mask: torch.Tensor,
        tokens: torch.Tensor,
        past: DynamicCache,
        position_ids: torch.Tensor,
    ) -> torch.Tensor:
        text = self.model.text_model.model
        images = self.encode_images(self.accepted(inputs)["pixel_values"]).flatten(0, 1)
        with self.written_embeddings((token_mask, tokens), (inputs["image_embeds_position_mask"].bool(), images)):
            return text(
                input_ids=inputs["input_ids"],
                attention_mask=inputs["attention_mask"],
                past_key_values=past,
                use_cache=True,
                position_ids=position_ids + text.embed_positions.padding_idx + 1,
            ).last_hidden_state
