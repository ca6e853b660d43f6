"""Plain `Trainer`: the loss falls on a dataset that LeRobot wrote; accumulation and resuming are exact."""

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch.utils.data import Subset
from transformers import AutoModel, Trainer, TrainingArguments

from robovlms import (
    InterleavedContinuousVLA,
    LSTMHeadConfig,
    MLPHeadConfig,
    OneStepContinuousVLA,
    OneStepDiscreteVLA,
    PolicyHeadContinuousVLA,
    RoboVLMProcessor,
)
from robovlms.data import LeRobotDataset, VLACollator, action_contract
from robovlms.training import LossParts

FOLDER = Path(__file__).parents[1].parent / "shared" / "datasets" / "lerobot_v3"
MLP = MLPHeadConfig(hidden_size=64, decoder_sizes=(64,))
LSTM = LSTMHeadConfig(hidden_size=64, num_layers=2, dropout=0.1, decoder_sizes=(64,), gripper_loss_weight=0.5)
STRUCTURES = {
    OneStepContinuousVLA: (1, MLP),
    PolicyHeadContinuousVLA: (3, LSTMHeadConfig(hidden_size=64, num_layers=1, decoder_sizes=(64,))),
    InterleavedContinuousVLA: (3, MLP),
}


def train(vla, processor, dataset, folder, resume=None, **options):
    """A trained Trainer. Nothing but the model, the dataset, the collator and a logging callback is ours."""
    defaults = {
        "learning_rate": 1e-3,
        "per_device_train_batch_size": 4,
        "logging_steps": 1,
        "remove_unused_columns": False,
        "report_to": "none",
        "disable_tqdm": True,
        "use_cpu": True,
        "save_strategy": "no",
        "seed": 0,
    }
    trainer = Trainer(
        vla,
        TrainingArguments(str(folder), **(defaults | options)),
        train_dataset=dataset,
        data_collator=VLACollator(processor),
        callbacks=[LossParts()],
    )
    trainer.train(resume_from_checkpoint=resume)
    return trainer


def logged(trainer) -> list[dict]:
    return [entry for entry in trainer.state.log_history if "loss" in entry]


def weights(vla) -> torch.Tensor:
    return torch.cat([parameter.detach().flatten() for parameter in vla.parameters()])


@pytest.mark.skipif(not FOLDER.exists(), reason=f"the dataset written by LeRobot is not at {FOLDER}")
@pytest.mark.parametrize("vla_class", STRUCTURES)
def test_the_loss_falls_and_actions_stay_in_range(vla_class, backbone, tmp_path):
    window, head = STRUCTURES[vla_class]
    dataset = LeRobotDataset(FOLDER, window_size=window, chunk_size=4, embodiment="my_arm")
    contract = action_contract(dataset)
    torch.manual_seed(0)
    vla = vla_class.from_backbone(str(backbone("smolvlm")), contract, head_config=head)
    processor = RoboVLMProcessor.from_backbone(str(backbone("smolvlm")), contract)
    trainer = train(vla, processor, Subset(dataset, range(0, 400)), tmp_path, max_steps=30)
    losses = [entry["loss"] for entry in logged(trainer)]
    assert len(losses) == 30 and np.mean(losses[-5:]) < 0.8 * np.mean(losses[:5])

    samples = [dataset[index] for index in (0, 50, 1000, len(dataset) - 1)]
    inputs = VLACollator(processor)(samples)
    decoded = processor.decode_actions(vla.eval()(**inputs).actions[:, -1], embodiment="my_arm")
    low, high = dataset.action.min(axis=0), dataset.action.max(axis=0)
    assert decoded.shape == (4, 4, 7)
    assert (decoded >= low - 1e-5).all() and (decoded <= high + 1e-5).all()


def grounded(sample, contract, count: int) -> list[dict]:
    """Random samples whose numbers of counting actions differ, with auxiliary labels of which some are absent."""
    samples = [sample(contract, seed) for seed in range(count)]
    for seed, one in enumerate(samples):
        one["grounding"] = np.random.default_rng(seed).normal(size=(contract.window_size, 2)).astype(np.float32)
        one["grounding"][0, seed % 2] = np.nan
    assert len({int(one["action_mask"].sum()) for one in samples}) > 1
    return samples


def policy_head(backbone, contract, **fields):
    torch.manual_seed(0)
    vla = PolicyHeadContinuousVLA.from_backbone(str(backbone), contract, grounding_dim=2, **fields)
    return vla, RoboVLMProcessor.from_backbone(str(backbone), contract)


def discrete(backbone, contract):
    processor = RoboVLMProcessor.from_backbone(str(backbone), contract, action_bins=16)
    vla = OneStepDiscreteVLA.from_backbone(
        str(backbone), contract, action_token_ids=processor.action_tokenizer.token_ids
    )
    return vla, processor


@pytest.mark.parametrize("structure", ["policy_head", "discrete"])
def test_four_micro_batches_are_one_batch(structure, backbone, contract, sample, tmp_path):
    """The update by gradient descent itself, with chunks that hold different numbers of counting actions."""
    window, state = (3, contract().state) if structure == "policy_head" else (1, None)
    agreed = contract(window_size=window, state=state)
    samples = grounded(sample, agreed, 4)
    if structure == "discrete":
        samples = [{name: value for name, value in one.items() if name != "grounding"} for one in samples]
    updates, losses = [], []
    for size, micro_batches in ((4, 1), (1, 4)):
        if structure == "policy_head":
            vla, processor = policy_head(backbone("smolvlm"), agreed, head_config=LSTM.replace(dropout=0.0))
        else:
            vla, processor = discrete(backbone("smolvlm"), agreed)
        before = weights(vla)
        trainer = train(
            vla,
            processor,
            samples,
            tmp_path,
            max_steps=1,
            per_device_train_batch_size=size,
            gradient_accumulation_steps=micro_batches,
            optim="sgd",
            learning_rate=1.0,
            lr_scheduler_type="constant",
            max_grad_norm=0.0,
        )
        updates.append(weights(vla) - before)
        losses.append(logged(trainer)[0]["loss"])
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)
    assert updates[0].abs().amax() > 1e-3
    assert (updates[0] - updates[1]).norm() < 1e-4 * updates[0].norm()


@pytest.mark.parametrize("micro_batches", [1, 2])
def test_logged_parts_make_up_the_loss(micro_batches, backbone, contract, sample, tmp_path):
    agreed = contract(window_size=3)
    vla, processor = policy_head(backbone("smolvlm"), agreed, head_config=LSTM, grounding_loss_weight=2.0)
    trainer = train(
        vla,
        processor,
        grounded(sample, agreed, 8),
        tmp_path,
        max_steps=4,
        per_device_train_batch_size=2,
        gradient_accumulation_steps=micro_batches,
        logging_steps=2,
    )
    assert len(logged(trainer)) == 2
    for entry in logged(trainer):
        parts = entry["pose_loss"] + 0.5 * entry["gripper_loss"] + 2.0 * entry["grounding_loss"]
        assert entry["loss"] == pytest.approx(parts, rel=1e-4)


@pytest.mark.parametrize("family", ["llava", "paligemma"])
def test_resuming_is_bit_identical(family, backbone, contract, sample, tmp_path):
    """Shuffling and dropout go on where they were. On disk the weights have the family's published names."""
    agreed = contract(window_size=3)
    samples = grounded(sample, agreed, 10)
    runs = {}
    for name, resume in (("whole", None), ("resumed", str(tmp_path / "whole" / "checkpoint-2"))):
        vla, processor = policy_head(backbone(family), agreed, head_config=LSTM)
        options = {"max_steps": 4, "save_strategy": "steps", "save_steps": 2, "per_device_train_batch_size": 2}
        trainer = train(vla, processor, samples, tmp_path / name, resume, **options)
        runs[name] = weights(vla), [entry["loss"] for entry in logged(trainer)]
    assert torch.equal(runs["resumed"][0], runs["whole"][0])
    assert runs["resumed"][1] == runs["whole"][1]

    last = tmp_path / "whole" / "checkpoint-4"
    assert set(load_file(last / "model.safetensors")) != set(vla.state_dict())
    assert torch.equal(weights(AutoModel.from_pretrained(last)), runs["whole"][0])
