"""The page on adding a backbone, run as it stands, and the checks of every family on what it adds."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import AutoModel, AutoProcessor

from robovlms import (
    InterleavedContinuousVLA,
    LSTMHeadConfig,
    MLPHeadConfig,
    OneStepContinuousVLA,
    PolicyHeadContinuousVLA,
    RoboVLMProcessor,
)
from robovlms.data import VLACollator

PAGE = Path(__file__).parents[1] / "docs" / "adding_a_backbone.md"
STRUCTURES = {
    OneStepContinuousVLA: (1, MLPHeadConfig(hidden_size=16, decoder_sizes=(16,))),
    PolicyHeadContinuousVLA: (2, LSTMHeadConfig(hidden_size=16, num_layers=1, decoder_sizes=(16,))),
    InterleavedContinuousVLA: (2, MLPHeadConfig(hidden_size=16, decoder_sizes=(16,))),
}


@pytest.fixture(scope="module")
def folder(backbone, tmp_path_factory) -> Path:
    """A tiny checkpoint of the page's model."""
    example, inputs, checkpoint = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert len([line for line in example.splitlines() if line.strip()]) <= 30
    place = tmp_path_factory.mktemp("page")
    (place / "patch_vlm.py").write_text(example + inputs)
    torch.manual_seed(0)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        patch.syspath_prepend(place)
        exec(checkpoint.replace("llava-hf/llava-1.5-7b-hf", str(backbone("llava"))), {})
    return place / "patch-vlm"


@pytest.fixture(params=STRUCTURES, ids=lambda vla_class: vla_class.__name__)
def made(request, folder, contract):
    window, head = STRUCTURES[request.param]
    own = contract(window_size=window)
    torch.manual_seed(0)
    vla = request.param.from_backbone(str(folder), own, head_config=head).eval()
    processor = RoboVLMProcessor.from_backbone(
        str(folder), own, prompt_template="{images}{instruction}{action} and stop"
    )
    assert processor.prompt("open", 2).startswith("<image> <image> open")  # what `register_inputs` is for
    return vla, processor, own


def observed(batch: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name: value for name, value in batch.items() if name not in ("actions", "labels")}


def test_actions_depend_on_what_they_should(made, sample):
    vla, processor, own = made
    window = sample(own, 0, "pick up the block") | {"frame_mask": np.ones(own.window_size, dtype=bool)}

    def features(inputs) -> torch.Tensor:
        with torch.no_grad():
            return vla(**observed(dict(inputs))).action_features

    collate = VLACollator(processor)
    batch = dict(collate([window]))
    expected = features(batch)
    for camera in own.camera_names:
        images = {name: 255 - image if name == camera else image for name, image in window["images"].items()}
        assert (features(collate([window | {"images": images}])) - expected).abs().amax() > 1e-4
    assert (features(collate([window | {"instruction": "push up the block"}])) - expected).abs().amax() > 1e-4

    ids, marks = batch["input_ids"], batch["action_token_mask"]
    after = ~marks & (marks.cumsum(dim=1) > 0)
    after[:-1] = False  # of the newest frame
    assert after.sum() >= 2
    changed = features(batch | {"input_ids": ids.masked_fill(after, int(ids[marks][0]))})
    assert (changed - expected).abs().amax() < 1e-6


@pytest.mark.parametrize("side", ["left", "right"])
def test_a_batch_is_its_samples_whatever_the_padding(made, sample, side):
    vla, processor, own = made
    samples = [sample(own, seed) for seed in range(3)]
    collate = VLACollator(processor)
    alone = [vla.predict_action_chunk(**observed(collate([one])))[0] for one in samples]
    processor.tokenizer.padding_side = side
    batch = collate(samples)
    assert (batch["attention_mask"][:, 0 if side == "left" else -1] == 0).any()
    torch.testing.assert_close(vla.predict_action_chunk(**observed(batch)), torch.stack(alone), atol=2e-5, rtol=0)


def test_gradients_checkpoints_and_a_lora_step(made, sample, tmp_path):
    vla, processor, own = made
    batch = dict(VLACollator(processor)([sample(own, seed) for seed in range(2)]))
    vla(**batch).loss.backward()
    for name, parameter in vla.named_parameters():
        assert not parameter.requires_grad or parameter.grad.abs().sum() > 0, name
    assert vla.backbone.patches.weight.grad.abs().sum() > 0

    vla.save_pretrained(tmp_path / "vla")
    processor.save_pretrained(tmp_path / "vla")
    again, processor = (
        AutoModel.from_pretrained(tmp_path / "vla").eval(),
        AutoProcessor.from_pretrained(tmp_path / "vla"),
    )
    batch = dict(VLACollator(processor)([sample(own, seed) for seed in range(2)]))
    assert torch.equal(again.predict_action_chunk(**observed(batch)), vla.predict_action_chunk(**observed(batch)))

    own_layers = ["action_tokens", "state_encoder", "head.history", "head.decoder"]
    model = get_peft_model(
        again, LoraConfig(r=2, target_modules=r"backbone\..*(q|v)_proj", modules_to_save=own_layers)
    )
    optimizer = torch.optim.SGD([parameter for parameter in model.parameters() if parameter.requires_grad], lr=0.1)
    for _ in range(2):
        model(**batch).loss.backward()
        optimizer.step()
    expected = model.predict_action_chunk(**observed(batch))
    model.save_pretrained(tmp_path / "adapter")
    loaded = PeftModel.from_pretrained(AutoModel.from_pretrained(tmp_path / "vla"), tmp_path / "adapter").eval()
    for candidate in (loaded, loaded.merge_and_unload()):
        torch.testing.assert_close(candidate.predict_action_chunk(**observed(batch)), expected, atol=1e-5, rtol=0)


def command(folder: Path, *arguments: object) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-m", "robovlms.cli", *map(str, arguments)],
        cwd=folder,
        env=os.environ
        | {
            "PYTHONPATH": os.pathsep.join(str(Path(path).resolve()) for path in sys.path if path),
            "PYTHONSAFEPATH": "1",
        },
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.slow
def test_every_command_knows_what_it_imports(folder):
    place = folder.parent
    told = ["--import", "patch_vlm"]
    collected = command(
        place, "collect", "--output", "data", "--tasks", "open_drawer", "--episodes", 2, "--processes", 1
    )
    assert collected.returncode == 0, collected.stderr
    training = [
        "train",
        "--backbone",
        "patch-vlm",
        "--dataset",
        "data",
        "--cameras",
        "static",
        "--output_dir",
        "policy",
    ]
    training += ["--max_steps", 1, "--per_device_train_batch_size", 2, "--grounding_loss_weight", 0]
    done = command(place, *training)
    assert done.returncode == 1 and "'patch_vlm'" in done.stderr and "--import" in done.stderr
    done = command(place, *told, *training)
    assert done.returncode == 0, done.stderr
    done = command(place, "doctor", "policy")
    assert done.returncode == 1 and "--import" in done.stdout + done.stderr
    assert len(done.stdout + done.stderr) < 4000, "it does not list every model of transformers"
    done = command(place, "doctor", *told, "policy")  # it may find fault with so short a training, but it loads
    assert "--import" not in done.stdout + done.stderr, done.stdout + done.stderr
    few = [
        "--episodes",
        1,
        "--control-episodes",
        0,
        "--max-steps",
        3,
        "--envs",
        1,
        "--films",
        0,
        "--tasks",
        "open_drawer",
    ]
    done = command(place, "eval", *told, "policy", "--output", "results", *few)
    assert done.returncode == 0 and (place / "results" / "evaluation.json").exists(), done.stderr
    done = command(place, "serve", "--import", "nothing_like_that", "policy")
    assert done.returncode == 1 and "nothing_like_that" in done.stderr
    with subprocess.Popen(
        [sys.executable, "-m", "robovlms.cli", "serve", *told, "policy", "--port", "0"],
        cwd=place, stdout=subprocess.PIPE, text=True,
    ) as server:  # fmt: skip
        assert server.stdout is not None and "policy" in server.stdout.readline()
        server.send_signal(signal.SIGINT)
        assert server.wait(60) == 0
