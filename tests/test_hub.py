"""Publishing and loading over HTTP, against a Hub of the tests' own."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml
from hub_server import TOKEN, LocalHub
from huggingface_hub import DatasetCard, ModelCard

from robovlms import LSTMHeadConfig, PolicyHeadContinuousVLA, RoboVLMProcessor
from robovlms.data import LeRobotWriter
from robovlms.evaluation import EvaluationRecord, Score

HEAD = LSTMHeadConfig(hidden_size=32, num_layers=1, decoder_sizes=(32,))
# What each process that talks to the Hub begins with.
PROLOGUE = """
import io, sys
from contextlib import redirect_stderr
import numpy as np, torch
from transformers import AutoModel, AutoProcessor
from robovlms.cli import main
from robovlms.serving import random_observation

def robovlms(*arguments):
    with redirect_stderr(io.StringIO()) as errors:
        status = main(list(arguments))
    return status, errors.getvalue()

def action(name, **options):
    model, processor = AutoModel.from_pretrained(name, **options), AutoProcessor.from_pretrained(name, **options)
    contract = processor.contract()
    window = model.config.window_size
    images = {key: np.repeat(pixels[None], window, 0) for key, pixels in random_observation(contract)["images"].items()}
    return model.eval().predict_action_chunk(**processor(images, "open", state=np.zeros((1, window, contract.state_dim))))
"""


@pytest.fixture
def hub():
    with LocalHub() as running:
        yield running


def environment(hub, home: Path, token: str | None = TOKEN) -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name != "HF_TOKEN"} | hub.environment(home, token)


def run(hub, home: Path, script: str, *arguments, token: str | None = TOKEN) -> str:
    """Run a script in a process whose Hub is ours; returns what it prints."""
    command = [sys.executable, "-c", PROLOGUE + script, *map(str, arguments)]
    variables = environment(hub, home, token)
    done = subprocess.run(command, env=variables, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


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
        seeds=[1000000],
        termination="an episode ends at the first success or at the step limit",
        n_action_steps=1,
        contract_hash=contract.hash,
    )


@pytest.fixture
def checkpoint(backbone, contract, tmp_path) -> Path:
    """A checkpoint with results, a curve and a film, and what a training run leaves beside it."""
    folder, agreed = tmp_path / "my_vla", contract(window_size=2)
    vla = PolicyHeadContinuousVLA.from_backbone(str(backbone("smolvlm")), agreed, head_config=HEAD)
    vla.save_pretrained(folder, max_shard_size="300KB")
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
    script = """
folder = sys.argv[1]
assert robovlms("push", folder, "me/my_vla", "--license", "apache-2.0")[0] == 0
before = action(folder)
assert torch.equal(action("me/my_vla"), before)
model, processor = AutoModel.from_pretrained(folder), AutoProcessor.from_pretrained(folder)
model.action_tokens.weight.data += 0.5
model.save_pretrained(folder)
processor.save_pretrained(folder)
from huggingface_hub import HfApi
first = HfApi().model_info("me/my_vla").sha
print("FIRST", first)
assert robovlms("push", folder, "me/my_vla")[0] == 0
assert not torch.equal(action("me/my_vla"), before)
assert torch.equal(action("me/my_vla", revision=first), before)
assert robovlms("doctor", "me/my_vla", "--revision", first)[0] == 0
assert robovlms("doctor", "me/my_vla")[0] == 0
"""
    first = re.search(r"FIRST (\w+)", run(hub, tmp_path / "home", script, checkpoint))[1]
    repository = hub.repositories["models", "me/my_vla"]
    assert len(repository.commits) == 3  # an empty one, and one per push
    files = hub.files("me/my_vla", revision=first)
    wanted = {"config.json", "processor_config.json", "README.md", "evaluation.json", "videos/rollout.mp4"}
    wanted |= {".eval_results/tabletop.yaml", "pictures/losses.png", "checkpoint_record.json", "modeling_robovlms.py"}
    assert wanted <= files.keys() and not any("training_args" in name or "checkpoint-" in name for name in files)
    assert sum(name.endswith(".safetensors") for name in files) > 1
    assert sum(name.endswith(".safetensors") for name in hub.files("me/my_vla")) == 1  # no stale shards
    for name, content in files.items():
        for secret in (str(tmp_path), str(Path.home()) + "/", "hf_sss", hub.url, TOKEN):
            assert secret.encode() not in content, (name, secret)


def test_interrupted_push_goes_on_where_it_was(hub, checkpoint, tmp_path):
    hub.hold_after = 2
    push = "assert robovlms('push', sys.argv[1], 'me/my_vla')[0] == 0"
    command = [sys.executable, "-c", PROLOGUE + push, str(checkpoint)]
    variables = environment(hub, tmp_path / "home")
    running = subprocess.Popen(command, env=variables, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    assert hub.held.wait(120)
    running.kill()
    running.wait()
    assert len(hub.uploads) == hub.hold_after and not hub.files("me/my_vla")  # nothing is half published
    hub.hold_after = None
    hub.released.set()
    run(hub, tmp_path / "home", push, checkpoint)
    assert len(hub.uploads) > 2 and len(set(hub.uploads)) == len(hub.uploads)  # none twice
    for file in checkpoint.glob("*.safetensors"):
        assert hub.files("me/my_vla")[file.name] == file.read_bytes()


def test_private_repositories_need_a_token(hub, checkpoint, tmp_path):
    run(
        hub,
        tmp_path / "home",
        "assert robovlms('push', sys.argv[1], 'me/secret', '--private')[0] == 0\n"
        "assert robovlms('doctor', 'me/secret')[0] == 0",
        checkpoint,
    )
    assert hub.repositories["models", "me/secret"].private
    script = """
for arguments in (("push", sys.argv[1], "me/other"), ("doctor", "me/secret")):
    status, errors = robovlms(*arguments)
    assert status == 1 and "hf auth login" in errors and "Traceback" not in errors, errors
"""
    run(hub, tmp_path / "elsewhere", script, checkpoint, token=None)


def test_adapter_and_dataset_round_trips(hub, checkpoint, tmp_path):
    adapter, folder = tmp_path / "my_adapter", tmp_path / "demonstrations"
    with LeRobotWriter(folder, 10, "arm") as writer:
        writer.add_episode({"images": {"static": np.zeros((6, 64, 64, 3), np.uint8)}, "action": np.ones((6, 2))}, "go")
    script = """
from peft import get_peft_model
from robovlms.data import LeRobotDataset
from robovlms.checkpoint import load_checkpoint
from robovlms.training import lora_config, save_adapter
base, adapter, demonstrations = sys.argv[1:]
assert robovlms("push", base, "me/base")[0] == 0
vla = AutoModel.from_pretrained(base)
adapted = get_peft_model(vla, lora_config(vla, rank=2, init_lora_weights=False))
save_adapter(adapted, adapter)
AutoProcessor.from_pretrained(base).save_pretrained(adapter)
status, errors = robovlms("push", adapter, "me/adapter")
assert status == 1 and "--base-model" in errors, errors
assert robovlms("push", adapter, "me/adapter", "--base-model", "me/base")[0] == 0
loaded = dict(load_checkpoint("me/adapter")[0].named_parameters())
assert all(torch.equal(value, loaded[name]) for name, value in adapted.named_parameters())
assert robovlms("doctor", "me/adapter")[0] == 0

assert robovlms("push", demonstrations, "me/demonstrations")[0] == 0
dataset = LeRobotDataset("me/demonstrations")
print(len(dataset), dataset.origin)
"""
    assert "6 me/demonstrations@" in run(hub, tmp_path / "home", script, checkpoint, adapter, folder)
    files = hub.files("me/adapter")
    assert "adapter_model.safetensors" in files and "model.safetensors" not in files
    card = ModelCard(files["README.md"].decode())
    assert card.data.base_model == "me/base" and card.data.base_model_relation == "adapter"
    card = DatasetCard(hub.files("me/demonstrations", "datasets")["README.md"].decode())
    assert card.data.task_categories == ["robotics"] and "1 episodes, 6 frames" in card.text


def test_the_models_own_push(hub, checkpoint, tmp_path):
    """`vla.push_to_hub` and `processor.push_to_hub`, the one after the other, as transformers' users do it."""
    script = """
AutoModel.from_pretrained(sys.argv[1]).push_to_hub("me/pushed")
AutoProcessor.from_pretrained(sys.argv[1]).push_to_hub("me/pushed")
assert torch.allclose(action("me/pushed"), action(sys.argv[1]), atol=1e-5)  # one file instead of shards
"""
    run(hub, tmp_path / "home", script, checkpoint)
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


def test_the_card_of_a_short_run_has_the_datasets_words_and_no_curve(checkpoint):
    """A run that ended before its first log."""
    from robovlms.cli import main

    state = {"global_step": 3, "epoch": 0.1, "train_batch_size": 4, "log_history": [{"step": 3, "train_loss": 1.0}]}
    (checkpoint / "trainer_state.json").write_text(json.dumps(state))
    assert main(["card", str(checkpoint)]) == 0
    text = (checkpoint / "README.md").read_text()
    assert "losses.png" not in text and not (checkpoint / "pictures" / "losses.png").exists()
    assert '"state": state}, instruction)' in text  # nobody knows one
    (checkpoint / "training_recipe.json").write_text(json.dumps({"seed": 0, "instruction": 'say "open"'}))
    assert main(["card", str(checkpoint)]) == 0
    assert r'"state": state}, "say \"open\"")' in (checkpoint / "README.md").read_text()


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
sys.path.insert(0, sys.argv[3])
from conftest import example_contract, example_sample
from transformers import TrainingArguments
from robovlms import LSTMHeadConfig, PolicyHeadContinuousVLA, RoboVLMProcessor
from robovlms.data import VLACollator
from robovlms.training import VLATrainer
contract = example_contract(window_size=2)
head = {"type": "lstm", "hidden_size": 32, "num_layers": 1, "decoder_sizes": [32]}
processor = RoboVLMProcessor.from_backbone(sys.argv[1], contract)
arguments = TrainingArguments(sys.argv[2], max_steps=2, save_steps=1, per_device_train_batch_size=2, use_cpu=True,
    remove_unused_columns=False, report_to="none", push_to_hub=True, hub_model_id="me/trained", logging_steps=1,
    hub_token=sys.argv[4])
trainer = VLATrainer(PolicyHeadContinuousVLA.from_backbone(sys.argv[1], contract, head_config=head), arguments,
    train_dataset=[example_sample(contract, seed) for seed in range(4)], data_collator=VLACollator(processor),
    processing_class=processor)
trainer.train()
trainer.push_to_hub(license="mit")
"""
    arguments = (backbone("smolvlm"), tmp_path / "run", Path(__file__).parent, TOKEN)
    run(hub, tmp_path / "home", script, *arguments)
    messages = hub.repositories["models", "me/trained"].messages
    assert messages[1:] == ["Training in progress, step 1", "Training in progress, step 2", "End of training"]
    files = hub.files("me/trained")
    wanted = {"model.safetensors", "processor_config.json", "modeling_robovlms.py", "training_recipe.json"}
    assert wanted <= files.keys() and "training_args.bin" not in files
    for name, content in files.items():
        assert TOKEN.encode() not in content and str(tmp_path).encode() not in content, name
    assert json.loads(files["training_recipe.json"])["instruction"] == "open"
    card = ModelCard(files["README.md"].decode())
    assert '"state": state}, "open")' in card.text
    assert card.data.license == "mit" and "losses.png" in card.text and "learning rate" in card.text
