"""Publishing and loading over HTTP, against a Hub of the tests' own."""

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml
from hub_server import TOKEN, LocalHub
from huggingface_hub import ModelCard
from peft import LoraConfig, get_peft_model

from robovlms import PolicyHeadContinuousVLA, RoboVLMProcessor
from robovlms.data import LeRobotWriter
from robovlms.evaluation import EvaluationRecord, Score

ACTION = """
import sys
import numpy as np, torch
from robovlms.serving import random_observation

def action(model, processor):
    images = {name: pixels[None] for name, pixels in random_observation(processor.contract())["images"].items()}
    window = model.config.window_size
    images = {name: np.repeat(pixels, window, 0) for name, pixels in images.items()}
    state = np.zeros((1, window, processor.contract().state_dim))
    return model.eval().predict_action(**processor(images, "open", state=state)).double().sum().item()
"""


@pytest.fixture
def hub():
    with LocalHub() as running:
        yield running


def process(hub, home: Path, *arguments: str, **options) -> subprocess.CompletedProcess:
    environment = {**os.environ, **hub.environment(home, **options)}
    if options.get("token", "") is None:
        environment.pop("HF_TOKEN", None)
    command = [sys.executable, *map(str, arguments)]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=300)


def robovlms(hub, home: Path, *arguments: str, **options) -> subprocess.CompletedProcess:
    return process(hub, home, "-m", "robovlms.cli", *arguments, **options)


def record_of(contract) -> EvaluationRecord:
    return EvaluationRecord(
        success_rate=0.75,
        successes=9,
        episodes=12,
        interval=[0.468, 0.911],
        per_task={"lift": Score.of(5, 6), "push": Score.of(4, 6)},
        minutes=1.0,
        controls={},
        suite="tabletop",
        suite_version="1",
        seed=1000000,
        termination="an episode ends at the first success or at the step limit",
        n_action_steps=1,
        contract_hash=contract.hash,
    )


@pytest.fixture
def checkpoint(backbone, contract, tmp_path) -> Path:
    """A checkpoint with results, a curve and a film, and what a training run leaves beside it."""
    folder, agreed = tmp_path / "my_vla", contract(window_size=2)
    PolicyHeadContinuousVLA.from_backbone(str(backbone("smolvlm")), agreed).save_pretrained(
        folder, max_shard_size="2MB"
    )
    RoboVLMProcessor.from_backbone(str(backbone("smolvlm")), agreed).save_pretrained(folder)
    record_of(agreed).save(folder / "evaluation.json")
    logs = [{"step": step, "loss": 1.0 / step, "learning_rate": 1e-3, "epoch": 0.1} for step in range(1, 20)]
    state = {"global_step": 19, "train_batch_size": 4, "epoch": 0.5, "log_history": logs}
    (folder / "trainer_state.json").write_text(json.dumps(state))
    (folder / "videos").mkdir()
    (folder / "videos" / "rollout.mp4").write_bytes(b"film")
    (folder / "training_args.bin").write_bytes(b"hf_" + b"s" * 40)
    (folder / "checkpoint-10").mkdir()
    (folder / "checkpoint-10" / "config.json").write_text("{}")
    return folder


def test_push_in_one_commit_and_load_by_revision(hub, checkpoint, tmp_path):
    done = robovlms(hub, tmp_path / "home", "push", checkpoint, "me/my_vla", "--license", "apache-2.0")
    assert done.returncode == 0, done.stderr[-3000:]
    first = re.search(r"revision='([0-9a-f]{40})'", done.stdout)[1]
    repository = hub.repositories["models", "me/my_vla"]
    assert len(repository.commits) == 2  # an empty first one, and everything
    files = hub.files("me/my_vla")
    wanted = {"config.json", "processor_config.json", "README.md", "evaluation.json", "videos/rollout.mp4"}
    wanted |= {".eval_results/tabletop.yaml", "pictures/losses.png", "checkpoint_record.json", "policy_head.py"}
    assert wanted <= files.keys() and not any("training_args" in name or "checkpoint-" in name for name in files)
    assert sum(name.endswith(".safetensors") for name in files) > 1
    for name, content in files.items():
        for secret in (str(tmp_path), str(Path.home()) + "/", "hf_sss", hub.url):
            assert secret.encode() not in content, (name, secret)

    script = ACTION + "\n".join(
        [
            "import robovlms",
            "from transformers import AutoModel, AutoProcessor",
            "load = {'pretrained_model_name_or_path': sys.argv[1]} | ({'revision': sys.argv[2]} if sys.argv[2] else {})",
            "print('ACTION', action(AutoModel.from_pretrained(**load), AutoProcessor.from_pretrained(**load)))",
        ]
    )

    def action(name: str, revision: str = "", **options) -> str:
        done = process(hub, tmp_path / "home", "-c", script, name, revision, **options)
        assert done.returncode == 0, done.stderr[-3000:]
        return re.search(r"ACTION (\S+)", done.stdout)[1]

    ours = action(str(checkpoint))
    assert action("me/my_vla") == ours
    # A second version: the first stays where its revision points.
    import torch

    from robovlms import PolicyHeadContinuousVLA

    vla = PolicyHeadContinuousVLA.from_pretrained(checkpoint)
    processor = RoboVLMProcessor.from_pretrained(checkpoint)
    with torch.no_grad():
        vla.action_tokens.weight.add_(0.5)
    vla.save_pretrained(checkpoint)
    processor.save_pretrained(checkpoint)
    assert robovlms(hub, tmp_path / "home", "push", checkpoint, "me/my_vla").returncode == 0
    assert sum(name.endswith(".safetensors") for name in hub.files("me/my_vla")) == 1  # no stale shards
    assert action("me/my_vla") != ours
    assert action("me/my_vla", first) == ours
    examined = robovlms(hub, tmp_path / "home", "doctor", "me/my_vla", "--revision", first)
    assert examined.returncode == 0, examined.stdout


def test_interrupted_push_goes_on_where_it_was(hub, checkpoint, tmp_path):
    hub.hold_after = 2
    environment = {**os.environ, **hub.environment(tmp_path / "home")}
    command = [sys.executable, "-m", "robovlms.cli", "push", str(checkpoint), "me/my_vla"]
    running = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert hub.held.wait(120)
    running.send_signal(signal.SIGKILL)
    running.communicate()
    assert len(hub.uploads) == hub.hold_after and not hub.files("me/my_vla")  # nothing is half published
    before = list(hub.uploads)
    hub.hold_after = None
    hub.released.set()
    done = robovlms(hub, tmp_path / "home", "push", checkpoint, "me/my_vla")
    assert done.returncode == 0, done.stderr[-3000:]
    assert len(hub.uploads) > len(before) and len(set(hub.uploads)) == len(hub.uploads)  # none twice
    for file in checkpoint.glob("*.safetensors"):
        assert hub.files("me/my_vla")[file.name] == file.read_bytes()


def test_private_repositories_need_a_token(hub, checkpoint, tmp_path):
    done = robovlms(hub, tmp_path / "home", "push", checkpoint, "me/secret", token=None)
    assert done.returncode == 1 and "hf auth login" in done.stderr and "Traceback" not in done.stderr
    assert robovlms(hub, tmp_path / "home", "push", checkpoint, "me/secret", "--private").returncode == 0
    assert hub.repositories["models", "me/secret"].private
    assert robovlms(hub, tmp_path / "home", "doctor", "me/secret").returncode == 0
    done = robovlms(hub, tmp_path / "elsewhere", "doctor", "me/secret", token=None)
    assert done.returncode == 1 and "hf auth login" in done.stderr and "Traceback" not in done.stderr


def test_adapter_and_dataset_round_trips(hub, checkpoint, backbone, contract, tmp_path):
    assert robovlms(hub, tmp_path / "home", "push", checkpoint, "me/base").returncode == 0
    vla = PolicyHeadContinuousVLA.from_pretrained(checkpoint)
    targets = LoraConfig(r=2, target_modules=r".*text_model.*q_proj", modules_to_save=["head", "action_tokens"])
    adapted = get_peft_model(vla, targets)
    adapter = tmp_path / "my_adapter"
    adapted.save_pretrained(adapter, save_embedding_layers=False)
    vla.config.save_pretrained(adapter)
    RoboVLMProcessor.from_pretrained(checkpoint).save_pretrained(adapter)
    refused = robovlms(hub, tmp_path / "home", "push", adapter, "me/adapter")
    assert refused.returncode == 1 and "--base-model" in refused.stderr
    done = robovlms(hub, tmp_path / "home", "push", adapter, "me/adapter", "--base-model", "me/base")
    assert done.returncode == 0, done.stderr[-3000:]
    files = hub.files("me/adapter")
    assert "adapter_model.safetensors" in files and "model.safetensors" not in files
    card = ModelCard(files["README.md"].decode())
    assert card.data.base_model == "me/base" and card.data.base_model_relation == "adapter"
    assert robovlms(hub, tmp_path / "home", "doctor", "me/adapter").returncode == 0

    folder = tmp_path / "demonstrations"
    with LeRobotWriter(folder, 10, "arm") as writer:
        writer.add_episode({"images": {"static": np.zeros((6, 64, 64, 3), np.uint8)}, "action": np.ones((6, 2))}, "go")
    done = robovlms(hub, tmp_path / "home", "push", folder, "me/demonstrations")
    assert done.returncode == 0, done.stderr[-3000:]
    script = (
        "from robovlms.data import LeRobotDataset; d = LeRobotDataset('me/demonstrations'); print(len(d), d.origin)"
    )
    done = process(hub, tmp_path / "home", "-c", script)
    assert done.stdout.startswith("6 me/demonstrations@"), done.stderr[-2000:]


def test_the_models_own_push(hub, checkpoint, tmp_path):
    """`vla.push_to_hub` and `processor.push_to_hub`, the one after the other, as transformers' users do it."""
    script = """
import sys
import robovlms
from transformers import AutoModel, AutoProcessor
AutoModel.from_pretrained(sys.argv[1]).push_to_hub("me/pushed")
AutoProcessor.from_pretrained(sys.argv[1]).push_to_hub("me/pushed")
policy = robovlms.Policy.from_pretrained("me/pushed")
"""
    done = process(hub, tmp_path / "home", "-c", script, checkpoint)
    assert done.returncode == 0, done.stderr[-3000:]
    files = hub.files("me/pushed")
    assert {"config.json", "model.safetensors", "processor_config.json", "processing_robovlms.py"} <= files.keys()
    card = ModelCard(files["README.md"].decode())
    assert card.data.pipeline_tag == "robotics" and "Action contract of `arm`" in card.text


def test_the_card_tells_what_the_files_say(checkpoint, contract):
    from robovlms.cli import main

    assert main(["card", str(checkpoint), "--repo-id", "me/my_vla", "--license", "apache-2.0"]) == 0
    card = ModelCard.load(checkpoint / "README.md")
    agreed = contract(window_size=2)
    assert card.data.pipeline_tag == "robotics" and card.data.license == "apache-2.0"
    (result,) = card.data.eval_results
    assert result.metric_value == 0.75 and result.dataset_args["interval_95"] == [0.468, 0.911]
    for words in (
        agreed.hash,
        "75.0 %",
        "46.8 % to 91.1 %",
        "seeds from 1000000",
        "lstm head over 2 frames",
        "losses.png",
    ):
        assert words in card.text, words
    assert '<video src="videos/rollout.mp4"' in card.text and 'Policy.from_pretrained("me/my_vla")' in card.text
    entries = yaml.safe_load((checkpoint / ".eval_results" / "tabletop.yaml").read_text())
    assert {entry["dataset"]["task_id"]: entry["value"] for entry in entries}["success_rate"] == 0.75
    # A card that somebody has made their own stays.
    own = (checkpoint / "README.md").read_text().replace("<!-- Written by", "<!-- by") + "\nMine.\n"
    (checkpoint / "README.md").write_text(own)
    assert main(["card", str(checkpoint)]) == 0 and (checkpoint / "README.md").read_text() == own
    # Numbers of another contract are refused.
    record = json.loads((checkpoint / "evaluation.json").read_text()) | {"contract_hash": "0" * 12}
    (checkpoint / "evaluation.json").write_text(json.dumps(record))
    (checkpoint / "README.md").unlink()
    assert main(["card", str(checkpoint)]) == 1


def test_what_must_not_leave_stops_the_push(hub, checkpoint, tmp_path, monkeypatch):
    from robovlms.publishing.push import NotPublishable, push

    config = json.loads((checkpoint / "config.json").read_text())
    for value, words in (("/home/me/data", "a path"), ("hf_" + "a" * 34, "access token")):
        (checkpoint / "config.json").write_text(json.dumps(config | {"note": value}))
        with pytest.raises(NotPublishable, match=words):
            push(checkpoint, "me/leak")
    (checkpoint / "config.json").write_text(json.dumps(config))
    (checkpoint / "pytorch_model.bin").write_bytes(b"")
    with pytest.raises(NotPublishable, match="pickles"):
        push(checkpoint, "me/leak")
    assert not hub.log


def test_trainer_pushes_what_a_reader_needs(hub, backbone, contract, tmp_path):
    """The token is passed as an argument, which the plain Trainer would publish."""
    script = """
import sys
sys.path.insert(0, sys.argv[3])
from conftest import example_contract, example_sample
from transformers import TrainingArguments
from robovlms import PolicyHeadContinuousVLA, RoboVLMProcessor
from robovlms.data import VLACollator
from robovlms.training import VLATrainer
contract = example_contract(window_size=2)
processor = RoboVLMProcessor.from_backbone(sys.argv[1], contract)
arguments = TrainingArguments(sys.argv[2], max_steps=2, save_steps=1, per_device_train_batch_size=2, use_cpu=True,
    remove_unused_columns=False, report_to="none", push_to_hub=True, hub_model_id="me/trained", logging_steps=1,
    hub_token=sys.argv[4])
trainer = VLATrainer(PolicyHeadContinuousVLA.from_backbone(sys.argv[1], contract), arguments,
    train_dataset=[example_sample(contract, seed) for seed in range(4)], data_collator=VLACollator(processor),
    processing_class=processor)
trainer.train()
trainer.push_to_hub(license="mit")
"""
    arguments = (backbone("smolvlm"), tmp_path / "run", Path(__file__).parent, TOKEN)
    done = process(hub, tmp_path / "home", "-c", script, *arguments)
    assert done.returncode == 0, done.stderr[-3000:]
    messages = hub.repositories["models", "me/trained"].messages
    assert messages[1:] == ["Training in progress, step 1", "Training in progress, step 2", "End of training"]
    files = hub.files("me/trained")
    wanted = {"model.safetensors", "processor_config.json", "policy_head.py", "training_recipe.json"}
    assert wanted <= files.keys() and "training_args.bin" not in files
    for name, content in files.items():
        assert TOKEN.encode() not in content and str(tmp_path).encode() not in content, name
    card = ModelCard(files["README.md"].decode())
    assert card.data.license == "mit" and "losses.png" in card.text and "learning rate" in card.text
