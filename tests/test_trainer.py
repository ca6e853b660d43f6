"""`transformers.Trainer` as it is, with whatever of its options makes sense for a VLA."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from peft import get_peft_model
from transformers import Trainer, TrainingArguments

from robovlms import (
    OneStepContinuousVLA,
    OneStepDiscreteVLA,
    Policy,
    PolicyHeadContinuousVLA,
    RoboVLMProcessor,
)
from robovlms.data import Augmented, LeRobotDataset, Mixture, RLDSDataset, VLACollator, action_contract
from robovlms.serving import random_observation
from robovlms.testing import write_demonstrations
from robovlms.testing.chat import conversations
from robovlms.training import BlockTrainer, CoTrainingDataset, lora_config

SHARED = Path(__file__).parents[1].parent / "shared"
MLP = {"type": "mlp", "hidden_size": 16, "decoder_sizes": [16]}
HEADS = {OneStepContinuousVLA: MLP, PolicyHeadContinuousVLA: MLP | {"type": "lstm", "num_layers": 1}}


@pytest.fixture(scope="module")
def demonstrations(tmp_path_factory):
    return write_demonstrations(tmp_path_factory.mktemp("demonstrations") / "set", lengths=(5, 6, 4, 5))


@pytest.fixture
def parts(backbone, demonstrations):
    """A VLA, its processor, and demonstrations to train on and to evaluate on."""
    return make(OneStepContinuousVLA, backbone("smolvlm"), demonstrations)


def make(vla_class, folder, demonstrations):
    window = 2 if vla_class is PolicyHeadContinuousVLA else 1
    train, held_out = (
        LeRobotDataset(demonstrations, window_size=window, chunk_size=2, episodes=episodes)
        for episodes in ([0, 1, 2], [3])
    )
    is_discrete = vla_class is OneStepDiscreteVLA
    contract = action_contract(train, use_state=not is_discrete)
    options = {"action_bins": 16, "action_token_placement": "new"} if is_discrete else {}
    processor = RoboVLMProcessor.from_backbone(str(folder), contract, **options)
    head = {} if is_discrete else {"head_config": HEADS[vla_class]}
    vla = vla_class.from_backbone(str(folder), contract, **processor.model_fields, **head)
    return vla, processor, train, held_out


def test_nothing_but_an_output_folder(parts, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    vla, processor, train, _ = parts
    trainer = Trainer(vla, TrainingArguments("out"), VLACollator(processor), train_dataset=train)
    trainer.train()
    trainer.save_model()
    processor.save_pretrained("out")
    assert trainer.state.global_step == 6
    policy = Policy.from_pretrained("out")
    assert np.isfinite(policy.select_action(random_observation(policy.contract), "push")).all()


def test_no_dataset_loses_its_images(parts, demonstrations, tmp_path, monkeypatch):
    monkeypatch.setenv("ROBOVLMS_CACHE", str(tmp_path / "cache"))
    vla, processor, train, held_out = parts
    sets = {"lerobot": train, "mixture": Mixture([train, held_out]), "augmented": Augmented(train, [])}
    plain = [dict(train[index]) for index in range(4)]
    sets["conversations beside plain dicts"] = CoTrainingDataset(plain, conversations(2))
    if (bridge := SHARED / "real_data" / "octo_bridge").exists():
        sets["rlds"] = RLDSDataset(bridge, cameras=["image_0"])
    for name, dataset in sets.items():
        batches = Trainer(vla, TrainingArguments(str(tmp_path)), list, train_dataset=dataset).get_train_dataloader()
        for sample in next(iter(batches)):
            assert sample.keys() == dataset[0].keys() and "images" in sample, name
    with pytest.raises(KeyError, match=r"WindowSample.*remove_unused_columns=False"):
        next(
            iter(Trainer(vla, TrainingArguments(str(tmp_path)), VLACollator(processor), plain).get_train_dataloader())
        )


@pytest.mark.parametrize("vla_class", [PolicyHeadContinuousVLA, OneStepContinuousVLA, OneStepDiscreteVLA])
@pytest.mark.parametrize("lora", [False, True])
def test_the_best_checkpoint_by_evaluation_is_kept(vla_class, lora, backbone, demonstrations, tmp_path):
    """In full training and with adapters: what is logged is the loss, and in the end the model has the best one."""
    vla, processor, train, held_out = make(vla_class, backbone("smolvlm"), demonstrations)
    model = get_peft_model(vla, lora_config(vla, rank=2)) if lora else vla
    seen = []

    def compute_metrics(evaluated):
        seen.append((evaluated.predictions, evaluated.label_ids))
        return {"size": evaluated.predictions.size}

    arguments = TrainingArguments(
        str(tmp_path), max_steps=4, eval_strategy="steps", eval_steps=2, save_steps=2, load_best_model_at_end=True,
        learning_rate=1e-2, per_device_eval_batch_size=5, label_names=["actions", "labels"],
    )  # fmt: skip
    trainer = Trainer(
        model, arguments, VLACollator(processor), train_dataset=train, eval_dataset=held_out,
        compute_metrics=compute_metrics,
    )  # fmt: skip
    trainer.train()
    losses = [log["eval_loss"] for log in trainer.state.log_history if "eval_loss" in log]
    assert len(losses) == 2 and trainer.state.best_metric == min(losses)
    with torch.no_grad():
        loss = model.eval()(**VLACollator(processor)([held_out[index] for index in range(5)])).loss.item()
    assert loss == pytest.approx(min(losses), abs=1e-5)
    predictions, (actions, labels) = seen[-1]
    if vla_class is OneStepDiscreteVLA:
        assert predictions.shape[:2] == labels.shape and predictions.shape[2] >= vla.config.action_token_ids[-1]
    else:
        assert predictions.shape == actions.shape and labels.shape == actions.shape[:3]


def test_heads_that_sample_are_evaluated_by_their_loss(backbone, demonstrations, tmp_path):
    train = LeRobotDataset(demonstrations, window_size=1, chunk_size=2)
    contract = action_contract(train)
    processor = RoboVLMProcessor.from_backbone(str(backbone("smolvlm")), contract)
    sizes = {"type": "flow_matching", "denoiser_size": 16, "denoiser_layers": 1, "denoiser_heads": 2}
    vla = OneStepContinuousVLA.from_backbone(str(backbone("smolvlm")), contract, head_config=sizes)
    trainer = Trainer(vla, TrainingArguments(str(tmp_path)), VLACollator(processor), eval_dataset=train)
    assert 0 < trainer.evaluate()["eval_loss"] < 10


@pytest.mark.slow
def test_the_batch_that_fits_is_found(parts, tmp_path):
    vla, processor, train, _ = parts
    sizes = []

    def require_memory(module, inputs, options):
        sizes.append(len(options["input_ids"]))
        if sizes[-1] > 4:
            raise RuntimeError("CUDA out of memory. Tried to allocate")

    vla.register_forward_pre_hook(require_memory, with_kwargs=True)
    arguments = TrainingArguments(str(tmp_path), auto_find_batch_size=True, max_steps=2)
    Trainer(vla, arguments, VLACollator(processor), train_dataset=train).train()
    assert sizes[0] == 8 and max(sizes[-2:]) <= 4


@pytest.mark.parametrize("trainer_class", [Trainer, BlockTrainer])
def test_grouping_by_length_is_refused(trainer_class, parts, tmp_path):
    """Samples have no lengths before the processor has read them."""
    vla, processor, train, _ = parts
    train.cache.max_bytes = 1
    arguments = TrainingArguments(str(tmp_path), train_sampling_strategy="group_by_length")
    trainer = trainer_class(vla, arguments, VLACollator(processor), train_dataset=train)
    with pytest.raises(ValueError, match="length"):
        trainer.train()


@pytest.mark.parametrize("backend", ["eager", pytest.param("inductor", marks=pytest.mark.slow)])
def test_compiled(backend, parts, tmp_path):
    vla, processor, train, _ = parts
    losses = []
    for compiled in (False, True):
        torch.manual_seed(0)
        arguments = TrainingArguments(
            str(tmp_path), max_steps=2, logging_steps=1, torch_compile=compiled, save_strategy="no",
            torch_compile_backend=backend if compiled else None, learning_rate=0.0,
        )  # fmt: skip
        trainer = Trainer(vla, arguments, VLACollator(processor), train_dataset=train)
        trainer.train()
        losses.append([log["loss"] for log in trainer.state.log_history if "loss" in log])
    np.testing.assert_allclose(*losses, rtol=1e-4)


@pytest.mark.slow
def test_accelerate_launch(backbone, demonstrations, tmp_path):
    # "--cpu" would need MPI for a second process; with no GPU to see, these two talk over gloo.
    launch = [
        sys.executable,
        "-m",
        "accelerate.commands.launch",
        "--multi_gpu",
        "--num_processes=2",
        "--num_machines=1",
    ]
    launch += ["--mixed_precision=no", "--dynamo_backend=no"]
    script, run = Path(__file__).parent / "plain_trainer.py", tmp_path / "run"
    done = subprocess.run(
        [*launch, str(script), str(backbone("llava")), str(demonstrations), str(run)],
        capture_output=True, text=True, timeout=500, env=os.environ | {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    assert all(f"process {rank} of 2: step 6" in done.stdout for rank in range(2)), done.stdout
    policy = Policy.from_pretrained(str(run))
    assert np.isfinite(policy.select_action(random_observation(policy.contract), "push")).all()
