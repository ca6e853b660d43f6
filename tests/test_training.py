"""Plain `Trainer` on a dataset that LeRobot wrote: the loss falls, accumulation is exact, resuming is exact."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils.data import Subset
from transformers import Trainer, TrainingArguments

from robovlms import LSTMHeadConfig, MLPHeadConfig, OneStepContinuousVLA, PolicyHeadContinuousVLA, RoboVLMProcessor
from robovlms.data import LeRobotDataset, VLACollator, action_contract
from robovlms.training import LossParts

FOLDER = Path(__file__).parents[1].parent / "shared" / "datasets" / "lerobot_v3"
pytestmark = pytest.mark.skipif(not FOLDER.exists(), reason="needs ../shared/datasets, which is not here")
STRUCTURES = {
    OneStepContinuousVLA: (1, MLPHeadConfig(hidden_size=64, decoder_sizes=(64,))),
    PolicyHeadContinuousVLA: (3, LSTMHeadConfig(hidden_size=64, num_layers=1, decoder_sizes=(64,))),
}


def build(vla_class, backbone, family="smolvlm"):
    window, head = STRUCTURES[vla_class]
    dataset = LeRobotDataset(FOLDER, window_size=window, chunk_size=4, embodiment="my_arm")
    contract = action_contract(dataset)
    torch.manual_seed(0)
    vla = vla_class.from_backbone(backbone(family), contract, head_config=head)
    return vla, RoboVLMProcessor.from_backbone(backbone(family), contract), dataset


def arguments(folder, **changes):
    defaults = {
        "learning_rate": 1e-3,
        "per_device_train_batch_size": 4,
        "max_steps": 30,
        "logging_steps": 1,
        "remove_unused_columns": False,
        "report_to": "none",
        "disable_tqdm": True,
        "use_cpu": True,
        "save_strategy": "no",
        "seed": 0,
    }
    return TrainingArguments(str(folder), **(defaults | changes))


def train(vla, processor, dataset, options, resume=None, callbacks=()):
    trainer = Trainer(
        vla, options, train_dataset=dataset, data_collator=VLACollator(processor), callbacks=list(callbacks)
    )
    trainer.train(resume_from_checkpoint=resume)
    return trainer


@pytest.mark.parametrize("vla_class", STRUCTURES)
def test_the_loss_falls_and_actions_stay_in_range(vla_class, backbone, tmp_path):
    vla, processor, dataset = build(vla_class, backbone)
    trainer = train(vla, processor, Subset(dataset, range(0, 400)), arguments(tmp_path), callbacks=[LossParts()])
    losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    assert np.mean(losses[-5:]) < 0.8 * np.mean(losses[:5])
    assert {"pose_loss"} <= set(trainer.state.log_history[0])
    sample = dataset[50]
    inputs = processor(
        sample["images"], sample["instruction"], state=sample["state"][None], frame_mask=sample["frame_mask"][None]
    )
    decoded = processor.decode_actions(vla.predict_action(**inputs))
    low, high = dataset.action.min(axis=0), dataset.action.max(axis=0)
    assert (decoded >= low - 1e-5).all() and (decoded <= high + 1e-5).all()


def test_accumulation_is_exact(backbone, tmp_path):
    """One update of 4 samples equals one of 4 x 1, although the micro-batches hold different numbers of real actions."""
    rows = [0, 1, 98, 99]  # windows at both ends of an episode
    weights, losses = [], []
    for size, steps in ((4, 1), (1, 4)):
        vla, processor, dataset = build(PolicyHeadContinuousVLA, backbone)
        options = arguments(
            tmp_path, per_device_train_batch_size=size, gradient_accumulation_steps=steps, max_steps=1, optim="sgd"
        )
        trainer = train(vla, processor, Subset(dataset, rows), options)
        losses.append(trainer.state.log_history[0]["loss"])
        weights.append(torch.cat([parameter.detach().flatten() for parameter in vla.parameters()]))
    assert abs(losses[0] - losses[1]) < 1e-6
    torch.testing.assert_close(weights[0], weights[1], atol=1e-6, rtol=0)


@pytest.mark.parametrize("family", ["llava", "smolvlm"])
def test_resuming_is_exact(family, backbone, tmp_path):
    """Also for families whose weights have other names on disk than in memory."""
    finals = []
    for resume in (None, str(tmp_path / "checkpoint-2")):
        vla, processor, dataset = build(OneStepContinuousVLA, backbone, family)
        options = arguments(tmp_path, max_steps=4, save_strategy="steps", save_steps=2)
        train(vla, processor, Subset(dataset, range(40)), options, resume=resume)
        finals.append(torch.cat([parameter.detach().flatten() for parameter in vla.parameters()]))
    assert torch.equal(*finals)
