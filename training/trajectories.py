"""Episodes run with sampled action tokens, kept as what reinforcement and preference learning train on."""

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch.nn import functional as F

from ..evaluation.environments import EnvironmentPool
from ..evaluation.rollout import Episode, EpisodeResult, rollout
from ..modeling_robovlms.adapters import base_vla
from ..modeling_robovlms.image_inputs import is_image_input, per_row
from ..modeling_robovlms.one_step_discrete import OneStepDiscreteVLA
from ..processing.processing_robovlms import RoboVLMProcessor
from ..serving.chunk_predictor import stack_states

Decision = dict[str, torch.Tensor]
"""One prediction of an episode: the prompt's tensors without padding, `(tokens,)` each, its images' tensors, and
`completion_ids`, the action tokens that were drawn."""


@dataclass
class Trajectory:
    """One episode: how it ended, and what was decided on the way."""

    result: EpisodeResult
    decisions: list[Decision]


class SamplingPolicy:
    """Runs a discrete VLA with action tokens drawn at random, and keeps every decision.

    A policy of the rollout engine. `n_action_steps` of the contract are executed per decision.

    Args:
        model: a `OneStepDiscreteVLA` with uniform bins, written one after another; with or without adapters.
        processor: its processor.
        temperature: of the distribution that tokens are drawn from.
        embodiment: which contract to use; may be left out where the processor has one.

    Raises:
        TypeError, ValueError: if the model's tokens have no probabilities that the trainers here could follow.
    """

    def __init__(
        self,
        model: torch.nn.Module,
        processor: RoboVLMProcessor,
        temperature: float = 1.0,
        embodiment: str | None = None,
    ):
        vla = base_vla(model)
        if not isinstance(vla, OneStepDiscreteVLA):
            raise TypeError(f"model must be a OneStepDiscreteVLA, got {type(vla).__name__}.")
        config = vla.config
        if config.is_parallel or not (config.is_uniform and config.restricted):
            raise ValueError(
                "Reinforcement and preference learning need action_tokenizer = 'uniform', decoding = 'autoregressive' "
                f"and restricted = True, got {config.action_tokenizer!r}, {config.decoding!r} and {config.restricted}."
            )
        self.model, self.processor, self.temperature = vla, processor, temperature
        self.contract = processor.contract(embodiment)
        self.decisions: dict[int, list[Decision]] = {}
        self._actions: dict[int, deque[np.ndarray]] = {}

    def reset(self, rows: Sequence[int] | None = None) -> None:
        """Start new episodes in the given rows (None: in all)."""
        for row in list(self.decisions) if rows is None else rows:
            self.decisions[row], self._actions[row] = [], deque()

    def select_action(self, observation: list[Any], instruction: list[str], rows: Sequence[int]) -> np.ndarray:
        """The next action of each row, `(rows, action_dim)`."""
        due = [index for index, row in enumerate(rows) if not self._actions[row]]
        if due:
            self._decide([rows[i] for i in due], [observation[i] for i in due], [instruction[i] for i in due])
        return np.stack([self._actions[row].popleft() for row in rows])

    def _decide(self, rows: list[int], observations: list[Any], instructions: list[str]) -> None:
        images = [observation["images"] for observation in observations]
        inputs = self.processor(images=images, instruction=instructions, embodiment=self.contract.embodiment)
        inputs.pop("frame_mask")
        drawn = self.model.predict_tokens(**inputs.to(self.model.device), temperature=self.temperature)
        own = self.contract.chunk_size * self.contract.predicted.dim
        tokens = torch.from_numpy(drawn[:, :own].cpu().numpy())
        states = stack_states(observations, self.contract)
        chunks = self.processor.decode_action_tokens(tokens.numpy(), self.contract.embodiment, states)
        for row, decision, ids, chunk in zip(rows, split_rows(inputs), tokens, chunks, strict=True):
            self.decisions[row].append(decision | {"completion_ids": ids})
            self._actions[row].extend(chunk[: self.contract.n_action_steps])


def sample_trajectories(
    policy: SamplingPolicy, pool: EnvironmentPool, episodes: Sequence[Episode], max_steps: int | None = None
) -> list[Trajectory]:
    """Run the episodes, as many at once as the pool has environments, and keep what was decided in each."""
    trajectories = []
    for start in range(0, len(episodes), len(pool)):
        # No more episodes than rows: row i runs episode i and no other.
        results = rollout(policy, pool, episodes[start : start + len(pool)], max_steps=max_steps, progress=False)
        trajectories += [Trajectory(result, policy.decisions[row]) for row, result in enumerate(results)]
    return trajectories


def split_rows(inputs: Mapping[str, torch.Tensor]) -> list[Decision]:
    """A batch of prompts to one dict per row, without padding."""
    ids, real = inputs["input_ids"].cpu(), inputs["attention_mask"].bool().cpu()
    decisions: list[Decision] = [{} for _ in ids]
    for name, value in inputs.items():
        value = value.cpu()
        if is_image_input(name, value, ids):
            rows = per_row(value, len(ids))
        else:
            rows = [row[keep] for row, keep in zip(value, real, strict=True)]
        for decision, row in zip(decisions, rows, strict=True):
            decision[name] = row
    return decisions


def join_decisions(decisions: Sequence[Decision], pad_token_id: int) -> dict[str, torch.Tensor]:
    """Decisions to one batch in TRL's names: `prompt_ids` and `prompt_mask` `(rows, prompt)`, padded at the left,
    `completion_ids` and `completion_mask` `(rows, tokens)`, everything else `(rows, ...)`.
    """
    longest = max(len(decision["input_ids"]) for decision in decisions)
    batch = {}
    for name in decisions[0]:
        rows = [decision[name] for decision in decisions]
        if rows[0].ndim == 1 and name != "completion_ids":
            fill = pad_token_id if name == "input_ids" else 0
            rows = [F.pad(row, (longest - len(row), 0), value=fill) for row in rows]
        batch[name] = torch.stack(rows)
    batch["prompt_ids"], batch["prompt_mask"] = batch.pop("input_ids"), batch.pop("attention_mask")
    batch["completion_mask"] = torch.ones_like(batch["completion_ids"])
    return batch


def action_log_probs(
    model: torch.nn.Module, inputs: dict[str, torch.Tensor], action_token_ids: Sequence[int], temperature: float = 1.0
) -> tuple[torch.Tensor, torch.Tensor]:
    """Log-probabilities and entropies `(rows, tokens)` of action tokens, among action tokens: what they are drawn from.

    Args:
        inputs: as `join_decisions` lays them out.
    """
    prompt, completion = inputs["prompt_ids"], inputs["completion_ids"]
    count = completion.shape[1]
    given = {
        "input_ids": torch.cat([prompt, completion], dim=1),
        "attention_mask": torch.cat([inputs["prompt_mask"], inputs["completion_mask"]], dim=1),
        "logits_to_keep": count + 1,
    }
    for name, value in inputs.items():
        if name in OWN_NAMES or value is None:
            continue
        if value.shape == prompt.shape:  # token types: 1 means read causally in prefix language models, else text
            more = torch.full_like(completion, int(name == "token_type_ids"), dtype=value.dtype)
            given[name] = torch.cat([value, more], dim=1)
        else:
            given[name] = value.flatten(0, 1)
    logits = model(**given).logits[:, -count - 1 : -1].float()
    ids = torch.tensor(list(action_token_ids), device=logits.device)
    log_probs = (logits[..., ids] / temperature).log_softmax(dim=-1)
    chosen = (completion[..., None] == ids).int().argmax(dim=-1, keepdim=True)
    entropies = -(log_probs.exp() * log_probs).sum(dim=-1)
    return log_probs.gather(-1, chosen)[..., 0], entropies


OWN_NAMES = ("prompt_ids", "prompt_mask", "completion_ids", "completion_mask")


def action_token_ids(processor: RoboVLMProcessor) -> Sequence[int]:
    """The ids of the tokens that actions are written in; ValueError where actions are not written as tokens."""
    if processor.action_tokenizer is None:
        raise ValueError("processing_class writes no action tokens: make it with action_bins.")
    return processor.action_tokenizer.token_ids


__all__ = ["SamplingPolicy", "Trajectory", "action_log_probs", "join_decisions", "sample_trajectories"]
