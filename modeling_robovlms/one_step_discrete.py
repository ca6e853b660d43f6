"""Discrete structure: the VLM writes actions as tokens of its own vocabulary."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import nn
from torch.nn import functional as F
from transformers import GenerationConfig, LogitsProcessor, LogitsProcessorList

from ..configuration.configuration_robovlms import OneStepDiscreteConfig
from ..configuration.saving import travels_with
from .heads.overlap import ChunkOverlap
from .modeling_robovlms import RoboVLMPreTrainedModel, VLAOutput, items_of_update
from .packing import rows_of, rows_of_equal_length
from .streaming import VLACache


class OneStepDiscreteVLA(RoboVLMPreTrainedModel):
    """One observation in; a chunk of actions out, one token per dimension and step, by the VLM's own language head.

    With `decoding="autoregressive"` tokens are written one after another (RT-2, OpenVLA). With "parallel" learnable
    placeholders stand where the tokens go, see each other in both directions, and all are read in one pass
    (OpenVLA-OFT).

    Example:
        backbone = "Qwen/Qwen2-VL-2B-Instruct"
        processor = RoboVLMProcessor.from_backbone(backbone, contract, action_bins=256)
        vla = OneStepDiscreteVLA.from_backbone(backbone, contract, **processor.model_fields)
        tokens = vla.predict_tokens(**processor({"front": images}, "push the block"))
        actions = processor.decode_action_tokens(tokens)  # (1, chunk, action_dim)
    """

    config_class = OneStepDiscreteConfig
    config: OneStepDiscreteConfig
    reads_logits = True
    _tied_weights_keys: ClassVar[dict[str, str]] = {}  # the backbone has its own; PEFT wants a dictionary of ours too

    def __init__(self, config: OneStepDiscreteConfig):
        super().__init__(config)
        if len(config.action_token_ids) < 2:
            raise ValueError(
                "action_token_ids is empty: the processor chooses the action tokens; pass "
                "action_token_ids=processor.action_tokenizer.token_ids to the config."
            )
        if config.is_parallel:
            self.action_tokens = nn.Embedding(config.num_action_tokens, config.get_text_config().hidden_size)
        self.loss_type = "ForCausalLM" if not config.is_parallel else None  # how the Trainer counts labels
        self.post_init()
        self.freeze_unused()

    @property
    def action_token_ids(self) -> torch.Tensor:
        """The ids of the action tokens; uniform bins in order."""
        return torch.tensor(self.config.action_token_ids, device=self.device)

    @property
    def generation_config(self) -> GenerationConfig:
        """How the backbone generates; TRL writes its special tokens there."""
        return self.backbone.generation_config

    @travels_with()
    def grow_vocabulary(self) -> None:
        """Grow the vocabulary where action tokens are new ones; tied weights stay tied."""
        embed = self.get_input_embeddings()
        wanted = max(self.config.action_token_ids) + 1
        if wanted > len(embed.get_parameter("weight")):
            self.backbone.resize_token_embeddings(wanted)
            self.config.vlm_config = self.backbone.config

    def forward(
        self,
        input_ids: torch.Tensor,
        labels: torch.Tensor | None = None,
        action_token_mask: torch.Tensor | None = None,
        actions: torch.Tensor | None = None,
        frame_mask: torch.Tensor | None = None,
        num_items_in_batch: torch.Tensor | int | None = None,
        action_dim_mask: torch.Tensor | None = None,
        text: Mapping[str, torch.Tensor] | None = None,
        **inputs: Any,
    ) -> VLAOutput:
        """Vocabulary logits, and the cross-entropy over action tokens where `labels` are given.

        Args:
            input_ids: `(batch, sequence)`, prompt and action tokens (or placeholders, if decoding is parallel).
            labels: `(batch, sequence)`, the token to be predicted at each position of an action token, else -100.
            action_token_mask: placeholders of parallel decoding.
            actions: normalised actions `(batch, 1, chunk, action_dim)`, for the logged L1 error only.
            action_dim_mask: bool `(batch, action_dim)`, True in as many first places as a robot has dimensions: it has so
                many tokens per step. None: all have all.
            text: image-text samples to learn along with the actions, see `text_loss`.
        """
        inputs = {"input_ids": input_ids, **inputs}
        if self.config.is_parallel:
            logits = self._parallel_logits(inputs, action_token_mask, action_dim_mask)
            predicted, wanted = logits, labels
        else:
            logits = self.runner.logits(inputs)
            predicted, wanted = logits[:, :-1], None if labels is None else labels[:, 1:]
        output = VLAOutput(logits=logits)
        if wanted is not None:
            counted = wanted != -100
            items = items_of_update(num_items_in_batch, counted)
            chosen, targets = predicted[counted].float(), wanted[counted]
            output.loss = F.cross_entropy(chosen, targets, reduction="sum") / items
            self._add_metrics(output, chosen, targets, counted, action_dim_mask)
            if text is not None:
                self.add_text_loss(output, text, counted.sum(), items)
        return output

    @torch.no_grad()
    def _add_metrics(
        self,
        output: VLAOutput,
        logits: torch.Tensor,
        targets: torch.Tensor,
        counted: torch.Tensor,
        dim_mask: torch.Tensor | None,
    ) -> None:
        """Accuracy over action tokens and, for uniform bins, per dimension, and the L1 error of what they decode to; none
        without tokens.

        Args:
            logits, targets: of the tokens that count.
            counted: which these are, `(batch, sequence)`.
        """
        is_action = torch.isin(targets, self.action_token_ids)
        if not is_action.any():
            return
        guesses = self.action_token_ids[logits[is_action][:, self.action_token_ids].argmax(dim=-1)]
        right = guesses == targets[is_action]
        output.token_accuracy = right.float().mean()
        if self.config.is_uniform:
            error = (self.bin_values(guesses) - self.bin_values(targets[is_action])).abs()
            output.action_l1 = error.mean()
            width = self.config.action_dim if dim_mask is None else dim_mask.sum(dim=1, keepdim=True)
            dims = ((counted.cumsum(dim=1) - 1) % width)[counted][is_action]  # tokens come step by step
            hits = right.float().new_zeros(self.config.action_dim).index_add(0, dims, right.float())
            output.dimension_accuracy = hits / dims.bincount(minlength=self.config.action_dim)

    def _own_tokens(self, rows: int, dim_mask: torch.Tensor | None) -> torch.Tensor:
        """Which of a chunk's `chunk_size * action_dim` tokens the rows' robots have, bool `(rows, tokens)`."""
        shape = (rows, self.config.chunk_size, self.config.action_dim)
        mask = torch.ones(shape[::2], dtype=torch.bool, device=self.device) if dim_mask is None else dim_mask
        return mask[:, None].expand(shape).flatten(1)

    def _parallel_logits(
        self, inputs: dict[str, Any], marks: torch.Tensor | None, dim_mask: torch.Tensor | None
    ) -> torch.Tensor:
        """Logits of the whole sequence; those at the marks are the action tokens'."""
        own = self._own_tokens(len(inputs["input_ids"]), dim_mask)
        if marks is None or marks.sum(dim=1).tolist() != own.sum(dim=1).tolist():
            got = "nothing" if marks is None else f"{int(marks.sum())} marks"
            raise ValueError(
                f"action_token_mask must mark {self.config.num_action_tokens} placeholders per row "
                f"(chunk_size x action_dim, of the dimensions that its robot has), {int(own.sum())} in all; got {got}."
            )
        tokens = self.action_tokens.weight.expand(len(own), -1, -1)[own]
        return self.runner.logits(self.runner.bidirectional(inputs, marks), marks, tokens)

    def bin_values(self, token_ids: torch.Tensor) -> torch.Tensor:
        """Normalised values of uniform-bin tokens: the middle of each bin.

        Raises:
            ValueError: for a token that is no action token.
        """
        if not self.config.restricted:
            token_ids = token_ids.clamp(min(self.config.action_token_ids), max(self.config.action_token_ids))
        match = token_ids[..., None] == self.action_token_ids
        if not match.any(dim=-1).all():
            raise ValueError("token_ids hold a token that is no action token of this model.")
        bins = len(self.action_token_ids)
        edges = torch.linspace(-1, 1, bins, dtype=torch.float64)
        centers = ((edges[:-1] + edges[1:]) / 2).to(token_ids.device)
        return centers[match.int().argmax(dim=-1).clamp(max=bins - 2)].float()

    @torch.inference_mode()
    def predict_tokens(self, input_ids: torch.Tensor, temperature: float = 0.0, **inputs: Any) -> torch.Tensor:
        """Action token ids (see the config's `restricted`), `(batch, tokens)`; -1 after the end of a shorter sequence, as
        that of a robot with fewer dimensions is.

        Args:
            temperature: 0 takes the likeliest token; above, tokens are drawn at random (autoregressive decoding only).
        """
        marks, dim_mask = inputs.pop("action_token_mask", None), inputs.pop("action_dim_mask", None)
        inputs = {name: value for name, value in inputs.items() if name not in ("frame_mask", "labels", "actions")}
        inputs["input_ids"] = input_ids
        if self.config.is_parallel:
            if temperature:
                raise ValueError(f"temperature = {temperature}: parallel decoding draws no tokens, it must be 0.")
            logits = self._parallel_logits(inputs, marks, dim_mask)[marks][:, self.action_token_ids]
            written, first = (
                self.action_token_ids[logits.argmax(dim=-1)],
                first_places(self._own_tokens(len(marks), dim_mask)),
            )
            return torch.full_like(first, -1, dtype=written.dtype).masked_scatter(first, written)
        tokens = input_ids.new_full((len(input_ids), self.config.num_action_tokens), -1)
        numbers = self._own_tokens(len(input_ids), dim_mask).sum(dim=1)
        for count in numbers.unique().tolist():
            own = (numbers == count).nonzero()[:, 0]
            part = inputs if len(own) == len(numbers) else rows_of(inputs, own, len(numbers))
            for rows, group in rows_of_equal_length(part):
                written = self._generate(group, count, temperature)
                tokens[own[rows], : written.shape[1]] = written
        return tokens

    def _generate(self, inputs: dict[str, Any], numbers: int, temperature: float) -> torch.Tensor:
        """Tokens of chunks of so many numbers, for rows without padding, -1 where they are no action tokens."""
        uniform = self.config.is_uniform
        count = numbers if uniform else self.config.num_action_tokens
        stop = None if uniform else self.config.stop_token_id
        written = self.runner.generate(
            inputs,
            max_new_tokens=count,
            min_new_tokens=count if uniform else 1,
            **({"do_sample": True, "temperature": temperature, "top_k": 0} if temperature else {"do_sample": False}),
            num_beams=1,
            eos_token_id=stop,
            logits_processor=LogitsProcessorList(self._restrictions(stop, inputs["input_ids"].shape[1], numbers)),
        )[:, inputs["input_ids"].shape[1] :]
        if not self.config.restricted:
            return written
        return torch.where(torch.isin(written, self.action_token_ids), written, -1)

    def _restrictions(self, stop: int | None, prompt_length: int, numbers: int) -> Sequence[LogitsProcessor]:
        """What keeps generation to action tokens, and to those that make whole chunks of so many numbers."""
        config = self.config
        if not config.restricted:
            return []
        if config.action_token_lengths is None or stop is None:
            return [OnlyTokens(torch.tensor([*config.action_token_ids, *([] if stop is None else [stop])]))]
        lengths = dict(zip(config.action_token_ids, config.action_token_lengths, strict=True))
        return [WholeChunk(lengths, numbers, stop, prompt_length)]

    def new_cache(self, batch: int) -> VLACache:
        """Nothing is remembered: there is no history."""
        return VLACache({"rows": torch.zeros(batch, dtype=torch.bool, device=self.device)})

    @torch.inference_mode()
    def predict_action_chunk(
        self, cache: Any = None, generator: Any = None, overlap: ChunkOverlap | None = None, **inputs: Any
    ) -> torch.Tensor:
        """The chunk of normalised actions `(batch, chunk, action_dim)` of uniform-bin tokens.

        There is no history, hence nothing in a `cache`, and decoding is greedy, hence no use for a `generator`. An
        `overlap` is mixed in.

        Raises:
            ValueError: if actions are not in uniform bins: decode `predict_tokens` with the processor then.
        """
        if not self.config.is_uniform:
            raise ValueError(
                f"action_tokenizer is {self.config.action_tokenizer!r}: its tokens are decoded by the processor, "
                "processor.decode_action_tokens(vla.predict_tokens(**inputs))."
            )
        tokens = self.predict_tokens(**inputs)
        own = self._own_tokens(len(tokens), inputs.get("action_dim_mask"))
        values = torch.zeros(own.shape, device=own.device).masked_scatter(
            own, self.bin_values(tokens[first_places(own)])
        )
        actions = values.view(-1, self.config.chunk_size, self.config.action_dim)
        return actions if overlap is None else overlap.to(actions).blend(actions)


def first_places(own: torch.Tensor) -> torch.Tensor:
    """As many True in each row of `(rows, tokens)`, all at its start."""
    return torch.arange(own.shape[1], device=own.device) < own.sum(dim=1, keepdim=True)


class OnlyTokens(LogitsProcessor):
    """Leaves only the given tokens possible."""

    def __init__(self, token_ids: torch.Tensor):
        self.token_ids = token_ids

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        allowed = torch.full_like(scores, float("-inf"))
        allowed[:, self.token_ids] = scores[:, self.token_ids]
        return allowed


class WholeChunk(LogitsProcessor):
    """Leaves only tokens possible after which the chunk can still become whole, and the end once it is.

    Args:
        lengths: how many coefficients each action token stands for.
        total: coefficients of a chunk.
        stop: the token that ends it.
        prompt_length: tokens before the chunk's first.
    """

    def __init__(self, lengths: Mapping[int, int], total: int, stop: int, prompt_length: int):
        self.token_ids = torch.tensor(list(lengths))
        self.lengths = torch.tensor(list(lengths.values()))
        self.total, self.stop, self.prompt_length = total, stop, prompt_length

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        token_ids, lengths = self.token_ids.to(scores.device), self.lengths.to(scores.device)
        table = lengths.new_zeros(scores.shape[-1])
        table[token_ids] = lengths
        left = self.total - table[input_ids[:, self.prompt_length :]].sum(dim=1, keepdim=True)
        allowed = torch.full_like(scores, float("-inf"))
        allowed[:, token_ids] = scores[:, token_ids].masked_fill(lengths > left, float("-inf"))
        allowed[:, self.stop] = scores[:, self.stop].masked_fill(left[:, 0] > 0, float("-inf"))
        return allowed


__all__ = ["OneStepDiscreteVLA"]
