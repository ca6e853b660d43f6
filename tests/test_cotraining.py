"""Co-training: what is learnt of a conversation, and each loss averaged over its own items however a batch is split."""

import numpy as np
import pytest
import torch
from transformers import AutoModelForImageTextToText, Trainer, TrainingArguments

from robovlms import OneStepContinuousVLA, OneStepDiscreteVLA, RoboVLMProcessor
from robovlms.processing.chat import encode_chat
from robovlms.testing import SUPPORTED, tiny_backbone
from robovlms.testing.chat import check_chat, conversations
from robovlms.testing.families_checked import KNOWN_FAILURES, OPTIONAL_LIBRARIES
from robovlms.training import LossParts
from robovlms.training.cotraining import CoTrainingCollator, CoTrainingDataset


@pytest.mark.parametrize("family", ["paligemma", "qwen2_vl", "florence2"])
def test_answers_are_read_causally(family, backbone):
    """Also by a prefix language model, and by an encoder with a decoder."""
    assert check_chat(family, backbone(family)) == ["eager", "sdpa"]


@pytest.mark.matrix
@pytest.mark.parametrize("family", sorted(set(SUPPORTED) - set(KNOWN_FAILURES)))
def test_answers_are_read_causally_by_every_family(family, tmp_path):
    if family in OPTIONAL_LIBRARIES:
        pytest.importorskip(OPTIONAL_LIBRARIES[family])
    assert "eager" in check_chat(family, tiny_backbone(family, tmp_path / "backbone"))


@pytest.mark.parametrize("family", ["smolvlm", "qwen2_vl", "llava"])
def test_text_loss_is_the_backbones_own(family, backbone, contract):
    agreed = contract(state=None)
    processor = RoboVLMProcessor.from_backbone(backbone(family), agreed)
    vla = OneStepContinuousVLA.from_backbone(backbone(family), agreed).eval()
    batch = encode_chat(processor, conversations(3))
    learnt = processor.tokenizer.decode(batch["labels"][0][batch["labels"][0] != -100])
    assert learnt.strip().startswith("red left") and "where" not in learnt and "push" not in learnt
    alone = AutoModelForImageTextToText.from_pretrained(backbone(family)).eval()
    with torch.no_grad():
        torch.testing.assert_close(vla.text_loss(batch), alone(**batch).loss, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("structure", [OneStepContinuousVLA, OneStepDiscreteVLA])
def test_a_split_batch_gives_the_same_update(structure, backbone, contract, sample, tmp_path):
    agreed = contract(state=None)
    bins = {"action_bins": 16} if structure is OneStepDiscreteVLA else {}
    actions = [sample(agreed, seed) | {"action_mask": np.ones((1, 3), dtype=bool)} for seed in range(8)]
    ends = []
    for size, accumulation in ((8, 1), (2, 4)):
        processor = RoboVLMProcessor.from_backbone(backbone("smolvlm"), agreed, **bins)
        torch.manual_seed(0)
        vla = structure.from_backbone(backbone("smolvlm"), agreed, text_loss_weight=0.5, **processor.model_fields)
        arguments = TrainingArguments(
            str(tmp_path), max_steps=2, per_device_train_batch_size=size, gradient_accumulation_steps=accumulation,
            learning_rate=1e-3, logging_steps=1, remove_unused_columns=False, use_cpu=True, report_to="none",
            save_strategy="no", seed=0,
        )  # fmt: skip
        alike = [said | {"messages": conversations(1)[0]["messages"]} for said in conversations(5)]
        dataset = CoTrainingDataset(actions, alike, text_per_action=1)
        trainer = Trainer(vla, arguments, CoTrainingCollator(processor), dataset)
        trainer.callback_handler.callbacks.insert(0, LossParts())
        trainer.train()
        ends.append([(log["loss"], log["text_loss"]) for log in trainer.state.log_history if "text_loss" in log])
    np.testing.assert_allclose(ends[0], ends[1], rtol=1e-4)


def test_text_per_action(sample, contract):
    actions = [sample(contract(), seed) for seed in range(6)]
    texts = conversations(4)
    for ratio, wanted in ((0.5, 3), (1.0, 6), (2.0, 12)):
        dataset = CoTrainingDataset(actions, texts, ratio)
        assert sum(len(dataset[index]["image_text"]) for index in range(len(dataset))) == wanted
    dataset.set_epoch(1)
    assert dataset[0]["image_text"][0] is texts[12 % 4]
    with pytest.raises(ValueError, match="text_per_action must be positive"):
        CoTrainingDataset(actions, texts, 0)


def test_parts_of_messages(backbone, contract):
    """Texts and lists of parts are the same conversation, with a chat template and without."""
    agreed = contract(state=None)
    for family in ("smolvlm", "llama4"):
        processor = RoboVLMProcessor.from_backbone(backbone(family), agreed)
        (plain,) = conversations(1)
        messages = [
            dict(message, content=[{"type": "text", "text": message["content"]}]) for message in plain["messages"]
        ]
        messages[0]["content"].insert(0, {"type": "image"})
        parts = encode_chat(processor, [plain | {"messages": messages}])
        assert torch.equal(parts["input_ids"], encode_chat(processor, [plain])["input_ids"])
        assert "where" in processor.tokenizer.decode(parts["input_ids"][0])
    messages[0]["content"].insert(0, {"type": "image"})
    with pytest.raises(ValueError, match="parts for 2 images, images holds 1"):
        encode_chat(processor, [plain | {"messages": messages}])
