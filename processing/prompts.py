"""Prompts: one text per frame, with its images, its instruction and its action tokens, to the backbone's inputs."""

from typing import Any, Literal

import numpy as np
import torch
from transformers import BatchFeature

from ..configuration.configuration_robovlms import TokenSource
from .backbone_inputs import ACTION_TOKEN, BackboneInputs, per_token_names

MARK = "<robovlms_mark>"
"""Stands before and behind an instruction that is to be found again among the tokens, where it is taken out."""


class PromptEncoder:
    """Writes the prompts of frames and encodes them. Adds the tokens that it needs to the tokenizer.

    Args:
        backbone_inputs: calls the backbone's own processor.
        tokenizer: its tokenizer.
        template, attention, is_raw, token_source: `prompt_template`, `action_attention`, `raw_prompt` and `token_source`
            of `RoboVLMProcessor`.
        marks_instruction: whether inputs say which tokens are the instruction.

    Raises:
        ValueError: for a template without its parts, and a tokenizer without a token of plain text.
    """

    def __init__(
        self,
        backbone_inputs: BackboneInputs,
        tokenizer: Any,
        template: str,
        attention: Literal["causal", "prefix"],
        is_raw: bool,
        token_source: TokenSource,
        marks_instruction: bool,
    ):
        if missing := [name for name in ("{images}", "{instruction}", "{action}") if name not in template]:
            raise ValueError(f"prompt_template {template!r} lacks {missing}.")
        self.backbone_inputs = backbone_inputs
        self.tokenizer = tokenizer
        self.template = template
        self.attention = attention
        self.is_raw = is_raw
        self.token_source = token_source
        self.marks_instruction = marks_instruction
        tokenizer.add_tokens([ACTION_TOKEN], special_tokens=True)
        self.action_token_id = tokenizer.convert_tokens_to_ids(ACTION_TOKEN)
        self.text_token_id = self._ordinary_text_id()
        if marks_instruction:
            tokenizer.add_tokens([MARK], special_tokens=True)

    def _ordinary_text_id(self) -> int:
        """An id of plain text, which stands at the action tokens while the backbone counts and masks by ids."""
        special = set(self.tokenizer.all_special_ids)
        ids = [i for i in self.tokenizer.encode("action", add_special_tokens=False) if i not in special]
        if not ids:
            raise ValueError("The tokenizer writes 'action' with special tokens only; it cannot carry action tokens.")
        return ids[-1]

    def write(self, instruction: str, num_images: int, num_action_tokens: int) -> str:
        """The text of one frame, with the backbone's image placeholders and those of the action tokens."""
        if self.is_raw:
            placeholder = self.backbone_inputs.raw_image_prompt()
        else:
            placeholder = self.backbone_inputs.image_prompt + self.backbone_inputs.image_separator
        instruction = MARK + instruction + MARK if self.marks_instruction else instruction
        return self.template.format(
            images=placeholder * num_images, instruction=instruction, action=ACTION_TOKEN * num_action_tokens
        )

    def encode(
        self,
        instructions: list[str],
        frames: list[list[list[np.ndarray]]],
        real: torch.Tensor,
        placeholders: list[int],
    ) -> BatchFeature:
        """One row per real frame.

        Args:
            instructions: one per sample.
            frames: per sample, per frame, the cameras' images.
            real: bool `(batch, window)`, which frames there are.
            placeholders: of action tokens, in each prompt of a sample; with none no `action_token_mask` is made.
        """
        texts, images = [], []
        for sample, frame in real.nonzero().tolist():
            images.append(frames[sample][frame])
            texts.append(self.write(instructions[sample], len(images[-1]), placeholders[sample]))
        inputs = self.backbone_inputs.from_raw(texts, images) if self.is_raw else self.backbone_inputs(texts, images)
        if self.marks_instruction:
            inputs["instruction_mask"] = take_marks_out(inputs, self.tokenizer.convert_tokens_to_ids(MARK))
        mask = inputs["input_ids"] == self.action_token_id
        inputs["input_ids"] = inputs["input_ids"].masked_fill(mask, self.text_token_id)
        if any(placeholders):
            inputs["action_token_mask"] = mask
        self.backbone_inputs.mark_actions(inputs, mask, causal=self.attention == "causal")
        if self.token_source != "action":
            inputs["feature_token_mask"] = self._pooled_tokens(inputs)
        return inputs

    def _pooled_tokens(self, inputs: BatchFeature) -> torch.Tensor:
        """The tokens that `token_source` names, bool `(rows, sequence)`; text is what is neither an image nor the
        prompt's begin or end."""
        ids, real = inputs["input_ids"], inputs["attention_mask"].bool()
        if self.token_source == "all":
            return real
        is_image = self.backbone_inputs.image_positions(inputs)
        if self.token_source == "vision":
            return real & is_image
        if self.is_raw:  # its own first and last token
            order = real.cumsum(dim=1)
            is_text = (order > 1) & (order < order[:, -1:])
        else:
            ends = [i for i in (self.tokenizer.bos_token_id, self.tokenizer.eos_token_id) if i is not None]
            is_text = ~torch.isin(ids, torch.tensor(ends, dtype=ids.dtype))
        return real & ~is_image & is_text


def take_marks_out(inputs: BatchFeature, mark_id: int) -> torch.Tensor:
    """Remove the two marks of every row from all per-token inputs.

    Returns:
        bool `(rows, sequence)`, True at the tokens that stood between the marks.

    Raises:
        ValueError: if a row does not have two marks.
    """
    ids = inputs["input_ids"]
    is_mark = ids == mark_id
    if not (is_mark.sum(dim=1) == 2).all():
        raise ValueError(f"Each prompt must hold two marks {MARK!r}, got {is_mark.sum(dim=1).tolist()} per row.")

    def without_marks(value: torch.Tensor) -> torch.Tensor:
        return value[~is_mark].unflatten(0, (len(ids), ids.shape[1] - 2))

    between = without_marks(is_mark.cumsum(dim=1) == 1)
    for name in per_token_names(inputs):
        inputs[name] = without_marks(inputs[name])
    return between
