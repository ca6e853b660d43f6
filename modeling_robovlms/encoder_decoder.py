"""Backbones of an encoder and a decoder, of whatever family: action tokens are read in the decoder."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import nn
from transformers import PreTrainedModel

from ..configuration.configuration_robovlms import RoboVLMConfig
from ..configuration.saving import travels_with
from .backbone import Backbone, UnsupportedByBackbone, forward_names, register_backbone


def prompts_the_encoder(model: PreTrainedModel) -> bool:
    """Return whether this is an encoder that reads text, and a decoder."""
    return "input_ids" in forward_names(type(model)) and (
        model.config.is_encoder_decoder or model.config.get_text_config().is_encoder_decoder
    )


def prompts_the_decoder(model: PreTrainedModel) -> bool:
    """Return whether only the decoder reads text."""
    return "input_ids" not in forward_names(type(model))


@register_backbone(where=prompts_the_encoder)
class EncoderDecoderBackbone(Backbone):
    """The encoder reads images and prompt without the action tokens; the decoder reads a start token and them.

    Their hidden states come out where they stood in the prompt; everywhere else are zeros.
    """

    def require_support(self, config: RoboVLMConfig) -> None:
        if config.structure == "interleaved_continuous":
            raise UnsupportedByBackbone(
                f"backbone {self.family!r} reads its prompt in both directions: frames joined in one sequence would see "
                "the future. Use PolicyHeadContinuousVLA for history."
            )
        if config.structure == "one_step_discrete":
            raise UnsupportedByBackbone(
                f"backbone {self.family!r} is an encoder and a decoder, discrete actions continue the prompt of a "
                "decoder-only model. Use OneStepContinuousVLA."
            )
        if config.token_source != "action":
            raise UnsupportedByBackbone(
                f"backbone {self.family!r} is an encoder and a decoder: token_source must be 'action', got "
                f"{config.token_source!r}."
            )

    def hidden_states(self, inputs: dict[str, Any], *written: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
        ((marks, tokens),) = written
        ids = inputs["input_ids"]
        counts = set(marks.sum(dim=1).tolist())
        if len(counts) != 1:
            raise ValueError(f"action_token_mask must mark equally many tokens in every row, got {sorted(counts)}.")
        text = ids[marks].view(len(ids), -1)
        decoder_ids = torch.nn.functional.pad(text, (1, 0), value=self.start_id)
        is_token = torch.nn.functional.pad(torch.ones_like(text, dtype=torch.bool), (1, 0))
        inputs = self.prompt(inputs, marks) | {"decoder_input_ids": decoder_ids}
        with self.written_embeddings((is_token, tokens)):
            states = self.run(self.accepted(inputs))[:, 1:]
        return states.new_zeros(*ids.shape, states.shape[-1]).masked_scatter(marks[..., None], states)

    def answer_logits(self, inputs: dict[str, Any], is_answer: torch.Tensor) -> torch.Tensor:
        """The encoder reads the prompts, the decoder a start token and the answers."""
        ids, given = inputs["input_ids"], inputs["attention_mask"].bool() & ~is_answer
        longest = int(given.sum(dim=1).max())
        prompts = {
            name: value[:, :longest] if torch.is_tensor(value) and value.shape[:2] == ids.shape else value
            for name, value in (inputs | {"attention_mask": given.to(inputs["attention_mask"])}).items()
        }
        rows = [row[answer] for row, answer in zip(ids, is_answer, strict=True)]
        answers = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True)
        read = torch.nn.functional.pad(answers[:, :-1], (1, 0), value=self.start_id)
        logits = self.model(**self.accepted(prompts | {"decoder_input_ids": read})).logits
        written = torch.arange(answers.shape[1], device=ids.device) < is_answer.sum(dim=1, keepdim=True)
        return logits[written]

    def prompt(self, inputs: dict[str, Any], marks: torch.Tensor) -> dict[str, Any]:
        """`inputs` without the marked positions."""
        rows = len(marks)
        return {
            name: value[~marks].unflatten(0, (rows, -1))
            if torch.is_tensor(value) and value.shape[:2] == marks.shape
            else value
            for name, value in inputs.items()
        }

    @property
    def start_id(self) -> int:
        """The id with which the decoder starts."""
        configs = (self.model.generation_config, self.model.config, self.model.config.get_text_config(decoder=True))
        for name in ("decoder_start_token_id", "bos_token_id", "pad_token_id"):
            for config in configs:
                if (start := getattr(config, name, None)) is not None:
                    return start
        raise ValueError(f"The config of backbone {self.family!r} names no decoder_start_token_id.")

    def embedding_modules(self) -> list[nn.Module]:
        """Return the decoder's: it is a module of its own, whose weight is the encoder's."""
        return [module for name, module in decoder_embeddings(self.model)]


@register_backbone(where=prompts_the_decoder)
class DecoderPromptBackbone(Backbone):
    """Only the decoder reads text, the encoder one image: the whole prompt goes to the decoder."""

    takes_several_images = False

    def require_support(self, config: RoboVLMConfig) -> None:
        if config.structure == "one_step_discrete":
            raise UnsupportedByBackbone(
                f"backbone {self.family!r} is an encoder and a decoder, discrete actions continue the prompt of a "
                "decoder-only model. Use OneStepContinuousVLA."
            )

    @travels_with("interleaved_continuous")
    def require_keys_and_values(self) -> None:
        raise UnsupportedByBackbone(
            f"frame_attention = 'banded' keeps keys and values of frames; in {self.family!r} they are kept together with "
            "those of one image. Use PolicyHeadContinuousVLA for history."
        )

    def accepted(self, inputs: dict[str, Any]) -> dict[str, Any]:
        text = {f"decoder_{name}": inputs[name] for name in ("input_ids", "attention_mask")}
        own = {name: value for name, value in inputs.items() if name not in ("input_ids", "attention_mask")}
        if (mask := own.pop("encoder_attention_mask", None)) is not None:
            own["attention_mask"] = mask
        return super().accepted(own | text)


def decoder_embeddings(model: PreTrainedModel) -> Iterator[tuple[str, nn.Module]]:
    """Yield the modules that embed the vocabulary for a decoder."""
    embedding: Any = model.get_input_embeddings()
    vocabulary = embedding.weight.shape[0]
    for name, module in model.named_modules():
        is_embedding = isinstance(module, nn.Embedding) and module.weight.shape[0] == vocabulary
        if is_embedding and "decoder" in name.split("."):
            yield name, module
