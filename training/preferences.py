"""DPO on trajectories: TRL's trainer, with whole episodes as the preferred and the rejected completion."""

import copy
from collections import defaultdict
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from datasets import Dataset
from torch.nn import functional as F
from transformers import PreTrainedModel
from trl.trainer.dpo_config import DPOConfig
from trl.trainer.dpo_trainer import DPOTrainer

from ..processing.processing_robovlms import RoboVLMProcessor
from .trajectories import Trajectory, action_log_probs, action_token_ids, join_decisions


@dataclass
class PreferencePair:
    """Two ways to do one task in one scene, the better one first."""

    preferred: Trajectory
    rejected: Trajectory


def preference_pairs(trajectories: Sequence[Trajectory]) -> list[PreferencePair]:
    """Return every scene's successes and failures, side by side; what is left over of either finds no partner."""
    scenes: dict[tuple[str, int], tuple[list, list]] = defaultdict(lambda: ([], []))
    for trajectory in trajectories:
        result = trajectory.result
        if not result.crashed:
            scenes[result.task, result.seed][0 if result.success else 1].append(trajectory)
    return [PreferencePair(*pair) for good, bad in scenes.values() for pair in zip(good, bad, strict=False)]


class TrajectoryDPOTrainer(DPOTrainer):
    """Direct preference optimisation where a completion is an episode (trajectory-wise preference, GRAPE,
    arXiv:2411.19309): an episode's log-probability is the sum over its decisions.

    Args:
        pairs: what to learn from; a batch holds `per_device_train_batch_size` pairs, with all their decisions.
        eval_pairs: for `evaluate()`.
        ref_model: by default the model as it is now, or with `peft_config` the model without its adapter.

    The other arguments are TRL's; `loss_type` is "sigmoid", or ["sigmoid", "sft"] with `loss_weights`: the second term,
    the cross-entropy per token of the preferred episodes, keeps these from becoming unlikely too. One of TRL's private methods is replaced, hence the
    narrow range of its versions. Logged as TRL does: `rewards/margins`, `rewards/accuracies`, ...
    """

    model: torch.nn.Module
    ref_model: torch.nn.Module | None

    def __init__(
        self,
        model: PreTrainedModel,
        args: DPOConfig,
        pairs: Sequence[PreferencePair],
        processing_class: RoboVLMProcessor,
        eval_pairs: Sequence[PreferencePair] | None = None,
        ref_model: PreTrainedModel | None = None,
        **options: Any,
    ):
        if unknown := set(args.loss_type) - {"sigmoid", "sft"}:
            raise ValueError(f"loss_type must be 'sigmoid', with 'sft' if wanted, for trajectories; got {unknown}.")
        if not pairs:
            raise ValueError("pairs is empty: preference learning needs scenes with a success and a failure.")
        if ref_model is None and options.get("peft_config") is None:
            ref_model = copy.deepcopy(model)
        self.pairs = {"train": list(pairs), "eval": list(eval_pairs or [])}
        self.action_token_ids = action_token_ids(processing_class)
        self.pad_token_id = processing_class.tokenizer.pad_token_id
        super().__init__(
            model=model,
            ref_model=ref_model,
            args=args,
            data_collator=self._collate,
            train_dataset=_numbers("train", len(pairs)),
            eval_dataset=_numbers("eval", len(eval_pairs)) if eval_pairs else None,
            processing_class=processing_class,
            **options,
        )

    def _collate(self, examples: list[dict[str, Any]]) -> dict[str, torch.Tensor]:
        """One row per decision: those of the preferred episodes, then those of the rejected ones."""
        pairs = [self.pairs[example["split"]][example["pair"]] for example in examples]
        trajectories = [pair.preferred for pair in pairs] + [pair.rejected for pair in pairs]
        batch = join_decisions([d for trajectory in trajectories for d in trajectory.decisions], self.pad_token_id)
        counts = torch.tensor([len(trajectory.decisions) for trajectory in trajectories])
        batch["trajectory"] = torch.repeat_interleave(torch.arange(len(trajectories)), counts)
        return batch

    def _compute_loss(
        self, model: torch.nn.Module, inputs: dict[str, torch.Tensor], return_outputs: bool = False
    ) -> torch.Tensor:
        inputs = dict(inputs)
        trajectory = inputs.pop("trajectory")
        chosen, rejected = self._episode_log_probs(model, inputs, trajectory)
        with torch.no_grad():
            if self.ref_model is not None:
                reference, context = self.ref_model, nullcontext()
            else:
                reference, context = model, self.accelerator.unwrap_model(model).disable_adapter()
            with context:
                reference_chosen, reference_rejected = self._episode_log_probs(reference, inputs, trajectory)
        better = self.beta * (chosen - reference_chosen)
        worse = self.beta * (rejected - reference_rejected)
        margins = better - worse
        measured: dict[str, torch.Tensor] = {
            "rewards/chosen": better,
            "rewards/rejected": worse,
            "rewards/margins": margins,
            "rewards/accuracies": (margins > 0).float(),
            "logps/chosen": chosen,
            "logps/rejected": rejected,
        }
        for name, value in measured.items():
            gathered = self.accelerator.gather(value.detach())
            assert isinstance(gathered, torch.Tensor)
            self._metrics["train" if self.model.training else "eval"][name].append(gathered.mean().item())
        tokens = int((trajectory < len(chosen)).sum()) * inputs["completion_ids"].shape[1]
        losses = {"sigmoid": -F.logsigmoid(margins).mean(), "sft": -chosen.sum() / tokens}
        weights = zip(self.loss_types, self.loss_weights, strict=True)
        return torch.stack([weight * losses[name] for name, weight in weights]).sum()

    def _episode_log_probs(
        self, model: torch.nn.Module, inputs: dict[str, torch.Tensor], trajectory: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Log-probabilities of the preferred and of the rejected episodes, `(pairs,)` each."""
        decisions = action_log_probs(model, inputs, self.action_token_ids)[0].sum(dim=1)
        episodes = decisions.new_zeros(int(trajectory[-1]) + 1).index_add(0, trajectory, decisions)
        preferred, rejected = episodes.chunk(2)
        return preferred, rejected


def _numbers(split: str, count: int) -> Dataset:
    """A dataset of nothing but the pairs' numbers; the column of images keeps TRL from preparing text."""
    return Dataset.from_dict({"split": [split] * count, "pair": list(range(count)), "images": [[]] * count})


__all__ = ["PreferencePair", "TrajectoryDPOTrainer", "preference_pairs"]
