"""The discrete structure: learnt by heart, written back token for token, alone as in a batch, and after loading."""

import numpy as np
import pytest
import torch
from transformers import AutoModelForImageTextToText

from robovlms import OneStepDiscreteVLA, Policy, RoboVLMProcessor


def scenes(contract, batch=2):
    rng = np.random.default_rng(0)
    return {
        "images": [
            {c.name: rng.integers(0, 256, (c.height, c.width, 3), dtype=np.uint8) for c in contract.cameras}
            for _ in range(batch)
        ],
        "instruction": ["pick up the red block", "push"][:batch],
    }


def learn_by_heart(vla, batch, steps):
    optimizer = torch.optim.AdamW(vla.parameters(), lr=3e-3)
    losses = []
    for _ in range(steps):
        output = vla(**batch)
        losses.append(output.loss.item())
        output.loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    return output, losses


def reloaded(vla, processor, folder):
    vla.eval().save_pretrained(folder)
    processor.save_pretrained(folder)
    return OneStepDiscreteVLA.from_pretrained(folder), RoboVLMProcessor.from_pretrained(folder)


@pytest.mark.parametrize("decoding", ["autoregressive", "parallel"])
@pytest.mark.parametrize("family", ["paligemma", "qwen2_vl", "smolvlm"])
def test_uniform_bins(family, decoding, backbone, contract, tmp_path):
    agreed = contract(state=None)
    processor = RoboVLMProcessor.from_backbone(backbone(family), agreed, action_bins=32, decoding=decoding)
    torch.manual_seed(0)
    vla = OneStepDiscreteVLA.from_backbone(backbone(family), agreed, **processor.model_fields)
    given = scenes(agreed)
    actions = np.random.default_rng(0).uniform(-0.2, 0.2, (2, 1, agreed.chunk_size, agreed.action_dim))
    batch = processor(**given, actions=actions)
    output, losses = learn_by_heart(vla, batch, 60)
    assert losses[-1] < 0.05 * losses[0] and output.token_accuracy == 1 and output.action_l1 == 0
    assert output.dimension_accuracy.tolist() == [1.0] * 7

    vla, processor = reloaded(vla, processor, tmp_path)
    tokens = vla.predict_tokens(**processor(**given))
    wanted = processor.action_tokenizer.encode(batch["actions"].numpy()).reshape(2, -1)
    assert tokens.tolist() == wanted.tolist()
    decoded = processor.decode_action_tokens(tokens.numpy())
    np.testing.assert_allclose(
        decoded, processor.decode_actions(vla.predict_action_chunk(**processor(**given))), atol=1e-6
    )
    for row in range(2):
        alone = {name: value[row : row + 1] for name, value in given.items()}
        assert torch.equal(vla.predict_tokens(**processor(**alone))[0], tokens[row])


def test_fast(backbone, contract, tmp_path):
    agreed = contract(state=None, grippers=(), chunk_size=10)
    rng = np.random.default_rng(0)
    time = np.linspace(0, 1, 10)[None, :, None]
    chunks = np.sin(3 * time * rng.uniform(0, 1, (200, 1, 7))) * 0.2
    fast = RoboVLMProcessor.from_backbone(backbone("smolvlm"), agreed).fit_fast(chunks, vocab_size=128, scale=5)
    processor = RoboVLMProcessor.from_backbone(backbone("smolvlm"), agreed, fast=fast)
    torch.manual_seed(0)
    vla = OneStepDiscreteVLA.from_backbone(backbone("smolvlm"), agreed, **processor.model_fields).eval()
    given = scenes(agreed)
    for family in ("smolvlm", "paligemma"):  # untrained, they still write whole chunks
        other = RoboVLMProcessor.from_backbone(backbone(family), agreed)
        other = RoboVLMProcessor.from_backbone(
            backbone(family), agreed, fast=other.fit_fast(chunks, vocab_size=128, scale=5)
        )
        untrained = OneStepDiscreteVLA.from_backbone(backbone(family), agreed, **other.model_fields).eval()
        tokens = untrained.predict_tokens(**other(**given)).numpy()
        assert other.decode_action_tokens(tokens).shape == (2, 10, 7)
    batch = processor(**given, actions=chunks[:2, None])
    output, _ = learn_by_heart(vla, batch, 80)
    assert output.token_accuracy == 1

    vla, processor = reloaded(vla, processor, tmp_path)
    decoded = processor.decode_action_tokens(vla.predict_tokens(**processor(**given)).numpy())
    wanted = [fast.decode(fast.encode(chunk)) for chunk in batch["actions"][:, 0].numpy()]
    np.testing.assert_allclose(decoded, processor.decode_actions(np.stack(wanted)), atol=1e-6)
    actions = Policy(vla, processor).select_action(
        [{"images": images} for images in given["images"]], given["instruction"]
    )
    np.testing.assert_allclose(actions, decoded[:, 0], atol=1e-6)
    with pytest.raises(ValueError, match="decoded by the processor"):
        vla.predict_action_chunk(**processor(**given))


@pytest.mark.parametrize(("family", "is_tied"), [("smolvlm", False), ("paligemma", True)])
def test_new_tokens_grow_the_vocabulary(family, is_tied, backbone, contract, tmp_path):
    agreed = contract(state=None)
    processor = RoboVLMProcessor.from_backbone(backbone(family), agreed, action_bins=300, action_token_placement="new")
    before = AutoModelForImageTextToText.from_pretrained(backbone(family))
    vla = OneStepDiscreteVLA.from_backbone(backbone(family), agreed, **processor.model_fields).eval()
    rows = max(processor.action_tokenizer.token_ids) + 1
    words, heads = vla.get_input_embeddings().weight, vla.get_output_embeddings().weight
    old = before.get_input_embeddings().weight
    assert len(words) >= rows and len(heads) >= rows and torch.equal(words[: len(old)], old)
    assert (words is heads) == (old is before.get_output_embeddings().weight) == is_tied
    inputs = processor(**scenes(agreed))
    again, _ = reloaded(vla, processor, tmp_path)
    assert torch.equal(again(**inputs).logits, vla(**inputs).logits)


def test_what_makes_no_sense_is_refused(backbone, contract):
    with pytest.raises(ValueError, match="KosMos-2 builds its own causal mask"):
        agreed = contract(state=None)
        processor = RoboVLMProcessor.from_backbone(backbone("kosmos-2"), agreed, action_bins=32, decoding="parallel")
        vla = OneStepDiscreteVLA.from_backbone(backbone("kosmos-2"), agreed, **processor.model_fields)
        vla.predict_tokens(**processor(**scenes(agreed)))
    with pytest.raises(ValueError, match="action_token_ids is empty"):
        OneStepDiscreteVLA.from_backbone(backbone("smolvlm"), contract(state=None))
