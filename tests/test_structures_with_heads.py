"""Every continuous structure with every head: what must hold whatever is combined."""

from collections.abc import Callable
from functools import cache
from itertools import product
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import torch
from transformers import AutoModel

from robovlms import (
    ActionContract,
    InterleavedContinuousVLA,
    OneStepContinuousVLA,
    Policy,
    PolicyHeadContinuousVLA,
    RoboVLMProcessor,
)
from robovlms.configuration.head_configs import HeadConfig, head_config_from_dict
from robovlms.data import LeRobotDataset, VLACollator, action_contract
from robovlms.modeling_robovlms import ContinuousVLA

DATASET = Path(__file__).parents[1].parent / "shared" / "datasets" / "lerobot_v3"
WINDOW = 3
REGRESSION = {"hidden_size": 32, "decoder_sizes": (32,)}
DENOISING = {
    "history": {"type": "lstm", "hidden_size": 32, "num_layers": 2},
    "denoiser_size": 64,
    "denoiser_layers": 2,
    "denoiser_heads": 4,
    "num_inference_steps": 5,
}
HEADS: dict[str, HeadConfig] = {
    fields["type"]: head_config_from_dict(fields)
    for fields in (
        {"type": "mlp", **REGRESSION},
        {"type": "lstm", **REGRESSION, "num_layers": 2},
        {"type": "gru", **REGRESSION, "num_layers": 2},
        {"type": "transformer", **REGRESSION, "num_layers": 2, "num_heads": 4, "dropout": 0.0},
        {"type": "diffusion", **DENOISING},
        {"type": "flow_matching", **DENOISING},
    )
}
# The class, its window, fields of its config, and options of its processor.
STRUCTURES = {
    "one_step": (OneStepContinuousVLA, 1, {}, {}),
    "policy_head": (PolicyHeadContinuousVLA, WINDOW, {}, {}),
    "interleaved": (InterleavedContinuousVLA, WINDOW, {}, {}),
    "instruction_once": (InterleavedContinuousVLA, WINDOW, {}, {"instruction_frames": "first"}),
    "banded": (InterleavedContinuousVLA, WINDOW, {"frame_attention": "banded"}, {}),
    "pooled": (PolicyHeadContinuousVLA, WINDOW, {}, {"token_source": "text"}),
}
every_pair = pytest.mark.parametrize(("structure", "head"), list(product(STRUCTURES, HEADS)))


class Made(NamedTuple):
    vla: ContinuousVLA
    processor: RoboVLMProcessor
    contract: ActionContract

    def inputs(self, *samples: dict) -> dict:
        return dict(VLACollator(self.processor)(list(samples)))


def build(folder: Path, own: ActionContract, structure: str, head: str) -> Made:
    vla_class, _, fields, options = STRUCTURES[structure]
    torch.manual_seed(0)
    processor = RoboVLMProcessor.from_backbone(str(folder), own, num_action_tokens=2, **options)
    vla = vla_class.from_backbone(str(folder), own, head_config=HEADS[head], **processor.model_fields, **fields)
    return Made(vla.eval(), processor, own)


@pytest.fixture(scope="module")
def make(backbone, contract) -> Callable[[str, str], Made]:
    """A VLA over a tiny SmolVLM, made once per pair: tests must not change it."""

    @cache
    def made(structure: str, head: str) -> Made:
        own = contract(window_size=STRUCTURES[structure][1])
        return build(backbone("smolvlm"), own.replace(state=None) if structure == "pooled" else own, structure, head)

    return made


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def observed(inputs: dict) -> dict:
    return {name: value for name, value in inputs.items() if name not in ("actions", "labels")}


@pytest.mark.parametrize("side", ["left", "right"])
@every_pair
@torch.no_grad()
def test_a_sample_does_not_depend_on_the_batch_or_on_padding(structure, head, side, make, sample):
    made = make(structure, head)
    samples = [sample(made.contract, seed) for seed in range(3)]  # instructions and histories of three lengths
    before, made.processor.tokenizer.padding_side = made.processor.tokenizer.padding_side, side
    together = made.inputs(*samples)
    made.processor.tokenizer.padding_side = before
    actions = made.vla(**observed(together), generator=seeded(0)).actions
    loss = made.vla(**together, generator=seeded(1)).loss
    one_by_one, random, total = seeded(0), seeded(1), 0.0
    for row, own in enumerate(samples):
        alone = made.inputs(own)
        real = own["frame_mask"]
        expected = made.vla(**observed(alone), generator=one_by_one).actions[0][real]
        torch.testing.assert_close(actions[row][real], expected, atol=1e-5, rtol=0)
        items = (together["labels"] != -100).sum()
        total += made.vla(**alone, generator=random, num_items_in_batch=items).loss
    torch.testing.assert_close(total, loss, atol=1e-5, rtol=0)


@every_pair
def test_streaming_equals_reading_the_window_again(structure, head, make, sample):
    """Three windows long; the second row's episode ends and another begins in between."""
    made, window = make(structure, head), STRUCTURES[structure][1]
    steps, starts = 3 * max(window, 2), [0, 0]
    episodes = [sample(made.contract.replace(window_size=steps), seed) for seed in (1, 2)]

    def read(first: list[int], last: int) -> dict:
        count = last - min(first) + 1
        rows = []
        for episode, start in zip(episodes, first, strict=True):
            frames = np.arange(last - count + 1, last + 1)
            row = {"instruction": episode["instruction"], "embodiment": "arm", "frame_mask": frames >= start}
            row["images"] = {name: pixels[frames] for name, pixels in episode["images"].items()}
            if "state" in episode:
                row["state"] = episode["state"][frames]
            rows.append(row)
        return made.inputs(*rows)

    stream = made.vla.new_cache(2)
    for step in range(steps):
        if step == steps // 2 + 1:
            starts[1] = step
            stream.reset([1])
        streamed = made.vla.predict_action_chunk(**read([step, step], step), cache=stream, generator=seeded(step))
        # What a banded frame left reaches further than the band: read everything since the episode's start.
        first = starts if structure == "banded" else [max(start, step - window + 1) for start in starts]
        expected = made.vla.predict_action_chunk(**read(first, step), generator=seeded(step))
        torch.testing.assert_close(streamed, expected, atol=1e-5, rtol=0)


@every_pair
def test_save_and_load_is_bit_identical_and_sampling_is_seeded(structure, head, make, sample, tmp_path):
    made = make(structure, head)
    made.vla.save_pretrained(tmp_path)
    made.processor.save_pretrained(tmp_path)
    again = Made(AutoModel.from_pretrained(tmp_path).eval(), RoboVLMProcessor.from_pretrained(tmp_path), made.contract)
    samples = [sample(made.contract, seed) for seed in range(2)]
    first, other = (
        made.vla.predict_action_chunk(**observed(made.inputs(*samples)), generator=seeded(s)) for s in (0, 1)
    )
    assert torch.equal(
        again.vla.predict_action_chunk(**observed(again.inputs(*samples)), generator=seeded(0)).clone(), first
    )
    assert torch.equal(first, other) == (head not in ("diffusion", "flow_matching"))


@every_pair
def test_micro_batches_add_up_and_gradients_reach_everything(structure, head, make, sample):
    made = make(structure, head)
    samples = [sample(made.contract, seed) for seed in range(4)]
    whole = made.inputs(*samples)
    items = (whole["labels"] != -100).sum()

    def gradients(batches: list[dict]) -> tuple[float, dict[str, torch.Tensor]]:
        made.vla.zero_grad()
        random, total = seeded(5), 0.0
        for batch in batches:
            loss = made.vla(**batch, generator=random, num_items_in_batch=items).loss
            loss.backward()
            total += loss.item()
        return total, {name: p.grad.clone() for name, p in made.vla.named_parameters() if p.grad is not None}

    loss, expected = gradients([whole])
    parts, summed = gradients([made.inputs(own) for own in samples])
    made.vla.zero_grad()
    assert parts == pytest.approx(loss, abs=1e-6)
    for name, gradient in expected.items():
        torch.testing.assert_close(summed[name], gradient, atol=1e-5, rtol=1e-3)
    reached = {name.split(".")[0] for name, gradient in expected.items() if gradient.any()}
    own = {"head", "backbone"} | ({"action_tokens", "state_encoder"} if structure != "pooled" else set())
    assert reached == own
    still = {name for name, p in made.vla.named_parameters() if p.requires_grad and name not in expected}
    assert not still, "trainable without a gradient"


@pytest.mark.skipif(not DATASET.exists(), reason="needs ../shared/datasets, which is not here")
@every_pair
def test_overfits_a_tiny_batch(structure, head, backbone):
    """Four windows of a dataset that LeRobot wrote: below 5 % of the first loss within 200 steps."""
    dataset = LeRobotDataset(DATASET, window_size=STRUCTURES[structure][1], chunk_size=4, embodiment="arm")
    own = action_contract(dataset)
    if structure == "pooled":
        own = own.replace(state=None)
    made = build(backbone("smolvlm"), own, structure, head)
    batch = made.inputs(*(dataset[index] for index in (0, 40, 90, 150)))

    @torch.no_grad()
    def loss() -> float:
        return sum(made.vla.eval()(**batch, generator=seeded(draw)).loss.item() for draw in range(4)) / 4

    start, random = loss(), seeded(9)
    optimizer = torch.optim.AdamW(made.vla.parameters(), lr=1e-3, weight_decay=0)
    for step in range(200):
        optimizer.zero_grad()
        made.vla.train()(**batch, generator=random).loss.backward()
        optimizer.step()
        if step % 25 == 24 and loss() < 0.05 * start:
            return
    pytest.fail(f"from {start:.4f} to {loss():.4f} only")


@pytest.mark.parametrize("family", ["paligemma", "kosmos-2", "qwen2_vl", "smolvlm"])
def test_the_instruction_stands_once(family, backbone, contract, sample):
    """The same tokens as with the instruction in every frame, but for those of later frames; in streaming too."""
    own = contract(window_size=WINDOW)
    once, every = (build(backbone(family), own, name, "mlp") for name in ("instruction_once", "interleaved"))
    window = sample(own, 0) | {"frame_mask": np.ones(WINDOW, dtype=bool)}
    short, full = once.inputs(window), every.inputs(window)
    assert torch.equal(short["input_ids"], full["input_ids"])
    words = once.processor.tokenizer.decode(short["input_ids"][1][short["instruction_mask"][1]])
    assert words.strip() == window["instruction"]

    lengths: list[int] = []
    for made in (once, every):
        made.vla.get_input_embeddings().register_forward_hook(lambda _, __, out: lengths.append(out.shape[1]))
    whole = once.vla.predict_action_chunk(**observed(short))
    every.vla.predict_action_chunk(**observed(full))
    assert lengths[1] - lengths[0] == short["instruction_mask"][1:].sum() > 0

    stream = once.vla.new_cache(1)
    for frame in range(WINDOW):
        newest = window | {name: window[name][frame : frame + 1] for name in ("state", "frame_mask")}
        newest["images"] = {name: pixels[frame : frame + 1] for name, pixels in window["images"].items()}
        inputs = once.inputs({name: newest[name] for name in newest if not name.startswith("action")})
        streamed = once.vla.predict_action_chunk(**inputs, cache=stream)
    torch.testing.assert_close(streamed, whole, atol=1e-5, rtol=0)

    with pytest.raises(ValueError, match=r"instruction_mask is missing.*instruction_frames = 'first'"):
        once.vla.predict_action_chunk(**observed(full))
    with pytest.raises(ValueError, match=r"instruction_mask is given.*instruction_frames = 'every'"):
        every.vla.predict_action_chunk(**observed(short))
    with pytest.raises(ValueError, match="instruction_frames is 'first' in the processor and 'every' in the model"):
        Policy(every.vla, once.processor)


@pytest.mark.parametrize("source", ["all", "vision", "text"])
@pytest.mark.parametrize("family", ["paligemma", "kosmos-2", "qwen2_vl", "smolvlm"])
def test_pooled_tokens(family, source, backbone, contract, sample):
    """By hand: the largest of each third of the named tokens."""
    own = contract(state=None)
    processor = RoboVLMProcessor.from_backbone(
        str(backbone(family)),
        own,
        num_action_tokens=3,
        token_source=source,
        prompt_template="{images}{instruction}{action}",
    )
    vla = OneStepContinuousVLA.from_backbone(
        str(backbone(family)), own, num_action_tokens=3, token_source=source, head_config=HEADS["mlp"]
    ).eval()
    assert not [name for name, _ in vla.named_parameters() if name.startswith("action_tokens")]
    inputs = observed(dict(VLACollator(processor)([sample(own, seed) for seed in range(2)])))
    mask, real = inputs["feature_token_mask"], inputs["attention_mask"].bool()
    with torch.no_grad():
        features = vla(**inputs).action_features
        states = vla.runner.hidden_states({n: v for n, v in inputs.items() if n != "feature_token_mask"})
    for row in range(2):
        words = states[row][mask[row]]
        thirds = [(len(words) * i // 3, -(-len(words) * (i + 1) // 3)) for i in range(3)]
        expected = torch.stack([words[first:last].amax(dim=0) for first, last in thirds])
        torch.testing.assert_close(features[row, 0], expected)
    texts = processor.tokenizer.batch_decode(
        [ids[chosen] for ids, chosen in zip(inputs["input_ids"], mask, strict=True)]
    )
    if source == "all":
        assert torch.equal(mask, real)
    elif source == "text":
        assert all(sentence in text for sentence, text in zip(("open", "pick up the red block"), texts, strict=True))
    else:
        assert not any("open" in text or "pick" in text for text in texts) and mask[0].sum() == mask[1].sum() > 0


@every_pair
def test_an_update_in_which_no_action_counts_has_gradients_of_zero(structure, head, make, sample):
    """As the Trainer counts over an update: nothing, on whatever device and process."""
    made = make(structure, head)
    batch = made.inputs(*(sample(made.contract, seed) for seed in range(2)))
    batch["labels"] = torch.full_like(batch["labels"], -100)
    for items in (torch.tensor(0), 0, None):
        loss = made.vla(**batch, num_items_in_batch=items).loss
        loss.backward()
        assert loss == 0
    gradients = [parameter.grad for parameter in made.vla.parameters() if parameter.grad is not None]
    assert len(gradients) > 20 and not any(gradient.any() or gradient.isnan().any() for gradient in gradients)
    made.vla.zero_grad()
