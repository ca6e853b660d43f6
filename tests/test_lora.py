"""LoRA on the backbone, everything of ours in full: small, complete in its folder, and the same after merging."""

import json

import numpy as np
import pytest
import torch
from peft import LoraConfig, get_peft_model
from safetensors import safe_open
from torch import nn
from transformers import AutoModel, AutoProcessor, Trainer, TrainingArguments

from robovlms import InterleavedContinuousVLA, MLPHeadConfig, OneStepDiscreteVLA, PolicyHeadContinuousVLA
from robovlms import RoboVLMProcessor as Processor
from robovlms.data import VLACollator
from robovlms.processing.backbone_inputs import choose_inputs
from robovlms.testing import SUPPORTED, tiny_backbone
from robovlms.testing.checks import make
from robovlms.testing.families import FAMILIES
from robovlms.testing.families_checked import KNOWN_FAILURES, OPTIONAL_LIBRARIES
from robovlms.training import load_adapter, lora_config, save_adapter, write_scratch_backbone

HEAD = MLPHeadConfig(hidden_size=32, decoder_sizes=(32,))


def discrete(**options):
    def make(backbone, contract):
        agreed = contract(state=None)
        processor = Processor.from_backbone(str(backbone), agreed, action_bins=16, **options)
        return OneStepDiscreteVLA.from_backbone(str(backbone), agreed, **processor.model_fields), processor, agreed

    return make


def continuous(vla_class):
    def make(backbone, contract):
        agreed = contract(window_size=2)
        processor = Processor.from_backbone(str(backbone), agreed)
        return vla_class.from_backbone(str(backbone), agreed, head_config=HEAD), processor, agreed

    return make


MAKE = {
    "policy_head": continuous(PolicyHeadContinuousVLA),
    "interleaved": continuous(InterleavedContinuousVLA),
    "discrete": discrete(),
    "discrete_new_tokens": discrete(action_token_placement="new"),
    "discrete_parallel": discrete(action_token_placement="new", decoding="parallel"),
}


def trained(vla, processor, samples, folder, steps=3, **options):
    model = get_peft_model(vla, lora_config(vla, rank=2, **options))
    arguments = TrainingArguments(
        str(folder), max_steps=steps, per_device_train_batch_size=2, learning_rate=1e-2, remove_unused_columns=False,
        report_to="none", disable_tqdm=True, use_cpu=True, save_strategy="no",
    )  # fmt: skip
    Trainer(model, arguments, train_dataset=samples, data_collator=VLACollator(processor)).train()
    return model.eval()


def outputs(model, processor, samples) -> torch.Tensor:
    inputs = VLACollator(processor)(samples[:3])
    with torch.no_grad():
        result = model(**inputs)
    if result.actions is not None:
        return result.actions
    # those of the action tokens; tiny random models' are as large as 50: in units of the largest
    logits = result.logits[..., list(processor.model_fields["action_token_ids"])]
    return logits / logits.abs().max()


@pytest.mark.parametrize("structure", MAKE)
@pytest.mark.parametrize("family", ["paligemma", "qwen2_vl"])
def test_saved_loaded_and_merged_adapters_act_alike(family, structure, backbone, contract, sample, tmp_path):
    vla, processor, agreed = MAKE[structure](backbone(family), contract)
    samples = [sample(agreed, seed) for seed in range(4)]
    before = {name: value.clone() for name, value in vla.state_dict().items()}
    model = trained(vla, processor, samples, tmp_path)
    wanted = outputs(model, processor, samples)
    for name, parameter in model.get_base_model().backbone.named_parameters():
        assert "lora_" in name or "token_adapter" in name or not parameter.requires_grad, name

    save_adapter(model, tmp_path / "adapter")
    with safe_open(tmp_path / "adapter" / "adapter_model.safetensors", "pt") as file:
        keys = set(file.keys())
    own = ("head.decoder", "head.history", "action_tokens")
    if structure.startswith("discrete"):  # its action tokens are rows of the vocabulary
        own = ("token_adapter",)
        rows = model.get_base_model().get_output_embeddings().token_adapter
        assert not torch.equal(rows.trainable_tokens_delta["default"], rows.trainable_tokens_original["default"])
    assert all(any(part in key for key in keys) for part in own), sorted(keys)
    assert not any("lm_head.weight" in key for key in keys)

    loaded = load_adapter(str(tmp_path / "adapter")).eval()
    assert torch.equal(outputs(loaded, processor, samples), wanted)
    merged = loaded.merge_and_unload()
    if structure.startswith("discrete"):  # PaliGemma's output layer is its word embedding, Qwen2-VL's is another
        tied = merged.get_output_embeddings().weight is merged.get_input_embeddings().weight
        assert tied == (family == "paligemma")
    assert type(merged) is type(vla) and set(merged.state_dict()) == set(before)
    assert torch.allclose(outputs(merged, processor, samples), wanted, atol=1e-5)
    merged.save_pretrained(tmp_path / "merged")
    again = AutoModel.from_pretrained(tmp_path / "merged").eval()
    assert torch.allclose(outputs(again, processor, samples), wanted, atol=1e-5)


def test_two_adapters_on_one_base(backbone, contract, sample, tmp_path):
    _, processor, agreed = MAKE["policy_head"](backbone("smolvlm"), contract)
    samples = [sample(agreed, seed) for seed in range(4)]
    wanted = {}
    for number, name in enumerate(("red", "blue")):
        own, *_ = MAKE["policy_head"](backbone("smolvlm"), contract)
        model = trained(own, processor, samples[2 * number :] + samples, tmp_path, steps=2 + number)
        save_adapter(model, tmp_path / name)
        wanted[name] = outputs(model, processor, samples)
    assert not torch.allclose(wanted["red"], wanted["blue"], atol=1e-3)
    both = load_adapter(str(tmp_path / "red"))
    both.load_adapter(tmp_path / "blue", "blue")
    for adapter, name in (("default", "red"), ("blue", "blue"), ("default", "red")):
        both.set_adapter(adapter)
        assert torch.equal(outputs(both.eval(), processor, samples), wanted[name])


def test_only_the_language_model_and_little_of_it(backbone, contract):
    """On a text tower of more usual proportions than the tiny ones, whose rank is not small beside their width."""
    vla, *_ = MAKE["policy_head"](backbone("smolvlm"), contract)
    config = lora_config(vla, rank=1)
    assert isinstance(config, LoraConfig)
    model = get_peft_model(vla, config)
    adapted = {name.partition(".lora_")[0] for name, _ in model.named_parameters() if ".lora_" in name}
    assert adapted and all(".text_model." in name for name in adapted)
    vision = get_peft_model(MAKE["policy_head"](backbone("smolvlm"), contract)[0], lora_config(vla, vision=True))
    assert any("vision_model" in name and "lora_" in name for name, _ in vision.named_parameters())


def adapted_in_vision(family, folder):
    """Every adapter of both towers gets a gradient, without which two processes would wait for it."""
    call = FAMILIES[family].call
    options = {"max_patches": call["max_patches"]} if "max_patches" in call else None
    made = make(folder, "one_step", choose_inputs(AutoProcessor.from_pretrained(folder)).max_images or 2, options)
    model = get_peft_model(made.vla, lora_config(made.vla, rank=2, vision=True))
    model(**made.inputs(range(2))).loss.backward()
    gradients = {name: parameter.grad for name, parameter in model.named_parameters() if "lora_" in name}
    assert not [name for name, gradient in gradients.items() if gradient is None]
    assert not [name for name, gradient in gradients.items() if "lora_B" in name and not gradient.any()]
    layers = [module for module in made.vla.modules() if hasattr(module, "lora_A")]
    assert all(isinstance(layer.base_layer, nn.Linear) for layer in layers)
    return len(layers), sum(hasattr(module, "lora_A") for module in made.vla.vision_tower.modules())


@pytest.mark.parametrize(
    ("family", "adapters"),
    [("qwen2_vl", (24, 10)), ("qwen2_5_vl", (26, 12)), ("llava", (20, 6)), ("gemma3", (26, 12))],
)
def test_adapters_in_the_vision_tower(family, adapters, backbone):
    """Where the merger of images is called as whole blocks are, and where the last layer is never read."""
    assert adapted_in_vision(family, backbone(family)) == adapters


@pytest.mark.matrix
@pytest.mark.parametrize("family", sorted(set(SUPPORTED) - set(KNOWN_FAILURES)))
def test_adapters_in_the_vision_tower_of_every_family(family, tmp_path):
    if family in OPTIONAL_LIBRARIES:
        pytest.importorskip(OPTIONAL_LIBRARIES[family])
    assert adapted_in_vision(family, tiny_backbone(family, tmp_path / "backbone"))[0] > 4


@pytest.mark.parametrize("variant", [{"use_dora": True}, {"use_rslora": True}])
def test_variants_of_lora(variant, backbone):
    made = make(backbone("smolvlm"), "one_step")
    model = get_peft_model(made.vla, lora_config(made.vla, rank=2, vision=True, **variant))
    inputs, optimizer = made.inputs(range(2)), torch.optim.AdamW(model.parameters(), lr=1e-2)
    losses = []
    for _ in range(4):
        losses.append(model(**inputs).loss)
        losses[-1].backward()
        optimizer.step()
        optimizer.zero_grad()
    assert losses[-1] < losses[0]
    with torch.no_grad():
        adapted = model(**inputs).loss
        torch.testing.assert_close(model.merge_and_unload()(**inputs).loss, adapted, atol=1e-5, rtol=0)


def test_five_percent_of_a_published_size(contract):
    """The published PaliGemma 3B's sizes, on the meta device."""
    from transformers import PaliGemmaConfig

    vlm = PaliGemmaConfig(
        text_config={"model_type": "gemma", "hidden_size": 2048, "intermediate_size": 16384, "num_hidden_layers": 18,
                     "num_attention_heads": 8, "num_key_value_heads": 1, "head_dim": 256, "vocab_size": 257216},
        vision_config={"model_type": "siglip_vision_model", "hidden_size": 1152, "intermediate_size": 4304,
                       "num_hidden_layers": 27, "num_attention_heads": 16, "image_size": 224, "patch_size": 14},
    )  # fmt: skip
    with torch.device("meta"):
        vla = PolicyHeadContinuousVLA(
            PolicyHeadContinuousVLA.config_class.from_contract(contract(window_size=16), vlm)
        )
        model = get_peft_model(vla, lora_config(vla))
    whole = sum(p.numel() for name, p in model.named_parameters() if "backbone" in name and "lora_" not in name)
    trained_of_backbone = sum(p.numel() for name, p in model.named_parameters() if "lora_" in name)
    trained = sum(p.numel() for p in model.parameters() if p.requires_grad)
    assert whole > 2.5e9
    assert trained_of_backbone < 0.01 * whole and trained < 0.05 * whole


def test_qlora(contract, sample, tmp_path):
    """bitsandbytes holds the backbone in 4 bits, also on a CPU; ours stays in float32."""
    pytest.importorskip("bitsandbytes", reason="QLoRA needs bitsandbytes")
    from robovlms.training import four_bit

    agreed = contract(window_size=2)
    # bitsandbytes counts in blocks of 64 inputs
    folder = str(write_scratch_backbone(tmp_path / "backbone", ["push the block"], hidden_size=128))
    processor = Processor.from_backbone(folder, agreed)
    vla = PolicyHeadContinuousVLA.from_backbone(
        folder, agreed, head_config=HEAD, quantization_config=four_bit(torch.float32)
    )
    kinds = {type(module).__name__ for module in vla.text_tower.modules()}
    assert "Linear4bit" in kinds and "Linear4bit" not in {type(module).__name__ for module in vla.head.modules()}
    samples = [sample(agreed, seed) for seed in range(4)]
    model = trained(vla, processor, samples, tmp_path)
    wanted = outputs(model, processor, samples)
    assert np.isfinite(wanted.numpy()).all()
    save_adapter(model, tmp_path / "adapter")
    assert json.loads((tmp_path / "adapter" / "adapter_config.json").read_text())["modules_to_save"]
    loaded = load_adapter(str(tmp_path / "adapter")).eval()
    assert {type(module).__name__ for module in loaded.get_base_model().text_tower.modules()} == {
        type(module).__name__ for module in model.get_base_model().text_tower.modules()
    }
    assert torch.equal(outputs(loaded, processor, samples), wanted)
