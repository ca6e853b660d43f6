"""Early warnings of a run that fails silently: what it ignores and what never moves, with the numbers that show it."""

import math
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import nn
from tqdm import tqdm
from transformers import Trainer

from ..modeling_robovlms.adapters import base_vla
from .callbacks import ForwardWatcher
from .rollouts import undisturbed

SHARES = (0.1, 0.25, 0.5, 1.0)  # when to look, as shares of the run
SURE_AFTER = 0.25  # share of the run; before, nothing has been learnt yet
TEXT = (  # all that is laid out like the prompt's tokens: they belong together
    "input_ids",
    "attention_mask",
    "token_type_ids",
    "mm_token_type_ids",
    "image_embeds_position_mask",
    "action_token_mask",
    "feature_token_mask",
    "instruction_mask",
)
MATTERS, CONSTANT, SIGNAL = 1.02, 0.02, 0.98


class LearningChecks(ForwardWatcher):
    """Looks at one batch four times in a run, and logs

    - `check/shuffled_images`, `check/shuffled_instructions`: the loss with those of other samples, over the loss;
    - `check/spread`: of the predicted actions over that of the data (heads that predict while they train);
    - `check/signal/<dimension>`: the error of each action dimension over that of predicting its mean;
    - `check/no_gradient/<part>`: 1 for a trained part of the model whose gradients are all zero.

    `find_warnings` puts them into words. Training goes on as if nothing had happened.
    """

    def __init__(self, trainer: Trainer, action_names: Sequence[str] | None = None):
        self.trainer, self.action_names = trainer, action_names
        self._inputs: dict[str, Any] | None = None
        self._gradients: dict[str, float] = {}

    def watch(self, inputs: dict[str, Any], output: Any) -> None:
        self._inputs = inputs

    def values(self, args: Any) -> dict[str, float]:
        return {}

    def on_pre_optimizer_step(self, args: Any, state: Any, control: Any, model: Any = None, **kwargs: Any) -> None:
        if self._is_due(state.global_step + 1, state.max_steps):
            self._gradients = {f"check/no_gradient/{part}": 1.0 for part in parts_without_gradient(model)}

    def on_step_end(self, args: Any, state: Any, control: Any, model: Any = None, **kwargs: Any) -> None:
        if self._inputs is None or not self._is_due(state.global_step, state.max_steps):
            return
        with undisturbed(model), torch.no_grad(), self.trainer.compute_loss_context_manager():
            model.eval()
            values = check_batch(model, self._inputs, self.action_names) | self._gradients
        due = control.should_log
        self.trainer.log(values)
        control.should_log = due
        if state.is_world_process_zero and SURE_AFTER * state.max_steps <= state.global_step < state.max_steps:
            for warning in find_warnings(state.log_history):  # those of the last step are told after the run
                tqdm.write(f"step {state.global_step}/{state.max_steps} · warning: {warning}")

    @staticmethod
    def _is_due(step: int, steps: int) -> bool:
        return step in {max(1, math.ceil(share * steps)) for share in SHARES}


def check_batch(model: nn.Module, inputs: dict[str, Any], names: Sequence[str] | None = None) -> dict[str, float]:
    """Return the numbers of one batch, by the names of `LearningChecks`; those that the batch can't tell are left
    out."""

    def run(changed: dict[str, Any]) -> Any:
        torch.manual_seed(0)  # heads that sample draw the same noise each time
        return model(**(inputs | changed))

    values: dict[str, float] = {}
    output = run({})
    loss, samples = float(output.loss), len(inputs["actions"]) if inputs.get("actions") is not None else 0
    frames = int(mask.sum()) if (mask := inputs.get("frame_mask")) is not None else samples
    if samples > 1 and loss > 0:
        images = {name: value for name, value in inputs.items() if name.startswith("pixel_values")}
        if shifted := shift_half(images, frames):
            values["check/shuffled_images"] = float(run(shifted).loss) / loss
        # Rows are frames, or whole windows: those that are not full have other places for images and action tokens.
        text = {name: inputs[name] for name in TEXT if name in inputs}
        rows = frames if len(inputs["input_ids"]) == frames or mask is None or not mask.all() else samples
        shifted = shift_half(text, rows)
        if len(shifted) == len(text) and not torch.equal(shifted["input_ids"], inputs["input_ids"]):
            values["check/shuffled_instructions"] = float(run(shifted).loss) / loss
    if output.get("actions") is None or samples < 2:
        return values
    predicted, wanted = output["actions"].float(), inputs["actions"].float()
    if inputs.get("action_dim_mask") is not None:  # what a robot lacks is no number
        lacking = ~inputs["action_dim_mask"][:, None, None]
        predicted, wanted = (each.masked_fill(lacking, math.nan) for each in (predicted, wanted))
    valid = torch.ones_like(wanted[..., 0], dtype=torch.bool)
    if inputs.get("labels") is not None:
        valid = inputs["labels"] != -100
    predicted, wanted = predicted[valid], wanted[valid]
    if len(wanted) < 2:
        return values
    spreads = [(each - each.nanmean(0)).square().nanmean(0).sqrt().nanmean() for each in (predicted, wanted)]
    values["check/spread"] = float(spreads[0] / spreads[1].clamp(min=1e-9))
    error, plain = (predicted - wanted).abs().nanmean(0), (wanted - wanted.nanmean(0)).abs().nanmean(0)
    for name, ours, theirs in zip(names or range(len(error)), error.tolist(), plain.tolist(), strict=True):
        if theirs > 1e-6:  # else it never moves, and there is nothing to predict
            values[f"check/signal/{name}"] = ours / theirs
    return values


def shift_half(tensors: dict[str, Any], count: int) -> dict[str, torch.Tensor]:
    """Each of `count` frames (or rows) gets what another one has, half the batch away, of tensors whose first dimension
    holds equal parts of all; others are left out."""
    return {
        name: value.roll(max(1, count // 2) * (len(value) // count), 0)
        for name, value in tensors.items()
        if isinstance(value, torch.Tensor) and len(value) % count == 0
    }


def parts_without_gradient(model: nn.Module) -> Iterator[str]:
    """Trained parts of a VLA (towers, head, action tokens, ...) that no gradient reaches."""
    vla = base_vla(model)
    own = {name: part for name, part in vla.named_children() if name != "backbone"}
    for name, part in (own | {"vision_tower": vla.vision_tower, "text_tower": vla.text_tower}).items():
        trained = [each for each in part.parameters() if each.requires_grad]
        if trained and not any(each.grad is not None and bool(each.grad.any()) for each in trained):
            yield name


def find_warnings(log_history: Sequence[dict[str, Any]]) -> list[str]:
    """Sentences about the latest checks, each with its number; none before a quarter of the run."""
    steps = max((entry.get("step", 0) for entry in log_history), default=0)
    checks = [entry for entry in log_history if any(name.startswith("check/") for name in entry)]
    if not checks or checks[-1]["step"] < SURE_AFTER * steps:
        return []
    last, told = checks[-1], []
    for what, remedy in (
        ("images", "Are cameras, their order and augmentation right? Is the vision tower trained?"),
        ("instructions", "Do the instructions tell the tasks apart, and does each picture show several things to do?"),
    ):
        ratio = last.get(f"check/shuffled_{what}")
        if ratio is not None and ratio < MATTERS:
            told.append(
                f"{what} hardly matter: with those of other samples the loss is {ratio:.3f} of the loss. {remedy}"
            )
    if (spread := last.get("check/spread", 1)) < CONSTANT:
        told.append(f"the predicted actions are nearly constant: their spread is {spread:.1%} of the data's.")
    if dull := {
        name[13:]: value for name, value in last.items() if name.startswith("check/signal/") and value >= SIGNAL
    }:
        shown = ", ".join(f"{name} {value:.2f}" for name, value in sorted(dull.items(), key=lambda item: -item[1])[:8])
        told.append(
            f"{len(dull)} action dimensions are predicted no better than by their mean (error over that one's): {shown}."
        )
    told += [
        f"no gradient reaches {name[18:]}, which is trained: all of its gradients are 0."
        for name in last
        if name.startswith("check/no_gradient/")
    ]
    return told
