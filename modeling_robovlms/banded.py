"""Banded attention between frames: each reads the keys and values that the frames before it left."""

from typing import Any

import torch
from transformers import DynamicCache

from .backbone import Backbone
from .image_inputs import per_row
from .packing import rows_of
from .streaming import VLACache, push

PAST_KEYS, PAST_VALUES, PAST_MASK, PAST_POSITION = "past.keys.", "past.values.", "past.mask", "past.position"


class BandedAttention:
    """Runs frames one after another; a frame sees itself and what the `window - 1` frames before it left.

    Training and control run the same steps, so a rolling cache is exact, whatever the length of the episode. What a
    frame left was itself computed from the frames before it: information travels further than the window.
    """

    def __init__(self, runner: Backbone, window: int):
        self.runner = runner
        self.kept = window - 1

    def encode(
        self, inputs: dict[str, Any], marks: torch.Tensor, tokens: torch.Tensor, frame_mask: torch.Tensor
    ) -> torch.Tensor:
        """Hidden states at the marks of all real frames of stretches `(batch, frames)`, in their order."""
        rows = int(frame_mask.sum())
        tokens = per_row(tokens, rows)
        row_of = torch.full(frame_mask.shape, -1, device=frame_mask.device)
        row_of[frame_mask] = torch.arange(rows, device=frame_mask.device)
        past, states = VLACache({PAST_MASK: marks.new_zeros(len(frame_mask), self.kept, 1, dtype=torch.long)}), {}
        for frame in range(frame_mask.shape[1]):
            samples = frame_mask[:, frame].nonzero()[:, 0]
            if not len(samples):
                continue
            chosen = row_of[samples, frame]
            part = past.select(samples)
            inputs_now = rows_of(inputs, chosen, rows)
            now = self.step(inputs_now, marks[chosen], tokens[chosen].flatten(0, 1), part)[marks[chosen]]
            past.write(samples, part)
            states.update(zip(chosen.tolist(), per_row(now, len(chosen)), strict=True))
        return torch.cat([states[row] for row in range(rows)])

    def step(self, inputs: dict[str, Any], marks: torch.Tensor, tokens: torch.Tensor, past: VLACache) -> torch.Tensor:
        """Last hidden states of one new frame per row, `(rows, sequence, hidden)`; its keys and values enter `past`."""
        rows, length = marks.shape
        own_mask = inputs["attention_mask"].long()
        mask = past[PAST_MASK] if PAST_MASK in past else own_mask.new_zeros(rows, self.kept, 1)
        start = past[PAST_POSITION] if PAST_POSITION in past else own_mask.new_zeros(rows)
        position_ids = self.runner.position_ids(inputs, start)
        first = self.kept - int(mask.any(dim=(0, 2)).sum())  # frames that no row has yet are left out
        cache = DynamicCache()
        layers = len(past.named(PAST_KEYS)) if first < self.kept else 0
        for layer in range(layers):
            keys, values = (past[f"{name}{layer}"][:, first:] for name in (PAST_KEYS, PAST_VALUES))
            cache.update(keys.transpose(1, 2).flatten(2, 3), values.transpose(1, 2).flatten(2, 3), layer)
        seen = mask[:, first:].flatten(1) if layers else mask[:, :0].flatten(1)
        inputs = inputs | {"attention_mask": torch.cat([seen, own_mask], dim=1)}
        states = self.runner.step(inputs, marks, tokens, cache, position_ids)
        layers_kept: list[Any] = list(cache.layers)  # of attention: `require_keys_and_values` refuses others
        for layer, kept in enumerate(layers_kept):
            for name, value in ((PAST_KEYS, kept.keys), (PAST_VALUES, kept.values)):
                newest = value[:, :, -length:]
                window = (
                    past[f"{name}{layer}"]
                    if f"{name}{layer}" in past
                    else newest.new_zeros(rows, self.kept, *newest.shape[1:])
                )
                past[f"{name}{layer}"] = push(window, newest)
        past[PAST_MASK] = push(mask, own_mask)
        past[PAST_POSITION] = (position_ids * own_mask).reshape(-1, rows, length).amax(dim=(0, 2)) + 1
        return states
