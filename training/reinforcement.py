"""GRPO on episodes: TRL's trainer, with rollouts of a simulator in the place of generated text."""

from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import torch
from datasets import Dataset
from transformers import PreTrainedModel
from trl.trainer.grpo_config import GRPOConfig
from trl.trainer.grpo_trainer import GRPOTrainer

from ..evaluation.environments import EnvironmentPool
from ..evaluation.rollout import Episode
from ..processing.processing_robovlms import RoboVLMProcessor
from .trajectories import (
    SamplingPolicy,
    Trajectory,
    action_log_probs,
    action_token_ids,
    join_decisions,
    sample_trajectories,
)


def success(trajectory: Trajectory) -> float:
    """1 for an episode that succeeded, else 0."""
    return float(trajectory.result.success)


class EpisodeGRPOTrainer(GRPOTrainer):
    """Group-relative policy optimisation where a completion is an episode (SimpleVLA-RL, arXiv:2509.09674).

    Every row of the dataset is a scene: `prompt` (the instruction), `task` and `seed`. It is run `num_generations`
    times with sampled action tokens. The reward, 1 for success and 0 otherwise by default, is compared within the
    group, and every decision of an episode gets the episode's advantage. Probabilities are those among action tokens, from which
    tokens are drawn. An episode whose environment crashed teaches nothing.

    Args:
        environments: where episodes run; left open.
        max_steps: control steps after which an episode has failed.
        reward: of an episode.

    The other arguments are TRL's. Two of its private methods are replaced, hence the narrow range of its versions.
    """

    args: GRPOConfig
    model: torch.nn.Module
    ref_model: torch.nn.Module | None
    processing_class: RoboVLMProcessor

    def __init__(
        self,
        model: str | PreTrainedModel,
        args: GRPOConfig,
        train_dataset: Dataset,
        processing_class: RoboVLMProcessor,
        environments: EnvironmentPool,
        max_steps: int | None = None,
        reward: Callable[[Trajectory], float] = success,
        **options: Any,
    ):
        if missing := {"prompt", "task", "seed"} - set(train_dataset.column_names):
            raise ValueError(f"train_dataset lacks column(s) {sorted(missing)}; it has {train_dataset.column_names}.")
        super().__init__(
            model=model,
            args=args,
            train_dataset=train_dataset,
            processing_class=processing_class,
            reward_funcs=[reward],  # pyright: ignore[reportArgumentType]  (TRL's trainer asks for one; ours calls it)
            **options,
        )
        self.environments, self.max_steps, self.reward = environments, max_steps, reward
        self.action_token_ids = action_token_ids(processing_class)

    def _generate_and_score_completions(self, inputs: list[dict[str, Any]]) -> dict[str, torch.Tensor]:
        """Run the episodes; returns one row per decision that has something to teach."""
        model = self.accelerator.unwrap_model(self.model)
        policy = SamplingPolicy(model, self.processing_class, self.temperature)
        episodes = [Episode(row["task"], row["prompt"], int(row["seed"])) for row in inputs]
        trajectories = sample_trajectories(policy, self.environments, episodes, self.max_steps)
        advantages = self._episode_advantages(trajectories)
        # Every episode weighs the same: failures last longer, and would outweigh successes.
        mean_length = sum(len(t.decisions) for t in trajectories) / len(trajectories)
        taught = [
            (decision, advantage * mean_length / len(trajectory.decisions))
            for trajectory, advantage in zip(trajectories, advantages.tolist(), strict=True)
            for decision in trajectory.decisions
            if advantage or self.beta
        ]
        # Micro-batches are of one size: what is missing is filled with rows that do not count.
        chunks = self._micro_batches
        spare = -len(taught) % chunks if taught else chunks
        filler = next(decision for trajectory in trajectories for decision in trajectory.decisions)
        decisions = [decision for decision, _ in taught] + [filler] * spare
        batch = join_decisions(decisions, self.processing_class.tokenizer.pad_token_id)
        batch["completion_mask"][len(taught) :] = 0
        batch["advantages"] = torch.tensor([advantage for _, advantage in taught] + [0.0] * spare)
        batch = {name: value.to(self.accelerator.device) for name, value in batch.items()}
        batch["num_items_in_batch"] = self.accelerator.gather(batch["completion_mask"].sum()).sum()
        if self.num_iterations > 1 or chunks > self.args.gradient_accumulation_steps:
            batch["old_per_token_logps"] = self._log_probs_now(self.model, batch)
        if self.beta:
            reference, context = self.ref_model, nullcontext()
            if reference is None:  # the model without its adapter
                reference, context = self.model, model.disable_adapter()
            with context:
                batch["ref_per_token_logps"] = self._log_probs_now(reference, batch)
        return batch

    @property
    def _micro_batches(self) -> int:
        """How many one round of episodes has; TRL has chosen a number where none was given."""
        assert self.args.steps_per_generation is not None
        return self.args.steps_per_generation

    def _episode_advantages(self, trajectories: list[Trajectory]) -> torch.Tensor:
        """How much better each of this process's episodes was than its group, 0 for crashed ones."""
        device = self.accelerator.device
        rewards = [float("nan") if t.result.crashed else self.reward(t) for t in trajectories]
        steps = [float(t.result.steps) for t in trajectories]
        successes = [float(t.result.success) for t in trajectories]
        everyone = self.accelerator.gather(torch.tensor([rewards, steps, successes], device=device).T.contiguous())
        groups = everyone[:, 0].view(-1, self.num_generations)
        mean = groups.nanmean(dim=1, keepdim=True)
        advantages = groups - mean
        spread = (advantages**2).nanmean(dim=1, keepdim=True).sqrt()
        if self.scale_rewards != "none":
            advantages = advantages / (spread + 1e-4)
        metrics = self._metrics["train" if self.model.training else "eval"]
        metrics["reward"].append(groups.nanmean().item())
        metrics["success"].append(everyone[:, 2].mean().item())
        metrics["episode_steps"].append(everyone[:, 1].mean().item())
        metrics["informative_groups"].append((spread > 0).float().mean().item())
        mine = slice(self.accelerator.process_index * len(rewards), None)
        return advantages.nan_to_num(0.0).flatten()[mine][: len(rewards)]

    @torch.no_grad()
    def _log_probs_now(self, model: torch.nn.Module, batch: dict[str, torch.Tensor]) -> torch.Tensor:
        """Log-probabilities of all rows, in micro-batches."""
        names = [name for name in batch if name not in ("advantages", "num_items_in_batch")]
        size = max(1, len(batch["prompt_ids"]) // self._micro_batches)
        parts = [
            action_log_probs(
                model,
                {name: batch[name][start : start + size] for name in names},
                self.action_token_ids,
                self.temperature,
            )[0]
            for start in range(0, len(batch["prompt_ids"]), size)
        ]
        return torch.cat(parts)

    def _get_per_token_logps_and_entropies(
        self,
        model: torch.nn.Module,
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor,
        logits_to_keep: int,
        batch_size: int | None = None,
        compute_entropy: bool = False,
        compute_aux_loss: bool = False,
        **images: Any,
    ) -> tuple[torch.Tensor, torch.Tensor, None]:
        inputs = {
            "prompt_ids": input_ids[:, :-logits_to_keep],
            "prompt_mask": attention_mask[:, :-logits_to_keep],
            "completion_ids": input_ids[:, -logits_to_keep:],
            "completion_mask": attention_mask[:, -logits_to_keep:],
            **images,
        }
        return *action_log_probs(model, inputs, self.action_token_ids, self.temperature), None


__all__ = ["EpisodeGRPOTrainer"]
