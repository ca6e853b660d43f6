"""The doctor finds each planted fault, and nothing in a healthy checkpoint."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModel, AutoProcessor

from robovlms import CameraSpec, OneStepContinuousVLA, OneStepDiscreteVLA, PolicyHeadContinuousVLA, RoboVLMProcessor
from robovlms.checkpoint.record import FILE, CheckpointRecord
from robovlms.cli import main

CAMERAS = (CameraSpec("static", 32, 32), CameraSpec("gripper", 32, 32))


def write(folder: Path, backbone, contract, vla_class=OneStepContinuousVLA, **fields) -> None:
    agreed = contract(cameras=CAMERAS, **({"state": None} if vla_class is OneStepDiscreteVLA else {}), **fields)
    processor = RoboVLMProcessor.from_backbone(
        str(backbone("smolvlm")), agreed, action_bins=16 if vla_class is OneStepDiscreteVLA else None
    )
    options = {"action_token_ids": processor.action_tokenizer.token_ids} if processor.action_tokenizer else {}
    vla = vla_class.from_backbone(str(backbone("smolvlm")), agreed, **options)
    vla.save_pretrained(folder, max_shard_size="200KB")
    processor.save_pretrained(folder)


@pytest.fixture(scope="module")
def healthy(backbone, contract, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("doctor") / "healthy"
    write(folder, backbone, contract)
    return folder


@pytest.fixture
def checkpoint(healthy, tmp_path) -> Path:
    return Path(shutil.copytree(healthy, tmp_path / "checkpoint"))


def doctor(folder: Path, tmp_path: Path) -> tuple[int, dict]:
    file = tmp_path / "findings.json"
    status = main(["doctor", str(folder), "--json", str(file)])
    return status, json.loads(file.read_text())


def edit(file: Path, change) -> None:
    content = json.loads(file.read_text())
    change(content)
    file.write_text(json.dumps(content))


def in_contract(change):
    return lambda folder: edit(
        folder / "processor_config.json", lambda config: change(config["robovlms"]["contracts"]["arm"])
    )


def swap_grippers(contract: dict) -> None:
    (gripper,) = contract["grippers"]
    gripper["open_value"], gripper["closed_value"] = gripper["closed_value"], gripper["open_value"]


def zero(prefixes: tuple[str, ...]):
    """Weights whose names hold one of `prefixes` become zero, as if training had never touched them."""

    def change(folder: Path) -> None:
        model, processor = AutoModel.from_pretrained(folder), AutoProcessor.from_pretrained(folder)
        with torch.no_grad():
            changed = [value.zero_() for name, value in model.named_parameters() if any(p in name for p in prefixes)]
        assert changed
        model.save_pretrained(folder)
        processor.save_pretrained(folder)

    return change


def flip_bytes(folder: Path) -> None:
    shard = sorted(folder.glob("*.safetensors"))[0]
    content = bytearray(shard.read_bytes())
    content[-5] ^= 0x01
    shard.write_bytes(content)


def truncate(folder: Path) -> None:
    shard = sorted(folder.glob("*.safetensors"))[-1]
    shard.write_bytes(shard.read_bytes()[:-100])


def not_a_number(folder: Path) -> None:
    (folder / FILE).unlink()
    shard = sorted(folder.glob("*.safetensors"))[0]
    weights = load_file(shard)
    next(iter(weights.values())).view(-1)[0] = float("nan")
    save_file(weights, shard, metadata={"format": "pt"})


FAULTS = {
    "swapped cameras": (in_contract(lambda contract: contract["cameras"].reverse()), "cameras are swapped"),
    "missing statistics": (in_contract(lambda contract: contract["action"].update(statistics=None)), "missing"),
    "half the statistics": (in_contract(lambda contract: contract["action"]["statistics"].pop("q99")), "q99"),
    "gripper polarity": (in_contract(swap_grippers), "polarity is inverted"),
    "impossible gripper": (in_contract(lambda contract: contract["grippers"][0].update(open_value=9.0)), "open_value"),
    "image ignored": (zero(("backbone.model.connector",)), "image ignored"),
    "flipped bit": (flip_bytes, "corrupted"),
    "truncated shard": (truncate, "corrupted"),
    "not a number": (not_a_number, "not finite"),
    "missing shard": (lambda folder: sorted(folder.glob("*.safetensors"))[0].unlink(), "missing"),
    "package too new": (
        lambda folder: edit(folder / "processor_config.json", lambda c: c["robovlms"].update(version="99.0.0")),
        "robovlms 99.0.0",
    ),
    "transformers too new": (
        lambda folder: edit(folder / "config.json", lambda c: c.update(transformers_version="99.0.0")),
        "transformers 99.0.0",
    ),
    "other weights": (
        lambda folder: edit(folder / FILE, lambda c: c["golden_samples"]["arm"]["answer"].__setitem__(0, 0.77)),
        "golden sample",
    ),
    "pickle": (lambda folder: torch.save({}, folder / "pytorch_model.bin"), "pickles"),
    "path": (lambda folder: edit(folder / "config.json", lambda c: c.update(note="/home/me/data")), "/home/me/data"),
    "token": (lambda folder: edit(folder / "config.json", lambda c: c.update(note="hf_" + "a" * 34)), "access token"),
}


def test_a_healthy_checkpoint_has_no_problem(checkpoint, tmp_path, capsys):
    status, found = doctor(checkpoint, tmp_path)
    assert status == 0 and found["healthy"] and not found["problems"], found
    levels = {finding["check"]: finding["level"] for finding in found["findings"]}
    assert levels["golden"] == levels["images"] == levels["weights"] == levels["versions"] == "ok"
    assert {"torch", "transformers", "robovlms"} <= found["versions"]["saved"].keys()
    assert "no problem found" in capsys.readouterr().out


@pytest.mark.parametrize("fault", FAULTS)
def test_each_planted_fault_is_found(fault, checkpoint, tmp_path):
    plant, words = FAULTS[fault]
    plant(checkpoint)
    status, found = doctor(checkpoint, tmp_path)
    messages = [problem["message"] for problem in found["problems"]]
    assert status == 1 and any(words in message for message in messages), messages


@pytest.mark.parametrize("vla_class", [PolicyHeadContinuousVLA, OneStepDiscreteVLA])
def test_other_structures_are_examined_too(vla_class, backbone, contract, tmp_path):
    window = {"window_size": 3} if vla_class is PolicyHeadContinuousVLA else {}
    write(tmp_path / "checkpoint", backbone, contract, vla_class, **window)
    status, found = doctor(tmp_path / "checkpoint", tmp_path)
    assert status == 0, found["problems"]
    zero(("backbone.model.connector",))(tmp_path / "checkpoint")
    status, found = doctor(tmp_path / "checkpoint", tmp_path)
    assert status == 1 and "image ignored" in found["problems"][0]["message"]


def test_the_record_is_of_what_was_saved(backbone, contract, tmp_path):
    """Swapping cameras through the processor does not change what is on record; training on does not go there."""
    write(tmp_path / "a", backbone, contract)
    record = CheckpointRecord.load(tmp_path / "a")
    vla, processor = AutoModel.from_pretrained(tmp_path / "a"), AutoProcessor.from_pretrained(tmp_path / "a")
    agreed = processor.contract()
    swapped = RoboVLMProcessor(processor.backbone_processor, agreed.replace(cameras=agreed.cameras[::-1]))
    swapped.save_pretrained(tmp_path / "a")
    assert CheckpointRecord.load(tmp_path / "a") == record
    status, found = doctor(tmp_path / "a", tmp_path)
    assert status == 1 and "cameras are swapped" in found["problems"][0]["message"]

    vla.train()
    frozen = vla.backbone.eval()
    vla.save_pretrained(tmp_path / "b")
    with torch.no_grad():
        vla.action_tokens.weight.add_(1.0)
    processor.save_pretrained(tmp_path / "b")
    assert not CheckpointRecord.load(tmp_path / "b").golden_samples  # what is in memory is not what was saved
    vla.save_pretrained(tmp_path / "b")
    assert CheckpointRecord.load(tmp_path / "b").golden_samples.keys() == {"arm"}
    assert vla.training and not frozen.training  # looking at it changed nothing


def test_pickled_weights_are_refused(checkpoint):
    weights = {name: value for file in checkpoint.glob("*.safetensors") for name, value in load_file(file).items()}
    for file in [*checkpoint.glob("*.safetensors"), checkpoint / "model.safetensors.index.json"]:
        file.unlink()
    torch.save(weights, checkpoint / "pytorch_model.bin")
    with pytest.raises(OSError, match="can run code"):
        AutoModel.from_pretrained(checkpoint)
    with pytest.raises(ValueError, match="can run code"):
        AutoModel.from_pretrained(checkpoint, use_safetensors=False)


def test_a_folder_that_is_used_again_has_the_record_of_its_last_checkpoint(backbone, contract, tmp_path):
    """Old processors that lie there, or are still in memory, are not taken for the new one's."""
    write(tmp_path / "a", backbone, contract)
    vla, first = AutoModel.from_pretrained(tmp_path / "a"), AutoProcessor.from_pretrained(tmp_path / "a")
    other = first.contract().replace(control_frequency=20.0)
    for processor, agreed in ((first, first.contract()), (RoboVLMProcessor(first.backbone_processor, other), other)):
        vla.save_pretrained(tmp_path / "a")
        processor.save_pretrained(tmp_path / "a")
        assert CheckpointRecord.load(tmp_path / "a").contracts["arm"] == agreed
