"""Dtypes, attention implementations, gradient checkpointing, sharded and low-memory loading, placement, quantisation."""

import importlib.util
import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from transformers import AutoModel, BitsAndBytesConfig, GPTQConfig, TorchAoConfig

from robovlms import (
    InterleavedContinuousVLA,
    LSTMHeadConfig,
    MLPHeadConfig,
    OneStepContinuousVLA,
    PolicyHeadContinuousVLA,
    RoboVLMProcessor,
)
from robovlms.data import VLACollator

MLP = MLPHeadConfig(hidden_size=16, decoder_sizes=(16,))
LSTM = LSTMHeadConfig(hidden_size=16, num_layers=1, decoder_sizes=())


@pytest.fixture
def batch_for(backbone, contract, sample):
    """The processor's output for two samples, labels included."""

    def batch(family: str, window: int = 1) -> dict[str, torch.Tensor]:
        own = contract(window_size=window)
        processor = RoboVLMProcessor.from_backbone(str(backbone(family)), own)
        return dict(VLACollator(processor)([sample(own, seed) for seed in range(2)]))

    return batch


@pytest.fixture
def one_step(backbone, contract):
    def load(family: str = "llava", **options) -> OneStepContinuousVLA:
        torch.manual_seed(0)  # the new layers are always the same
        return OneStepContinuousVLA.from_backbone(str(backbone(family)), contract(), head_config=MLP, **options).eval()

    return load


def observed(batch: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name: value for name, value in batch.items() if name not in ("actions", "labels")}


def dtypes(vla) -> set[tuple[bool, torch.dtype]]:
    """(of the backbone?, dtype) of all parameters."""
    return {(name.startswith("backbone."), parameter.dtype) for name, parameter in vla.named_parameters()}


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("family", ["llava", "smolvlm"])
def test_heads_are_float32_over_a_backbone_of_any_dtype(family, dtype, backbone, contract, batch_for, tmp_path):
    own = contract(window_size=2)
    vla = PolicyHeadContinuousVLA.from_backbone(str(backbone(family)), own, head_config=LSTM, dtype=dtype).eval()
    vla.save_pretrained(tmp_path)
    again = AutoModel.from_pretrained(tmp_path).eval()
    cast = AutoModel.from_pretrained(tmp_path, dtype=torch.bfloat16)
    assert dtypes(vla) == dtypes(again) == {(True, dtype), (False, torch.float32)}
    assert dtypes(cast) == {(True, torch.bfloat16), (False, torch.float32)}

    batch = batch_for(family, window=2)
    actions = vla.predict_action_chunk(**observed(batch))
    assert actions.dtype == torch.float32 and torch.equal(again.predict_action_chunk(**observed(batch)), actions)
    exact = PolicyHeadContinuousVLA.from_pretrained(tmp_path, dtype=torch.float32).eval()
    torch.testing.assert_close(actions, exact.predict_action_chunk(**observed(batch)), atol=0.05, rtol=0)
    loss = vla(**batch).loss
    loss.backward()
    assert loss.dtype == torch.float32 and vla.action_tokens.weight.grad.abs().sum() > 0


def test_a_backbone_published_in_half_precision_keeps_it_where_asked(backbone, contract, tmp_path):
    shutil.copytree(backbone("smolvlm"), tmp_path / "half")
    weights = {name: value.bfloat16() for name, value in load_file(tmp_path / "half" / "model.safetensors").items()}
    save_file(weights, tmp_path / "half" / "model.safetensors", metadata={"format": "pt"})
    config = json.loads((tmp_path / "half" / "config.json").read_text())
    (tmp_path / "half" / "config.json").write_text(json.dumps(config | {"dtype": "bfloat16"}))
    for dtype, kept in (("auto", torch.bfloat16), (None, torch.float32)):
        vla = OneStepContinuousVLA.from_backbone(str(tmp_path / "half"), contract(), head_config=MLP, dtype=dtype)
        assert dtypes(vla) == {(True, kept), (False, torch.float32)}


@pytest.mark.parametrize("family", ["llava", "qwen2_vl", "mllama"])
def test_attention_implementation_reaches_every_level(family, one_step, batch_for, tmp_path):
    vlas = {name: one_step(family, attn_implementation=name) for name in ("eager", "sdpa")}
    for name, vla in vlas.items():
        configs = [vla.config, vla.backbone.config, vla.config.get_text_config()]
        assert [config._attn_implementation for config in configs] == [name] * 3
    batch = observed(batch_for(family))
    outputs = [vla(**batch).action_features for vla in vlas.values()]
    torch.testing.assert_close(*outputs, atol=1e-5, rtol=0)
    vlas["sdpa"].save_pretrained(tmp_path)
    loaded = AutoModel.from_pretrained(tmp_path, attn_implementation="eager")
    assert loaded.config.get_text_config()._attn_implementation == "eager"


@pytest.mark.parametrize("frozen", [False, True])
@pytest.mark.parametrize("family", ["llava", "paligemma", "kosmos-2"])
def test_gradient_checkpointing_changes_no_gradient(family, frozen, one_step, batch_for):
    batch, found = batch_for(family), []
    for is_checkpointing in (False, True):
        vla = one_step(family).train()
        vla.backbone.requires_grad_(not frozen)
        vla.freeze_unused()
        if is_checkpointing:
            vla.gradient_checkpointing_enable()
            layers = [m for m in vla.backbone.modules() if getattr(m, "gradient_checkpointing", False)]
            assert layers
        calls = count_calls(vla)
        torch.manual_seed(1)  # dropout
        vla(**batch).loss.backward()
        found.append((sum(calls.values()), {n: p.grad for n, p in vla.named_parameters() if p.grad is not None}))
    (once, plain), (again, checkpointed) = found
    assert again > once  # layers did run a second time, in the backward pass
    assert set(plain) == set(checkpointed) and "action_tokens.weight" in plain
    assert any(name.startswith("backbone.") for name in plain) != frozen
    for name, gradient in plain.items():
        torch.testing.assert_close(checkpointed[name], gradient, atol=1e-6, rtol=1e-4)


def count_calls(vla) -> dict[str, int]:
    """Counts, while the model runs, how often each attention layer of the language model does."""
    calls: dict[str, int] = {}
    for name, module in vla.text_tower.named_modules():
        if name.endswith("self_attn"):

            def count(*_, name: str = name) -> None:
                calls[name] = calls.get(name, 0) + 1

            module.register_forward_hook(count)
    assert any(name.endswith("self_attn") for name, _ in vla.text_tower.named_modules())
    return calls


def test_sharded_checkpoints_keep_the_published_names(one_step, backbone, batch_for, tmp_path):
    vla = one_step()
    vla.save_pretrained(tmp_path, max_shard_size="100KB")
    shards = sorted(tmp_path.glob("model-*.safetensors"))
    assert len(shards) > 2
    index = json.loads((tmp_path / "model.safetensors.index.json").read_text())["weight_map"]
    published = {f"backbone.{name}" for name in load_file(backbone("llava") / "model.safetensors")}
    assert {name for name in index if name.startswith("backbone.")} == published
    assert set(index) == {name for shard in shards for name in safe_open(shard, "pt").keys()}  # noqa: SIM118
    batch = observed(batch_for("llava"))
    loaded = AutoModel.from_pretrained(tmp_path).eval()
    assert torch.equal(loaded.predict_action_chunk(**batch), vla.predict_action_chunk(**batch))


@pytest.mark.parametrize("vla_class", [OneStepContinuousVLA, InterleavedContinuousVLA, PolicyHeadContinuousVLA])
def test_layers_made_on_the_meta_device_are_initialised(vla_class, backbone, contract, monkeypatch):
    """`from_pretrained` allocates nothing before the weights are there: what no file holds must be drawn then."""
    seen = []
    create = vla_class.__init__

    def watched(self, *args, **kwargs):
        create(self, *args, **kwargs)
        seen.append({parameter.device.type for parameter in self.parameters()})

    monkeypatch.setattr(vla_class, "__init__", watched)
    window = 1 if vla_class is OneStepContinuousVLA else 2
    torch.manual_seed(0)
    vla = vla_class.from_backbone(str(backbone("llava")), contract(window_size=window))
    assert seen == [{"meta"}]
    torch.manual_seed(0)
    direct = vla_class(vla.config)  # every layer drawn on the CPU
    for (name, loaded), (_, drawn) in zip(vla.named_parameters(), direct.named_parameters(), strict=True):
        assert loaded.device.type == "cpu" and loaded.isfinite().all(), name
        if not name.startswith(("backbone.", "action_tokens")) and loaded.numel() > 64:
            assert loaded.std().item() == pytest.approx(drawn.std().item(), rel=0.3), name
    for (name, loaded), (_, drawn) in zip(vla.named_buffers(), direct.named_buffers(), strict=True):
        assert torch.equal(loaded, drawn), name


@pytest.mark.parametrize("device_map", [{"": "cpu"}, "auto", "cpu"])
def test_device_maps(device_map, one_step, batch_for, tmp_path):
    pinned, plain = one_step(device_map=device_map), one_step()
    batch = observed(batch_for("llava"))
    assert torch.equal(pinned.predict_action_chunk(**batch), plain.predict_action_chunk(**batch))
    plain.save_pretrained(tmp_path)
    loaded = AutoModel.from_pretrained(tmp_path, device_map=device_map).eval()
    assert torch.equal(loaded.predict_action_chunk(**batch), plain.predict_action_chunk(**batch))


# Quantised backbones.


def torchao_int8() -> TorchAoConfig:
    pytest.importorskip("torchao")
    from torchao.quantization import Int8WeightOnlyConfig

    return TorchAoConfig(Int8WeightOnlyConfig())


def bitsandbytes_4bit() -> BitsAndBytesConfig:
    pytest.importorskip("bitsandbytes")
    # On the CPU it multiplies by 4-bit weights only where 64 divides their width.
    narrow = ["model.vision_tower", "model.multi_modal_projector"]
    return BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4", llm_int8_skip_modules=narrow)


@pytest.mark.parametrize(
    ("method", "family"), [(torchao_int8, "llava"), (torchao_int8, "smolvlm"), (bitsandbytes_4bit, "llava")]
)
def test_only_the_backbone_is_quantised(method, family, one_step, batch_for, tmp_path):
    vla = one_step(family, quantization_config=method())
    kinds = {name: type(parameter) for name, parameter in vla.named_parameters()}
    assert {kind for name, kind in kinds.items() if not name.startswith("backbone.")} == {torch.nn.Parameter}
    assert kinds["backbone.lm_head.weight"] is torch.nn.Parameter
    quantised = [name for name, kind in kinds.items() if kind is not torch.nn.Parameter]
    assert any("q_proj" in name and ("language_model" in name or "text_model" in name) for name in quantised)

    batch = batch_for(family)
    output = vla(**batch)
    output.loss.backward()
    assert vla.action_tokens.weight.grad.abs().sum() > 0
    exact = one_step(family)
    difference = output.action_features - exact(**batch).action_features
    assert 0 < difference.std() < 0.5 * output.action_features.std()

    vla.save_pretrained(tmp_path / "vla")
    again = AutoModel.from_pretrained(tmp_path / "vla").eval()
    assert {name: type(parameter) for name, parameter in again.named_parameters()} == kinds
    assert torch.equal(again.predict_action_chunk(**observed(batch)), vla.predict_action_chunk(**observed(batch)))

    exact.save_pretrained(tmp_path / "exact")
    loaded = AutoModel.from_pretrained(tmp_path / "exact", quantization_config=method())
    assert {name: type(parameter) for name, parameter in loaded.named_parameters()} == kinds


def test_layers_that_the_user_leaves_out_are_left_out(one_step):
    config = torchao_int8()
    config.modules_to_not_convert = ["model.vision_tower"]
    vla = one_step(quantization_config=config)
    assert config.modules_to_not_convert == ["model.vision_tower"]
    assert all(type(parameter) is torch.nn.Parameter for parameter in vla.vision_tower.parameters())
    assert any(type(parameter) is not torch.nn.Parameter for parameter in vla.text_tower.parameters())


def test_what_cannot_be_quantised_is_refused(one_step):
    with pytest.raises(ValueError, match="quantization_config: GPTQConfig cannot leave layers out"):
        one_step(quantization_config=GPTQConfig(bits=4))
    missing = {"torchao": {"quant_method": "torchao", "quant_type": "int8_weight_only"}}
    missing["bitsandbytes"] = {"quant_method": "bitsandbytes", "load_in_8bit": True}
    for library, config in missing.items():
        if importlib.util.find_spec(library) is None:
            with pytest.raises(ImportError, match=library):
                one_step(quantization_config=config)


def test_published_bfloat16_weights_learn(tmp_path, monkeypatch, caplog):
    """The README trains so: held in float32, computed in bfloat16; weights that stay bfloat16 are warned of."""
    monkeypatch.syspath_prepend(Path(__file__).parents[1] / "benchmarks")
    import precision

    backbone = precision.write_bfloat16_backbone(tmp_path / "backbone")
    data = precision.write_demonstrations(tmp_path / "demonstrations")
    moved, _ = precision.train(backbone, data, tmp_path, 100, None, {"bf16": True}, adapters=False)
    assert moved >= 0.99 and "rounded away" not in caplog.text
    moved, _ = precision.train(backbone, data, tmp_path, 2, "bfloat16", {}, adapters=False)
    assert moved < 0.9 and "dtype=float32" in caplog.text and "bf16_stochastic_round" in caplog.text
