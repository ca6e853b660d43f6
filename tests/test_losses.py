"""Which actions count in the loss where no labels say so, and updates in which none does."""

import numpy as np
import pytest
import torch
from transformers import Trainer, TrainingArguments

from robovlms import (
    LSTMHeadConfig,
    OneStepContinuousVLA,
    OneStepDiscreteVLA,
    PolicyHeadContinuousVLA,
    RoboVLMProcessor,
)
from robovlms.testing.chat import conversations
from robovlms.training import CoTrainingCollator, CoTrainingDataset, LossParts


def test_frames_before_the_episode_do_not_count_without_labels(backbone, contract, sample):
    agreed = contract(window_size=3)
    processor = RoboVLMProcessor.from_backbone(backbone("smolvlm"), agreed)
    head = LSTMHeadConfig(hidden_size=16, num_layers=1, decoder_sizes=(16,))
    vla = PolicyHeadContinuousVLA.from_backbone(backbone("smolvlm"), agreed, head_config=head).eval()
    given = sample(agreed, 0)
    inputs = processor(
        images=[given["images"]],
        instruction=[given["instruction"]],
        state=given["state"][None],
        actions=given["actions"][None],
        frame_mask=np.array([[False, True, True]]),
    )
    labels = inputs.pop("labels")
    assert (labels[:, 0] == -100).all() and (labels[:, 1:] == 0).all()
    with torch.no_grad():
        loss = vla(**inputs).loss
        assert torch.equal(loss, vla(**inputs, labels=labels).loss)
        inputs["actions"][:, 0] += 1
        assert torch.equal(vla(**inputs).loss, loss)


@pytest.mark.parametrize("kind", ["grounded", "uniform", "parallel", "fast"])
def test_accumulated_updates_in_which_no_action_counts_leave_the_weights(kind, backbone, contract, sample, tmp_path):
    """Nor does the text that came along with such actions: it weighs as much as they do."""
    agreed, folder = contract(state=None), backbone("smolvlm")
    chunks = np.random.default_rng(0).uniform(-0.2, 0.2, (8, agreed.chunk_size, agreed.action_dim))
    options = {
        "grounded": {},
        "uniform": {"action_bins": 16},
        "parallel": {"action_bins": 16, "decoding": "parallel"},
        "fast": {"fast": RoboVLMProcessor.from_backbone(folder, agreed).fit_fast(chunks, vocab_size=32, scale=5.0)},
    }
    processor = RoboVLMProcessor.from_backbone(folder, agreed, **options[kind])
    structure = OneStepContinuousVLA if kind == "grounded" else OneStepDiscreteVLA
    fields = processor.model_fields | ({"grounding_dim": 2} if kind == "grounded" else {})
    vla = structure.from_backbone(folder, agreed, **fields)
    before = {name: value.clone() for name, value in vla.state_dict().items()}
    none = {"action_mask": np.zeros((1, 3), bool), "grounding": np.ones((1, 2), np.float32)}
    actions = [sample(agreed, seed) | none for seed in range(4)]
    collate = CoTrainingCollator(processor)

    def without_labels(samples):
        batch = collate(samples)
        batch["labels"] = torch.full_like(batch["labels"], -100)  # FAST's chunks count as a whole
        return batch

    arguments = TrainingArguments(
        str(tmp_path), max_steps=1, per_device_train_batch_size=2, gradient_accumulation_steps=2, learning_rate=1.0,
        logging_steps=1, remove_unused_columns=False, use_cpu=True, report_to="none", save_strategy="no",
    )  # fmt: skip
    trainer = Trainer(vla, arguments, without_labels, CoTrainingDataset(actions, conversations(2)))
    trainer.callback_handler.callbacks.insert(0, LossParts())
    trainer.train()
    log = next(log for log in trainer.state.log_history if "loss" in log)
    assert log["loss"] == 0 and log["grad_norm"] == 0 and log["text_loss"] == 0
    assert all(torch.equal(value, before[name]) for name, value in vla.state_dict().items())
