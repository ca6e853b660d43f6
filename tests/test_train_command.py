"""`robovlms train` in this process: mixtures, post-training, frozen parts, adapters, the report, what is refused."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from accelerate import skip_first_batches
from huggingface_hub import constants
from transformers import AutoModel, AutoProcessor, Trainer, TrainingArguments

from robovlms import (
    InterleavedContinuousVLA,
    MLPHeadConfig,
    OneStepContinuousVLA,
    Policy,
    PolicyHeadContinuousVLA,
    RoboVLMProcessor,
)
from robovlms.cli import main
from robovlms.data import EpisodeBlockSampler, LeRobotDataset, VLACollator
from robovlms.evaluation import EvaluationRecord
from robovlms.evaluation.intervals import difference_interval
from robovlms.evaluation.study import Outcome, Variant, verdicts
from robovlms.serving import random_observation
from robovlms.testing import write_demonstrations
from robovlms.training import BlockTrainer, Rollouts, freeze, last_complete_checkpoint, monitor, write_scratch_backbone
from robovlms.training.learning_checks import check_batch, find_warnings, parts_without_gradient
from robovlms.training.training_run import shorten_paths


@pytest.fixture(scope="module")
def demonstrations(tmp_path_factory) -> Path:
    return write_demonstrations(tmp_path_factory.mktemp("data") / "demonstrations")


def train(folder: Path, **options) -> int:
    common = {"output_dir": str(folder), "max_steps": 2, "per_device_train_batch_size": 2, "logging_steps": 1}
    file = folder.with_suffix(".yaml")
    file.write_text(
        yaml.safe_dump(
            common
            | {"window_size": 2, "chunk_size": 4, "n_action_steps": 2, "history_stride": 1, "disable_tqdm": True}
            | options
        )
    )
    return main(["train", "--config", str(file)])


def test_pretraining_over_embodiments_then_post_training(demonstrations, backbone, tmp_path):
    data = [{"path": str(demonstrations), "embodiment": name, "weight": w} for name, w in (("a", 2), ("b", 1))]
    crops = {"augmentation": "crop", "eval_dataset": data[:1], "eval_strategy": "steps", "eval_steps": 2}
    assert train(tmp_path / "first", dataset=data, backbone=str(backbone("smolvlm")), **crops) == 0
    processor = AutoProcessor.from_pretrained(tmp_path / "first")
    assert set(processor.contracts) == {"a", "b"}
    assert {camera.centre_crop for contract in processor.contracts.values() for camera in contract.cameras} == {0.9}
    with pytest.raises(ValueError, match=r"\['a', 'b'\]"):
        Policy.from_pretrained(str(tmp_path / "first"))

    again = {"dataset": [{"path": str(demonstrations), "embodiment": "new"}], "init_from": str(tmp_path / "first")}
    assert train(tmp_path / "second", chunk_size=3, learning_rate=0.0, **again) == 0
    first, second = (AutoModel.from_pretrained(tmp_path / name) for name in ("first", "second"))
    for name, value in first.backbone.state_dict().items():
        assert torch.equal(second.backbone.state_dict()[name], value), name
    assert torch.equal(first.action_tokens.weight, second.action_tokens.weight)
    policy = Policy.from_pretrained(str(tmp_path / "second"))
    assert policy.contract.embodiment == "new" and policy.contract.chunk_size == 3
    assert policy.select_action(random_observation(policy.contract), "push the block").shape == (7,)


def test_discrete_with_adapters_leaves_a_policy_and_a_report(demonstrations, backbone, tmp_path):
    options = {"structure": "one_step_discrete", "action_bins": 16, "lora": True, "lora_rank": 2, "save_steps": 1}
    assert train(tmp_path / "run", dataset=str(demonstrations), backbone=str(backbone("smolvlm")), **options) == 0
    for name in ("adapter/adapter_model.safetensors", "report.html", "report.png", "README.md"):
        assert (tmp_path / "run" / name).exists()
    page = (tmp_path / "run" / "report.html").read_text()
    assert "check/shuffled_images" in page and "one_step_discrete" in page
    assert "token_accuracy/gripper" in page and "frames_per_second" in page and str(tmp_path) not in page
    policy = Policy.from_pretrained(str(tmp_path / "run"))
    assert policy.select_action(random_observation(policy.contract), "push the block").shape == (7,)


@pytest.mark.parametrize(("tokenizer", "bins"), [("uniform", 16), ("fast", 256)])
def test_adapters_alone_are_a_policy(tokenizer, bins, demonstrations, backbone, tmp_path):
    """Over new tokens, with checkpointed activations."""
    options = {"structure": "one_step_discrete", "action_tokenizer": tokenizer, "gradient_checkpointing": True}
    options |= {"lora": True, "lora_rank": 2, "action_bins": bins, "action_token_placement": "new"}
    assert train(tmp_path / "run", dataset=str(demonstrations), backbone=str(backbone("paligemma")), **options) == 0
    merged, adapter = (Policy.from_pretrained(str(tmp_path / "run" / name)) for name in ("", "adapter"))
    observation = random_observation(merged.contract)
    actions = [policy.select_action(observation, "push the block") for policy in (merged, adapter)]
    np.testing.assert_allclose(*actions, atol=1e-5)


def test_adapters_over_a_4bit_backbone_are_a_policy(demonstrations, tmp_path):
    pytest.importorskip("bitsandbytes", reason="QLoRA needs bitsandbytes")
    # bitsandbytes counts in blocks of 64 inputs
    folder = write_scratch_backbone(tmp_path / "backbone", ["push the block"], hidden_size=128)
    options = {"lora": True, "lora_base": "4bit", "backbone": str(folder)}
    assert train(tmp_path / "run", dataset=str(demonstrations), **options) == 0
    policy = Policy.from_pretrained(str(tmp_path / "run" / "adapter"))
    assert policy.select_action(random_observation(policy.contract), "push the block").shape == (7,)


def test_more_frames_than_memory_are_drawn_in_blocks(demonstrations, tmp_path):
    small = LeRobotDataset(demonstrations, window_size=2, chunk_size=2, cache_bytes=2**16)
    large = LeRobotDataset(demonstrations, window_size=2, chunk_size=2)
    arguments = TrainingArguments(
        tmp_path, per_device_train_batch_size=4, use_cpu=True, seed=3, remove_unused_columns=False
    )
    trainers = [BlockTrainer(torch.nn.Linear(1, 1), arguments, list, dataset) for dataset in (small, large)]
    samplers = [trainer._get_train_sampler() for trainer in trainers]
    assert isinstance(samplers[0], EpisodeBlockSampler) and not isinstance(samplers[1], EpisodeBlockSampler)
    loader, epochs = trainers[0].get_train_dataloader(), []
    for epoch in (0, 1):
        loader.set_epoch(epoch)
        epochs.append([(sample["episode"], sample["frame"]) for batch in loader for sample in batch])
    assert epochs[0] != epochs[1] and sorted(epochs[0]) == sorted(epochs[1]) and len(epochs[0]) == len(small)
    loader.set_epoch(0)
    resumed = [(sample["episode"], sample["frame"]) for batch in skip_first_batches(loader, 2) for sample in batch]
    assert resumed == epochs[0][8:]


def test_frozen_parts_stay_as_they_are(backbone, contract, sample, tmp_path):
    agreed = contract()
    processor = RoboVLMProcessor.from_backbone(str(backbone("smolvlm")), agreed)
    vla = OneStepContinuousVLA.from_backbone(
        str(backbone("smolvlm")), agreed, head_config=MLPHeadConfig(hidden_size=32, decoder_sizes=(32,))
    )
    freeze(vla, vision_tower=True, language_model=True, train_last_layers=1)
    before = {name: value.clone() for name, value in vla.state_dict().items()}
    samples = [sample(agreed, seed) for seed in range(4)]
    arguments = TrainingArguments(
        str(tmp_path), max_steps=2, learning_rate=1e-2, report_to="none", remove_unused_columns=False, use_cpu=True,
        save_strategy="no", logging_steps=1, disable_tqdm=True, warmup_steps=0,
    )  # fmt: skip
    trainer = monitor(Trainer(vla, arguments, train_dataset=samples, data_collator=VLACollator(processor)))
    seen = []

    def score(model) -> EvaluationRecord:
        torch.rand(3), np.random.rand(3)  # what evaluation draws does not change what training draws
        seen.append(torch.random.get_rng_state())
        return EvaluationRecord.of_results([], minutes=0.0, controls={}, suite="none")

    trainer.add_callback(Rollouts(trainer, score, every=1))
    trainer.train()
    changed = {name for name, value in vla.state_dict().items() if not torch.equal(value, before[name])}
    assert any(name.startswith("head.") for name in changed) and "action_tokens.weight" in changed
    text = [name for name in changed if ".text_model." in name]
    assert text and not any("vision" in name or "embed_tokens" in name or ".layers.0." in name for name in changed)
    logged = [entry for entry in trainer.state.log_history if "loss" in entry]
    assert len(logged) == 2 and len(seen) == 2
    assert all(entry["frames_per_second"] > 0 and "action_error/6" in entry for entry in logged)
    assert sum("rollout/high" in entry for entry in trainer.state.log_history) == 2


def test_mistakes(demonstrations, tmp_path, capsys):
    for options, wanted in (
        ({"lora": True, "freeze_vision_tower": True}, "freeze_"),
        ({"train_last_layers": 1}, "freeze_language_model"),
        ({"hub_token": "hf_x"}, "hf auth login"),
        ({"dataset": [{"path": str(demonstrations), "weight": 1}, str(demonstrations)]}, "weight"),
        ({"dataset": [{"path": str(demonstrations), "wieght": 1}]}, "weight"),
    ):
        assert train(tmp_path / "run", **{"dataset": str(demonstrations)} | options) == 1
        assert wanted in capsys.readouterr().err


def test_a_dry_run_tells_the_plan_and_writes_nothing(demonstrations, backbone, tmp_path, capsys):
    assert (
        train(
            tmp_path / "run", dataset=str(demonstrations), backbone=str(backbone("smolvlm")), lora=True, dry_run=True
        )
        == 0
    )
    told = capsys.readouterr().out
    for part in ("vision tower", "text tower", "head", "2 updates", "per frame", "GiB", "gripper", "'"):
        assert part in told
    assert not (tmp_path / "run").exists()


def test_what_a_model_ignores_is_found(backbone, contract, sample):
    agreed = contract()
    processor = RoboVLMProcessor.from_backbone(str(backbone("smolvlm")), agreed)
    vla = OneStepContinuousVLA.from_backbone(str(backbone("smolvlm")), agreed, head_config=MLPHeadConfig())
    batch = dict(VLACollator(processor)([sample(agreed, seed) for seed in range(3)]))
    blind = batch | {"pixel_values": torch.full_like(batch["pixel_values"], 0.5)}
    vla(**batch).loss.backward()
    assert list(parts_without_gradient(vla)) == []
    for parameter in vla.vision_tower.parameters():
        parameter.grad = None
    assert list(parts_without_gradient(vla)) == ["vision_tower"]
    with torch.no_grad():
        assert check_batch(vla.eval(), batch)["check/shuffled_images"] != 1
        values = check_batch(vla.eval(), blind)
    assert values["check/shuffled_images"] == 1
    told = find_warnings([{"step": 4} | values | {"check/no_gradient/vision_tower": 1.0}])
    assert any("images hardly matter" in each and "1.000" in each for each in told)
    assert any("vision_tower" in each for each in told)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"action_bins": 16}, "structure one_step_discrete alone has action_bins"),
        ({"lora_base": "4bit", "lora_rank": 4}, "only with lora there is lora_rank, lora_base"),
        ({"rollout_steps": 5}, "only with rollout_suite there is rollout_steps"),
        (
            {"init_from": True, "backbone": "me/my_vlm", "head": "gru"},
            "init_from brings its own: leave out backbone, head",
        ),
        ({"head_options": "{hidden"}, "head_options must be JSON, got '{hidden'"),
    ],
)
def test_an_option_that_would_do_nothing_is_refused(
    options, told, demonstrations, backbone, contract, tmp_path, capsys
):
    if options.get("init_from"):
        agreed = contract()
        OneStepContinuousVLA.from_backbone(backbone("smolvlm"), agreed).save_pretrained(tmp_path)
        RoboVLMProcessor.from_backbone(backbone("smolvlm"), agreed).save_pretrained(tmp_path)
        options = options | {"init_from": str(tmp_path)}
    assert train(tmp_path / "run", dataset=str(demonstrations), **options) == 1
    assert told in capsys.readouterr().err


def test_errors_of_flags_and_files_are_short(tmp_path, capsys):
    with pytest.raises(SystemExit):
        main(["train", "--dataset", "anywhere", "--learning_rat", "1"])
    assert capsys.readouterr().err.splitlines() == [
        "usage: robovlms train [--config FILE.yaml] [--FLAG VALUE ...]",
        "robovlms train: error: unrecognized arguments: --learning_rat 1",
    ]
    (tmp_path / "broken.yaml").write_text("backbone: me: my_vlm")
    assert main(["train", "--config", str(tmp_path / "broken.yaml")]) == 1
    assert "broken.yaml is no YAML: mapping values" in capsys.readouterr().err


def test_a_report_tells_no_paths_of_this_machine(demonstrations, tmp_path):
    dataset = [{"path": str(demonstrations), "embodiment": "arm"}]
    assert train(tmp_path / "run", dataset=dataset, checkpoint=str(tmp_path / "other" / "policy")) == 0
    page = (tmp_path / "run" / "report.html").read_text()
    assert "robovlms train --config run.yaml" in page and demonstrations.name in page
    assert str(tmp_path) not in page and str(demonstrations.parent) not in page
    told = """robovlms train --dataset '{"path": "/home/me/data"}' me/my_data --backbone=../models/vlm --cache ~/x/y"""
    assert shorten_paths(told) == """robovlms train --dataset '{"path": "data"}' me/my_data --backbone=vlm --cache y"""


def test_a_hub_that_cannot_be_reached_is_said_at_once(demonstrations, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    for options in ({"backbone": "me/my_vlm"}, {"init_from": "me/my_vla"}, {"dataset": "me/my_data"}):
        assert train(tmp_path / "run", **{"dataset": str(demonstrations)} | options) == 1
        assert f"{next(iter(options.values()))!r} is no folder here" in capsys.readouterr().err


def test_warnings_come_while_there_is_time(demonstrations, tmp_path, capsys):
    assert train(tmp_path / "run", dataset=str(demonstrations), learning_rate=0.0) == 0
    told = [line.partition("warning: ") for line in capsys.readouterr().out.splitlines() if "warning: " in line]
    assert {start for start, _, text in told if "no better than by their mean" in text} == {"step 1/2 · ", ""}


def test_a_run_ends_with_a_command_that_works(demonstrations, tmp_path, capsys):
    assert train(tmp_path / "run", dataset=str(demonstrations)) == 0
    assert f"next: `robovlms serve {tmp_path / 'run'}`" in capsys.readouterr().out  # at 10 Hz; the tabletop has 5


def test_a_checkpoint_that_was_cut_off_is_passed_over(tmp_path):
    for step, state in ((1, '{"global_step": 1}'), (2, '{"global_st')):
        folder = tmp_path / f"checkpoint-{step}"
        folder.mkdir()
        (folder / "trainer_state.json").write_text(state)
        torch.save({"step": step}, folder / "rng_state.pth")
    assert last_complete_checkpoint(tmp_path) == str(tmp_path / "checkpoint-1")
    (tmp_path / "checkpoint-2" / "trainer_state.json").write_text('{"global_step": 2}')
    assert last_complete_checkpoint(tmp_path) == str(tmp_path / "checkpoint-2")
    assert last_complete_checkpoint(tmp_path, processes=2) == str(tmp_path / "checkpoint-2")  # one process wrote it
    whole = (tmp_path / "checkpoint-2" / "rng_state.pth").read_bytes()
    (tmp_path / "checkpoint-2" / "rng_state.pth").write_bytes(whole[:-20])
    assert last_complete_checkpoint(tmp_path) == str(tmp_path / "checkpoint-1")
    (tmp_path / "checkpoint-2" / "rng_state.pth").rename(tmp_path / "checkpoint-2" / "rng_state_0.pth")
    (tmp_path / "checkpoint-2" / "rng_state_0.pth").write_bytes(whole)  # the other process's is missing
    assert last_complete_checkpoint(tmp_path, processes=2) == str(tmp_path / "checkpoint-1")


def test_a_study_says_where_it_disagrees():
    # Newcombe 1998, table II (a), method 10: 56/70 - 48/80
    assert difference_interval((48, 80), (56, 70)) == pytest.approx((0.0524, 0.3339), abs=1e-4)
    rates = {"one_step_discrete": 90, "one_step_continuous": 50, "policy_head_continuous": 90}
    outcomes = [
        Outcome(Variant(structure, 1, backbone), rate, 100)
        for structure, rate in rates.items()
        for backbone in ("random", "pretrained")
    ]
    found = {verdict.claim.split()[0]: verdict.verdict for verdict in verdicts(outcomes)}
    assert found == {"Continuous": "disagrees", "History": "agrees", "Vision-language": "undecided"}
    assert json.dumps([verdict.interval for verdict in verdicts(outcomes)])


def test_prompts_of_different_length_are_exchanged_whole(backbone, contract, sample):
    """Their action tokens stand elsewhere."""
    own = contract(window_size=2)
    vla = InterleavedContinuousVLA.from_backbone(str(backbone("smolvlm")), own).eval()
    samples = [sample(own, seed) | {"frame_mask": np.ones(2, dtype=bool)} for seed in (0, 1)]
    assert len({len(each["instruction"]) for each in samples}) == 2
    with torch.no_grad():
        values = check_batch(vla, VLACollator(RoboVLMProcessor.from_backbone(str(backbone("smolvlm")), own))(samples))
    assert values["check/shuffled_instructions"] != 1


def test_pictures_are_exchanged_where_windows_begin_with_the_episode(backbone, contract, sample):
    """Such windows have fewer frames: 3 of 4 here, which no sample's share divides."""
    own = contract(window_size=2)
    vla = PolicyHeadContinuousVLA.from_backbone(str(backbone("smolvlm")), own).eval()
    masks = ([True, True], [False, True])
    samples = [sample(own, seed) | {"frame_mask": np.array(mask)} for seed, mask in enumerate(masks)]
    batch = VLACollator(RoboVLMProcessor.from_backbone(str(backbone("smolvlm")), own))(samples)
    with torch.no_grad():
        values = check_batch(vla, batch)
        blind = check_batch(vla, dict(batch) | {"pixel_values": torch.full_like(batch["pixel_values"], 0.5)})
    assert values["check/shuffled_images"] != 1 != values["check/shuffled_instructions"]
    assert blind["check/shuffled_images"] == 1
