"""Interleaved structure: observations and action tokens of the whole window in one sequence."""

from typing import Any

import torch

from ..configuration.configuration_robovlms import InterleavedContinuousConfig
from .banded import BandedAttention
from .continuous import ContinuousVLA
from .image_inputs import is_image_input
from .packing import pack_tokens
from .streaming import VLACache, push

WINDOW_SEEN, WINDOW_STATE, WINDOW_TOKENS, WINDOW_IMAGES = "seen", "state", "tokens.", "images."


class InterleavedContinuousVLA(ContinuousVLA):
    """The VLM reads `(observation, instruction, action tokens) x window`; history is its own attention.

    With `frame_attention="window"` the last `window_size` frames are one causal sequence, as in the paper. In control
    each frame's images are encoded once, and the language model reads the window again at every step.

    With "banded" a frame attends to itself and to the keys and values that the `window_size - 1` frames before it
    left, in training, on stretches of any length, as in control, where one step then costs one frame.
    """

    config_class = InterleavedContinuousConfig
    config: InterleavedContinuousConfig

    def __init__(self, config: InterleavedContinuousConfig):
        super().__init__(config)
        self.runner.require_joined_frames(config)
        self.is_banded = config.frame_attention == "banded"

    def frame_mask_or_single(self, frame_mask: torch.Tensor | None, input_ids: torch.Tensor) -> torch.Tensor:
        if self.is_banded and frame_mask is not None:
            return frame_mask
        return super().frame_mask_or_single(frame_mask, input_ids)

    def encode(
        self,
        inputs: dict[str, Any],
        marks: torch.Tensor,
        tokens: torch.Tensor,
        frame_mask: torch.Tensor,
        past: VLACache | None = None,
    ) -> torch.Tensor:
        """`inputs` hold a row per real frame, or already one per sample."""
        inputs = self.runner.causal(inputs)
        instruction = self._instruction(inputs)
        if self.is_banded:
            banded = BandedAttention(self.runner, self.config.window_size)
            if past is not None:
                return banded.step(inputs, marks, tokens, past)[marks]
            return banded.encode(inputs, marks, tokens, frame_mask)
        if len(marks) != len(frame_mask):
            inputs = self.runner.join_images(inputs, frame_mask)
            inputs, marks = pack_tokens(inputs, marks, frame_mask, once=instruction)
        return self.runner.hidden_states(inputs, (marks, tokens))[marks]

    def _instruction(self, inputs: dict[str, Any]) -> torch.Tensor | None:
        """Which tokens are the instruction, `(rows, sequence)`, where it stands in the first frame only."""
        mask, wanted = inputs.pop("instruction_mask", None), self.config.instruction_frames
        if (mask is not None) != (wanted == "first"):
            raise ValueError(
                f"instruction_mask is {'missing' if mask is None else 'given'}, and the model's instruction_frames is "
                f"{wanted!r}: make the processor with instruction_frames = {wanted!r} too."
            )
        return mask

    def new_cache(self, batch: int) -> VLACache:
        seen = torch.zeros(batch, self.config.window_size, dtype=torch.bool, device=self.device)
        return VLACache({WINDOW_SEEN: seen} | (self.head.new_state(batch) if self.is_banded else {}))

    def stream(
        self,
        inputs: dict[str, Any],
        frame_mask: torch.Tensor,
        state: torch.Tensor | None,
        cache: VLACache,
        **sampling: Any,
    ) -> torch.Tensor:
        if self.is_banded:
            features = self.features(inputs, frame_mask, state, past=cache)
            return self.step_head(features, cache, **sampling)
        self._remember(inputs, state, cache)
        seen = cache[WINDOW_SEEN]
        joined = {name: rows[seen] for name, rows in cache.named(WINDOW_TOKENS).items()}
        joined |= self.runner.with_image_features(
            {name: rows[seen] for name, rows in cache.named(WINDOW_IMAGES).items()}
        )
        features = self.features(joined, seen, cache.get(WINDOW_STATE))
        return self.head.newest(features, seen, **sampling)

    def _remember(self, inputs: dict[str, Any], state: torch.Tensor | None, cache: VLACache) -> None:
        """Push the new frame, its images encoded, into the window that `cache` holds."""
        batch = len(cache)
        if len(inputs["input_ids"]) != batch:
            raise ValueError(f"The cache has {batch} rows, this call has {len(inputs['input_ids'])}.")
        newest = {WINDOW_IMAGES + name: value for name, value in self.runner.image_features(inputs, batch).items()}
        newest |= {
            WINDOW_TOKENS + name: value
            for name, value in inputs.items()
            if torch.is_tensor(value) and not is_image_input(name, value, inputs["input_ids"])
        }
        newest[WINDOW_SEEN] = torch.ones_like(cache[WINDOW_SEEN][:, 0])
        if state is not None:
            newest[WINDOW_STATE] = state[:, 0]
        for name, value in newest.items():
            window = (
                cache[name] if name in cache else value.new_zeros(batch, self.config.window_size, *value.shape[1:])
            )
            cache[name] = push(window, value)


__all__ = ["InterleavedContinuousVLA"]
