"""Continuous structures: what they share, and the two whose frames the VLM reads one by one (one-step, policy head)."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from ..configuration.configuration_robovlms import (
    OneStepContinuousConfig,
    PolicyHeadContinuousConfig,
    RoboVLMConfig,
)
from .heads.action_head import ActionTargets, Generators, build_head
from .heads.overlap import ChunkOverlap
from .modeling_robovlms import RoboVLMPreTrainedModel, VLAOutput, items_of_update
from .streaming import VLACache


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
        absent = state.isnan()
        encoded = self.state_encoder(state.masked_fill(absent, 0).to(self.state_encoder.weight.dtype))
        return encoded.masked_fill(absent.all(dim=-1, keepdim=True), 0)

    def forward(
        self,
        input_ids: torch.Tensor,
        frame_mask: torch.Tensor | None = None,
        state: torch.Tensor | None = None,
        actions: torch.Tensor | None = None,
        labels: torch.Tensor | None = None,
        grounding: torch.Tensor | None = None,
        num_items_in_batch: torch.Tensor | int | None = None,
        action_dim_mask: torch.Tensor | None = None,
        generator: torch.Generator | None = None,
        text: Mapping[str, torch.Tensor] | None = None,
        **inputs: Any,
    ) -> VLAOutput:
        """Predict a chunk for every frame of the window, and the loss where `actions` are given.

        Args:
            input_ids: `(rows, sequence)`, a row per real frame, as the processor lays them out.
            frame_mask: bool `(batch, window)`, False for frames before the episode's start (they come first).
                None: one real frame per row.
            state: normalised `(batch, window, state_dim)`, where the config has a `state_dim`; NaN where a robot has no
                such number.
            actions: normalised targets `(batch, window, chunk, action_dim)`.
            labels: `(batch, window, chunk)`, -100 where the action does not count, else 0. None: all of real
                frames count.
            grounding: auxiliary targets `(batch, window, grounding_dim)`, NaN where absent.
            num_items_in_batch: number of counting actions over which the loss is averaged (the Trainer passes it
                under gradient accumulation and data parallelism). None: those of this batch.
            action_dim_mask: bool `(batch, action_dim)`, False where a robot has no such dimension: it counts in no loss,
                and what is predicted there is zero. None: all have all.
            text: image-text samples to learn along with the actions, see `text_loss`.
            inputs: everything else that the backbone takes (`pixel_values`, `attention_mask`, ...), and
                `action_token_mask`, bool `(rows, sequence)`, True at the action tokens (or `feature_token_mask`, True
                at the tokens to pool, where `token_source` is not "action").
        """
        frame_mask = self.frame_mask_or_single(frame_mask, input_ids)
        features = self.features({"input_ids": input_ids, **inputs}, frame_mask, state)
        targets = self._targets(actions, labels, frame_mask, num_items_in_batch)
        head = self.head(features, frame_mask, targets=targets, generator=generator, dim_mask=action_dim_mask)
        output = VLAOutput(**vars(head), action_features=features)
        if self.config.grounding_dim:
            predicted = self.grounding(features.flatten(2))
            output.grounding = predicted
            if grounding is not None and targets is not None:
                grounding_loss = self._grounding_loss(predicted, grounding, targets)
                output.grounding_loss = grounding_loss
                output.add_loss(self.config.grounding_loss_weight * grounding_loss)
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
        return ActionTargets(actions.to(self.head.dtype), valid, items_of_update(num_items, valid))

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
        return VLACache(self.head.new_state(batch))

    @torch.inference_mode()
    def predict_action_chunk(
        self,
        cache: VLACache | None = None,
        generator: Generators = None,
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
        sampling = {"generator": generator, "overlap": overlap, "dim_mask": inputs.pop("action_dim_mask", None)}
        frame_mask = self.frame_mask_or_single(inputs.pop("frame_mask", None), input_ids)
        inputs["input_ids"] = input_ids
        if cache is None:
            features = self.features(inputs, frame_mask, state)
            return self.head.newest(features, frame_mask, **sampling)
        if frame_mask.shape[1] != 1 or not frame_mask.all():
            raise ValueError(f"Streaming takes one new real frame per row, got frame_mask {frame_mask.tolist()}.")
        return self.stream(inputs, frame_mask, state, cache, **sampling)

    def stream(
        self,
        inputs: dict[str, Any],
        frame_mask: torch.Tensor,
        state: torch.Tensor | None,
        cache: VLACache,
        **sampling: Any,
    ) -> torch.Tensor:
        """The chunk for one new frame per row; what is needed of the past is in `cache`."""
        return self.step_head(self.features(inputs, frame_mask, state), cache, **sampling)

    def step_head(self, features: torch.Tensor, cache: VLACache, **sampling: Any) -> torch.Tensor:
        """The chunk `(batch, chunk, action_dim)` of one new frame's `features` `(batch, 1, num_action_tokens, hidden)`."""
        return self.head.step(features, cache, **sampling).newest_actions


class OneStepContinuousVLA(ContinuousVLA):
    """The VLM reads one observation and the instruction; the head maps its action tokens to a chunk."""

    config_class = OneStepContinuousConfig
    config: OneStepContinuousConfig


class PolicyHeadContinuousVLA(ContinuousVLA):
    """Frames of the window are rows of one batch for the VLM; history exists only in the head.

    A control step encodes the new frame alone, whatever the window.

    Example:
        backbone = "Qwen/Qwen2-VL-2B-Instruct"
        vla = PolicyHeadContinuousVLA.from_backbone(backbone, contract, head_config=LSTMHeadConfig())
        inputs = processor({"front": images}, "push the block", states)  # (window, height, width, 3); (window, state_dim)
        vla(**inputs).actions  # normalised (1, window, chunk, action_dim)
    """

    config_class = PolicyHeadContinuousConfig
    config: PolicyHeadContinuousConfig


__all__ = ["ContinuousVLA", "OneStepContinuousVLA", "PolicyHeadContinuousVLA"]
