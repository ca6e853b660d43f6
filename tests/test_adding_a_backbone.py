"""The page on adding a backbone, run as it stands, and the checks of every family on what it adds."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import AutoModel, AutoProcessor, CLIPImageProcessor, PreTrainedTokenizerFast

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
    example, *rest = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert len([line for line in example.splitlines() if line.strip()]) <= 30
    names: dict = {}
    for snippet in (example, *rest):
        exec(snippet, names)
    tokenizer = PreTrainedTokenizerFast.from_pretrained(backbone("llava"))
    config = names["PatchConfig"](
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        image_token_id=tokenizer.convert_tokens_to_ids("<image>"),
        pad_token_id=tokenizer.pad_token_id,
        initializer_range=0.3,
    )
    folder = tmp_path_factory.mktemp("patch_vlm")
    torch.manual_seed(0)
    names["PatchVLM"](config).save_pretrained(folder)
    images = CLIPImageProcessor(size={"height": 28, "width": 28}, do_center_crop=False)
    names["PatchProcessor"](
        images, tokenizer, patch_size=14, num_additional_image_tokens=0, vision_feature_select_strategy="full"
    ).save_pretrained(folder)
    return folder


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
