"""LoRA on the backbone through PEFT: no token sees the future, adapters save, load and merge exactly, Trainer trains."""

from pathlib import Path

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import AutoModel, Trainer, TrainingArguments

from robovlms import MLPHeadConfig, OneStepContinuousVLA, RoboVLMProcessor
from robovlms.data import VLACollator

FAMILIES = ["paligemma", "kosmos-2", "qwen2_vl", "smolvlm", "llava", "mllama"]
OWN_LAYERS = ["action_tokens", "state_encoder", "head.history", "head.decoder"]


def lora() -> LoraConfig:
    return LoraConfig(
        r=4, target_modules=r"backbone\..*(language|text)_model\..*(q|v)_proj", modules_to_save=OWN_LAYERS
    )


@pytest.fixture
def made(backbone, contract, sample):
    """A VLA in evaluation mode and a batch in which words follow the action token."""

    def make(family: str):
        folder = str(backbone(family))
        vla = OneStepContinuousVLA.from_backbone(
            folder, contract(), head_config=MLPHeadConfig(hidden_size=16, decoder_sizes=(16,))
        )
        processor = RoboVLMProcessor.from_backbone(
            folder, contract(), prompt_template="{images}{instruction}{action} and stop"
        )
        return vla.eval(), processor, dict(VLACollator(processor)([sample(contract(), seed) for seed in range(2)]))

    return make


def check_causality(vla, inputs: dict[str, torch.Tensor]) -> None:
    """Words after an action token do not change its features, the word before it does."""
    ids, marks = inputs["input_ids"], inputs["action_token_mask"]
    word = ids[0][marks[0]][0]  # the ordinary text id under the action token
    after = ~marks & (marks.cumsum(dim=1) > 0) & inputs["attention_mask"].bool()
    before = marks.roll(-1, dims=1) & (marks.cumsum(dim=1) == 0)
    assert after.sum() >= 4 and before.sum() == 2
    with torch.no_grad():
        expected, later, earlier = (
            vla(**inputs | {"input_ids": changed}).action_features
            for changed in (ids, ids.masked_fill(after, word), ids.masked_fill(before, word))
        )
    assert (later - expected).abs().max() < 1e-6
    assert (earlier - expected).abs().max() > 1e-4


@pytest.mark.parametrize("family", FAMILIES)
def test_no_later_token_is_seen_and_adapters_are_exact(family, made, tmp_path):
    vla, _, batch = made(family)
    check_causality(vla, batch)
    vla.save_pretrained(tmp_path / "base")
    check_causality(AutoModel.from_pretrained(tmp_path / "base").eval(), batch)
    untrained = vla(**batch).loss.item()

    model = get_peft_model(vla, lora())
    trainable = [name for name, parameter in model.named_parameters() if parameter.requires_grad]
    assert all(("lora_" in name) == ("backbone." in name) for name in trainable)
    own = [name for name in trainable if "lora_" not in name]
    assert {layer for layer in OWN_LAYERS for name in own if f".{layer}." in name} == set(OWN_LAYERS)
    optimizer = torch.optim.Adam([p for p in model.parameters() if p.requires_grad], lr=3e-3)
    for _ in range(2):  # in the first step LoRA's A gets no gradient: B is zero
        optimizer.zero_grad()
        model(**batch).loss.backward()
        assert all(parameter.grad is not None for parameter in model.parameters() if parameter.requires_grad)
        optimizer.step()
    check_causality(model, batch)
    with torch.no_grad():
        expected = model(**batch)
    assert abs(expected.loss.item() - untrained) > 1e-4
    observed = {name: value for name, value in batch.items() if name not in ("actions", "labels")}
    torch.testing.assert_close(model.predict_action_chunk(**observed), expected.actions[:, -1], atol=1e-5, rtol=0)

    model.save_pretrained(tmp_path / "adapter")
    loaded = PeftModel.from_pretrained(AutoModel.from_pretrained(tmp_path / "base"), tmp_path / "adapter").eval()
    check_causality(loaded, batch)
    with torch.no_grad():
        torch.testing.assert_close(loaded(**batch).actions, expected.actions, atol=1e-5, rtol=0)

    merged = loaded.merge_and_unload()
    assert type(merged) is OneStepContinuousVLA
    merged.save_pretrained(tmp_path / "merged")
    for candidate in (merged, AutoModel.from_pretrained(tmp_path / "merged").eval()):
        check_causality(candidate, batch)
        with torch.no_grad():
            torch.testing.assert_close(candidate(**batch).actions, expected.actions, atol=1e-5, rtol=0)


def test_trainer_trains_saves_and_resumes_an_adapter(made, contract, sample, tmp_path):
    vla, processor, batch = made("smolvlm")
    vla.save_pretrained(tmp_path / "base")
    samples = [sample(contract(), seed) for seed in range(8)]

    def trainer(steps: int, folder: Path) -> Trainer:
        torch.manual_seed(0)
        model = get_peft_model(AutoModel.from_pretrained(tmp_path / "base"), lora())
        arguments = TrainingArguments(
            str(folder),
            max_steps=steps,
            learning_rate=1e-3,
            lr_scheduler_type="constant",
            per_device_train_batch_size=2,
            gradient_accumulation_steps=2,
            gradient_checkpointing=True,
            save_steps=3,
            remove_unused_columns=False,
            report_to="none",
            disable_tqdm=True,
            use_cpu=True,
        )
        return Trainer(model, arguments, train_dataset=samples, data_collator=VLACollator(processor))

    straight = trainer(6, tmp_path / "straight")
    straight.train()
    resumed = trainer(6, tmp_path / "resumed")
    resumed.train(resume_from_checkpoint=str(tmp_path / "straight" / "checkpoint-3"))
    checkpoint = tmp_path / "straight" / "checkpoint-6"
    assert not (checkpoint / "model.safetensors").exists()  # the adapter alone
    saved = PeftModel.from_pretrained(AutoModel.from_pretrained(tmp_path / "base"), checkpoint)
    with torch.no_grad():
        expected, *others = (model.eval()(**batch).actions for model in (straight.model, resumed.model, saved))
    for other in others:
        torch.testing.assert_close(other, expected, atol=1e-5, rtol=0)
