"""What a backbone must do to serve a VLA, as checks that any vision-language model can be put through.

```python
outcome = check_structure("my/vlm", "policy_head")
assert outcome.status == "ok", outcome.reason
```
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import peft
import torch
from torch import nn
from transformers import AutoModel, AutoModelForImageTextToText, AutoProcessor

from robovlms import (
    ActionContract,
    InterleavedContinuousVLA,
    LSTMHeadConfig,
    MLPHeadConfig,
    OneStepContinuousVLA,
    OneStepDiscreteVLA,
    PolicyHeadContinuousVLA,
    RoboVLMProcessor,
)
from robovlms.data import VLACollator
from robovlms.modeling_robovlms import RoboVLMPreTrainedModel, UnsupportedByBackbone
from robovlms.modeling_robovlms.encoder_decoder import EncoderDecoderBackbone

from .samples import example_contract, example_sample

MLP = MLPHeadConfig(hidden_size=16, decoder_sizes=(16,))
LSTM = LSTMHeadConfig(hidden_size=16, num_layers=2, decoder_sizes=(16,))
TARGETS = ("actions", "labels")
ATOL, LEAK = 2e-5, 1e-5
BEHIND = " and stop"


@dataclass(frozen=True)
class Structure:
    """A structure as the checks build it."""

    vla: type[RoboVLMPreTrainedModel]
    window: int = 1
    fields: Mapping[str, Any] = field(default_factory=dict)

    @property
    def is_discrete(self) -> bool:
        return self.vla is OneStepDiscreteVLA


STRUCTURES = {
    "one_step": Structure(OneStepContinuousVLA, fields={"head_config": MLP}),
    "policy_head": Structure(PolicyHeadContinuousVLA, 3, {"head_config": LSTM}),
    "interleaved_window": Structure(InterleavedContinuousVLA, 3, {"head_config": MLP}),
    "interleaved_banded": Structure(InterleavedContinuousVLA, 3, {"head_config": MLP, "frame_attention": "banded"}),
    "discrete": Structure(OneStepDiscreteVLA),
}


@dataclass(frozen=True)
class Outcome:
    """How a structure fared over a backbone.

    Attributes:
        status: "ok", "refused" (the family cannot serve it, and says so) or "failed".
        reason: why not; None where it is ok.
    """

    status: str
    reason: str | None = None


@dataclass(frozen=True)
class Made:
    """A VLA in evaluation mode, its processor (with words behind the action tokens) and its contract."""

    vla: RoboVLMPreTrainedModel
    processor: RoboVLMProcessor
    contract: ActionContract
    structure: Structure

    def inputs(self, seeds: Iterable[int], **changes: Any) -> dict[str, torch.Tensor]:
        """Return the processor's output for random samples."""
        samples = [example_sample(self.contract, seed) | changes for seed in seeds]
        if self.structure.window > 1 and len(samples) == 1:
            samples[0] = {"frame_mask": np.ones(self.structure.window, dtype=bool)} | samples[0] | changes
        return dict(VLACollator(self.processor)(samples))

    @torch.no_grad()
    def read(self, inputs: Mapping[str, torch.Tensor]) -> torch.Tensor:
        """Return what the backbone makes of the inputs: features of the action tokens, or logits of action tokens."""
        output = self.vla(**observed(inputs))
        return output.logits if self.structure.is_discrete else output.action_features


def observed(inputs: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Inputs without targets."""
    return {name: value for name, value in inputs.items() if name not in TARGETS}


def make(folder: str | Path, structure: str, cameras: int = 2, image_options: Mapping[str, Any] | None = None) -> Made:
    """Return a VLA of a structure over the backbone in `folder`."""
    chosen = STRUCTURES[structure]
    contract = example_contract(window_size=chosen.window)
    contract = contract.replace(cameras=contract.cameras[:cameras])
    options: dict[str, Any] = {"image_options": image_options}
    if chosen.is_discrete:
        contract = contract.replace(state=None, chunk_size=2)
        options["action_bins"] = 16
    else:
        options |= {"num_action_tokens": 2, "prompt_template": "{images}{instruction}{action}" + BEHIND}
    processor = RoboVLMProcessor.from_backbone(str(folder), contract, **options)
    torch.manual_seed(0)
    vla = chosen.vla.from_backbone(str(folder), contract, **processor.model_fields, **chosen.fields)
    return Made(vla.eval(), processor, contract, chosen)


def check_structure(
    folder: str | Path, structure: str, cameras: int = 2, image_options: Mapping[str, Any] | None = None
) -> Outcome:
    """Put a structure over the backbone in `folder` through every check that concerns it.

    Args:
        structure: one of `STRUCTURES`.
        cameras: 1 or 2.
        image_options: options of the backbone's processor.
    """
    check = None
    try:
        made = make(folder, structure, cameras, image_options)
        for check in checks_of(structure):
            check(made)
    except UnsupportedByBackbone as error:
        return Outcome("refused", str(error))
    except Exception as error:
        where = "building it" if check is None else check.__name__.replace("_", " ")
        reason = str(error).replace(str(folder), Path(folder).name).strip().splitlines()[0]  # no path of this machine
        return Outcome("failed", f"{where}: {type(error).__name__}: {reason}")
    return Outcome("ok")


def checks_of(structure: str) -> list[Callable[[Made], None]]:
    """Return the checks that concern a structure."""
    chosen = STRUCTURES[structure]
    checks = [gradients_reach_tokens_and_backbone, only_unused_parameters_are_frozen, every_camera_and_the_text_count]
    checks += [later_tokens_change_nothing_before, a_sample_is_the_same_alone_and_padded, saving_and_loading_is_exact]
    if structure == "one_step":
        checks.append(lora_trains_saves_and_stays_causal)
    if chosen.window > 1:
        checks += [the_future_is_unseen, streaming_equals_recomputation]
    if chosen.is_discrete:
        checks.append(generation_equals_the_forward)
    return checks


def gradients_reach_tokens_and_backbone(made: Made) -> None:
    """Every parameter that is not frozen is reached; action tokens and backbone for more than nothing."""
    made.vla.zero_grad()
    made.vla(**made.inputs(range(3))).loss.backward()
    gradients = {name: parameter.grad for name, parameter in made.vla.named_parameters() if parameter.requires_grad}
    missed = [name for name, gradient in gradients.items() if gradient is None]
    assert not missed, f"no gradient reaches {missed[:3]} ({len(missed)} parameters)"
    moved = {name.split(".")[0] for name, gradient in gradients.items() if gradient is not None and gradient.any()}
    assert moved == {name.split(".")[0] for name in gradients} and "backbone" in moved, f"gradients move {moved} only"
    assert made.structure.is_discrete or "action_tokens" in moved, f"gradients move {moved} only"
    made.vla.zero_grad()


def only_unused_parameters_are_frozen(made: Made) -> None:
    """Nothing that could learn was frozen, beside what the published model freezes itself."""
    published = AutoModelForImageTextToText.from_config(made.vla.config.vlm_config)
    own = {f"backbone.{name}" for name, parameter in published.named_parameters() if not parameter.requires_grad}
    frozen = [
        (name, parameter)
        for name, parameter in made.vla.named_parameters()
        if not parameter.requires_grad and name not in own
    ]
    for _, parameter in frozen:
        parameter.requires_grad_(True)
    made.vla(**made.inputs(range(3))).loss.backward()
    reached = [name for name, parameter in frozen if parameter.grad is not None and parameter.grad.any()]
    made.vla.zero_grad()
    made.vla.freeze_unused()
    assert not reached, f"frozen, but a gradient reaches {reached[:3]} ({len(reached)} parameters)"


def every_camera_and_the_text_count(made: Made) -> None:
    """Another image of any camera, and another instruction, change what is read."""
    one, other = (example_sample(made.contract, seed) for seed in (0, 1))
    changes = [{"images": one["images"] | {name: other["images"][name]}} for name in made.contract.camera_names]
    expected = newest(made, made.inputs([0]))
    for change in [*changes, {"instruction": other["instruction"]}]:
        difference = (newest(made, made.inputs([0], **change)) - expected).abs().amax().item()
        assert difference > 1e-6, f"another {next(iter(change))} changes nothing"


def newest(made: Made, inputs: dict[str, torch.Tensor]) -> torch.Tensor:
    """Return what is read for the newest frame: at its action tokens, or behind the last token."""
    if not made.structure.is_discrete:
        return made.read(inputs)[:, -1]
    ends = inputs["attention_mask"].sum(dim=1) - 1
    return made.read(inputs)[torch.arange(len(ends)), ends]


def later_tokens_change_nothing_before(made: Made) -> None:
    """In training and inference alike: neither what stands behind action tokens, nor a later action token."""
    keeps_causality(made)
    with TemporaryDirectory() as folder:
        made.vla.save_pretrained(folder)
        keeps_causality(replace(made, vla=AutoModel.from_pretrained(folder).eval()))


def keeps_causality(made: Made) -> None:
    """Raises AssertionError if a later token, in the text or for an action, changes what was read before it."""
    inputs = made.inputs(range(2))
    ids, expected = inputs["input_ids"], made.read(inputs)
    other = made.processor.tokenizer.encode("block", add_special_tokens=False)[-1]
    if made.structure.is_discrete:
        last = inputs["attention_mask"].sum(dim=1) - 1
        position = torch.arange(ids.shape[1])
        changed = made.read(inputs | {"input_ids": ids.masked_fill(position == last[:, None], other)})
        before = position < last[:, None]
        leak = (changed - expected)[before].abs().amax().item()
        assert (changed - expected)[position == last[:, None]].abs().amax() > 1e-6, "the last token changes nothing"
    else:
        marks = inputs["action_token_mask"]
        leak = 0.0
        if not isinstance(made.vla.runner, EncoderDecoderBackbone):  # its encoder reads in both directions
            behind = ~marks & (marks.cumsum(dim=1) == 2) & inputs["attention_mask"].bool()
            behind[:-1] = False  # the newest frame's
            assert behind.any(), "nothing stands behind the action tokens"
            leak = (made.read(inputs | {"input_ids": ids.masked_fill(behind, other)}) - expected).abs().amax().item()
        tokens = made.vla.action_tokens.weight
        with torch.no_grad():
            kept = tokens[1].clone()
            tokens[1] += torch.randn(tokens.shape[1], generator=torch.Generator().manual_seed(1)).to(tokens)
            changed = (made.read(inputs) - expected).abs().amax(dim=-1)
            tokens[1] = kept
        is_first = inputs["frame_mask"] & (inputs["frame_mask"].cumsum(dim=1) == 1)  # later frames may see both
        leak = max(leak, changed[is_first][:, 0].amax().item())
        assert changed[..., 1].amax() > 1e-4, "the last action token changes nothing"
    assert leak <= LEAK, f"a later token changes what was read before it by {leak:.1e}"


def a_sample_is_the_same_alone_and_padded(made: Made) -> None:
    """Padding on either side, and company in the batch, change nothing."""
    tokenizer = made.processor.tokenizer
    usual = tokenizer.padding_side
    try:
        for side in ("left", "right"):
            tokenizer.padding_side = side
            together = made.inputs(range(3))
            for row in range(3):
                alone = made.inputs([row], frame_mask=example_sample(made.contract, row)["frame_mask"])
                expected = newest(made, alone)[0]
                difference = (newest(made, together)[row] - expected).abs().amax().item()
                assert difference < ATOL * max(1, expected.abs().amax().item()), (
                    f"padded on the {side}, a sample differs by {difference:.1e}"
                )
    finally:
        tokenizer.padding_side = usual


def saving_and_loading_is_exact(made: Made) -> None:
    """Weights, configuration and processor come back as they were."""
    with TemporaryDirectory() as folder:
        made.vla.save_pretrained(folder)
        made.processor.save_pretrained(folder)
        again = replace(
            made, vla=AutoModel.from_pretrained(folder).eval(), processor=AutoProcessor.from_pretrained(folder)
        )
    assert type(again.vla) is type(made.vla), f"{type(again.vla).__name__} came back"
    inputs, same = made.inputs(range(2)), again.inputs(range(2))
    assert all(is_same(same[name], value) for name, value in inputs.items()), "the processor came back different"
    with torch.no_grad():
        loss, expected = again.vla(**same).loss.item(), made.vla(**inputs).loss.item()
    ours, theirs = made.vla.state_dict(), again.vla.state_dict()
    assert set(ours) == set(theirs) and all(torch.equal(ours[name], theirs[name]) for name in ours), "weights differ"
    assert abs(loss - expected) < 1e-6, f"the loss {expected} came back as {loss}"


def is_same(one: Any, other: Any) -> bool:
    if isinstance(one, list):
        return len(one) == len(other) and all(is_same(*pair) for pair in zip(one, other, strict=True))
    return torch.equal(one, other) if torch.is_tensor(one) else one == other


def lora_trains_saves_and_stays_causal(made: Made) -> None:
    """PEFT adapts the backbone; action tokens and head are trained and saved with the adapter."""
    with TemporaryDirectory() as folder:
        made.vla.save_pretrained(folder)

        def fresh() -> RoboVLMPreTrainedModel:
            return type(made.vla).from_pretrained(folder).eval()

        output = made.vla.runner.output_layer
        linear = [
            name
            for name, module in made.vla.named_modules()
            if type(module) is nn.Linear and name.startswith("backbone.") and module is not output
        ]
        config = peft.LoraConfig(r=2, target_modules=linear, modules_to_save=made.vla.modules_to_save)
        adapted = peft.get_peft_model(fresh(), config).eval()
        inputs = made.inputs(range(2))
        before = adapted(**inputs).loss
        before.backward()
        with torch.no_grad():
            trained = [(weight, weight.grad) for weight in adapted.parameters() if weight.grad is not None]
            slope = sum(gradient.square().sum() for _, gradient in trained)
            for weight, gradient in trained:
                weight -= 0.01 * before / slope * gradient  # a step that should take off a hundredth
        with torch.no_grad():
            after = adapted(**inputs).loss
        assert after < before, f"a LoRA step takes the loss from {before.item():.6f} to {after.item():.6f}"
        keeps_causality(replace(made, vla=adapted.base_model.model))
        adapted.save_pretrained(f"{folder}/adapter")
        loaded = peft.PeftModel.from_pretrained(fresh(), f"{folder}/adapter").eval()
        with torch.no_grad():
            again = loaded(**inputs).loss
        assert abs(again - after) < 1e-6, f"the adapter's loss {after.item()} came back as {again.item()}"


def the_future_is_unseen(made: Made) -> None:
    """Another newest image changes the newest frame's features and no earlier ones."""
    one, other = (example_sample(made.contract, seed) for seed in (0, 1))
    images = {
        name: np.concatenate([pixels[:-1], other["images"][name][-1:]]) for name, pixels in one["images"].items()
    }
    mask = np.ones(made.structure.window, dtype=bool)
    change = made.read(made.inputs([0], frame_mask=mask, images=images)) - made.read(made.inputs([0], frame_mask=mask))
    assert change[:, -1].abs().amax() > 1e-6, "another newest image changes nothing"
    leak = change[:, :-1].abs().amax().item()
    assert leak <= LEAK, f"a later image changes earlier features by {leak:.1e}"


def streaming_equals_recomputation(made: Made) -> None:
    """Frame by frame through a cache, past the point where the window slides."""
    steps, window = 5, made.structure.window
    episodes = [example_sample(made.contract.replace(window_size=steps), seed) for seed in range(2)]
    is_banded = made.structure.fields.get("frame_attention") == "banded"

    def read(first: int, last: int, padding: int = 0) -> dict[str, torch.Tensor]:
        frames = [first] * padding + list(range(first, last + 1))
        samples = [
            {
                "images": {name: pixels[frames] for name, pixels in episode["images"].items()},
                "state": episode["state"][frames],
                "frame_mask": np.arange(len(frames)) >= padding,
                "instruction": episode["instruction"],
                "embodiment": episode["embodiment"],
            }
            for episode in episodes
        ]
        return dict(VLACollator(made.processor)(samples))

    stream = made.vla.new_cache(2)
    for step in range(steps):
        streamed = made.vla.predict_action_chunk(**read(step, step), cache=stream)
        first = 0 if is_banded else max(0, step - window + 1)  # what a banded frame left reaches further
        padding = 0 if is_banded else window - 1 - step + first
        difference = (streamed - made.vla.predict_action_chunk(**read(first, step, padding))).abs().amax().item()
        assert difference < ATOL, f"step {step} of a stream differs by {difference:.1e}"


def generation_equals_the_forward(made: Made) -> None:
    """Written token by token with a cache, the tokens are those that the forward would have chosen."""
    vla, given = made.vla, observed(made.inputs([0]))
    assert isinstance(vla, OneStepDiscreteVLA)
    count = vla.config.num_action_tokens
    length = int(given["attention_mask"].sum()) - count
    prompt = {
        name: value[:, :length] if torch.is_tensor(value) and value.shape[:2] == given["input_ids"].shape else value
        for name, value in given.items()
    }
    written = vla.predict_tokens(temperature=0.0, **prompt)
    logits = made.read(given | {"input_ids": torch.cat([prompt["input_ids"], written], dim=1)})
    allowed = vla.action_token_ids
    chosen = allowed[logits[:, length - 1 : -1][..., allowed].argmax(dim=-1)]
    assert torch.equal(written, chosen), f"wrote {written.tolist()}, the forward chooses {chosen.tolist()}"
