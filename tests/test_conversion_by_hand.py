"""The converter against the original's recipe, written out by hand over the parts of a vision-language model.

Here for what golden cases do not show: every head and history on both backbones, the command, bad input.
"""

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F
from transformers import AutoConfig, AutoModel, AutoModelForImageTextToText, AutoProcessor, GPT2Config, GPT2Model

from robovlms import Policy
from robovlms.cli import main
from robovlms.commands.convert_original import read_checkpoint
from robovlms.modeling_robovlms.conversion_original import convert_original, reference_inputs

FAMILIES = {"kosmos": "kosmos-2", "paligemma": "paligemma"}
PALIGEMMA_NAMES = {
    "model.language_model.": "language_model.model.",
    "lm_head.": "language_model.lm_head.",
    "model.vision_tower.": "vision_tower.vision_model.",
    "model.multi_modal_projector.": "multi_modal_projector.",
}
HEADS = {
    "onestep_fc": {},
    "onestep_fc_fill_zero": {"fill_zero": True, "latent": 2},
    "onestep_fc_text": {"action_space": "down_sample", "token_source": "text", "down_sample": "pooling"},
    "onestep_fc_text_flat": {"action_space": "down_sample", "token_source": "text", "latent": 5},
    "onestep_fc_vision": {
        "action_space": "down_sample",
        "token_source": "vision",
        "latent": 2,
        "down_sample": "pooling",
    },
    "post_fc_w3": {},
    "post_lstm_w3": {"type": "LSTMDecoder", "latent": 2, "num_layers": 2},
    "post_lstm_w3_pool": {"type": "LSTMDecoder", "action_space": "down_sample", "down_sample": "pooling"},
    "post_gpt_w3": {"type": "GPTDecoder"},
    "pre_fc_w3": {"history_type": "pre"},
    "pre_lstm_w3": {"type": "LSTMDecoder", "history_type": "pre", "latent": 2},
    "pre_gpt_w3": {"type": "GPTDecoder", "history_type": "pre"},
    "pre_fc_w1": {"history_type": "pre"},
    "discrete": {"type": "DiscreteDecoder", "action_space": "discrete", "n_bin": 64},
    "discrete_w3": {"type": "DiscreteDecoder", "action_space": "discrete", "n_bin": 64},
}


def release_config(family: str, folder: Path, name: str = "onestep_fc", **head) -> dict:
    """A configuration as the release publishes it; `folder` holds the backbone."""
    return {
        "model": family,
        "act_head": {"type": "FCDecoder", "action_dim": 7, "hidden_size": 16, "latent": 1, "down_sample": "none"}
        | HEADS[name]
        | head,
        "window_size": 3 if "_w3" in name else 1,
        "fwd_pred_next_n": 2,
        "use_hand_rgb": "latent" not in HEADS[name],
        "norm_action": True,
        "norm_min": -0.65,
        "norm_max": 0.65,
        "image_size": 56,
        "action_tokenizer": {"tokenizer_orig_size": 250},
        "tokenizer": {"type": "AutoProcessor", "max_text_len": 256},
        "vlm": {"pretrained_model_name_or_path": str(folder), "name": family},
    }


class Decoder(nn.Module):
    """The widths of MLPTanhHead and MLPSigmoidHead (which has no sigmoid)."""

    def __init__(self, width: int, outputs: int, last: type[nn.Module]):
        super().__init__()
        hidden = [nn.Linear(width, 1024), nn.ReLU(), nn.Linear(1024, 512), nn.ReLU(), nn.Linear(512, 256), nn.ReLU()]
        self.mlp = nn.Sequential(*hidden, nn.Linear(256, outputs), last())


class Head(nn.Module):
    """FCDecoder, LSTMDecoder and GPTDecoder, under the release's names."""

    def __init__(self, head: dict, width: int, window: int, chunk: int):
        super().__init__()
        inner, flat = head["hidden_size"] * head["latent"], width * head["latent"]
        if head["type"] == "FCDecoder":
            self.mlp = nn.Sequential(nn.Linear(flat, flat // 2), nn.ReLU(), nn.Linear(flat // 2, inner))
        elif head["type"] == "LSTMDecoder":
            self.rnn = nn.LSTM(flat, inner, num_layers=head.get("num_layers", 4), batch_first=True)
        else:
            self.fc = nn.Linear(width, head["hidden_size"])
            config = GPT2Config(vocab_size=1, n_positions=window, n_embd=inner, n_layer=8, n_head=8)
            self.gpt = GPT2Model(config)
            del self.gpt.wte
        self.actions = Decoder(inner, chunk * 6, nn.Tanh)
        self.gripper = Decoder(inner, chunk, nn.Identity)

    def forward(self, tokens: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        if hasattr(self, "mlp"):
            states = self.mlp(tokens)
        elif hasattr(self, "rnn"):
            states = self.rnn(tokens)[0]
        else:
            states = self.gpt(inputs_embeds=self.fc(tokens)).last_hidden_state
        split = (*tokens.shape[:2], -1, 6)
        return self.actions.mlp(states).reshape(split), self.gripper.mlp(states).reshape(*split[:3], 1)


class Release(nn.Module):
    """What the release computes, with random weights; its state dict has the release's names."""

    def __init__(self, config: dict):
        super().__init__()
        self.config, self.head, self.family = config, config["act_head"], config["model"]
        self.space = self.head.get("action_space", "continuous")
        vlm = AutoConfig.from_pretrained(config["vlm"]["pretrained_model_name_or_path"])
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            # Eager, since sdpa reads PaliGemma's language model in both directions where nothing is padded.
            self.backbone = AutoModelForImageTextToText.from_config(vlm, attn_implementation="eager")
            width = vlm.get_text_config().hidden_size
            if self.space == "continuous":
                self.action_token = nn.Parameter(torch.randn(width))
            if self.space != "discrete":
                self.act_head = Head(self.head, width, config["window_size"], config["fwd_pred_next_n"])
            for parameter in self.parameters():
                nn.init.normal_(parameter, std=0.5 if parameter.ndim < 2 else parameter.shape[-1] ** -0.5)
        self.root = math.sqrt(width)
        self.eval()

    def weights(self) -> dict[str, torch.Tensor]:
        """What Lightning saves."""
        renamed = {}
        for name, value in self.state_dict().items():
            if self.family == "paligemma" and name.startswith("backbone."):
                name = name.removeprefix("backbone.")
                new, old = next(pair for pair in PALIGEMMA_NAMES.items() if name.startswith(pair[0]))
                name = "backbone." + old + name.removeprefix(new)
            renamed["model." + name] = value
        return renamed

    def embedded(self, ids: torch.Tensor) -> torch.Tensor:
        return F.embedding(ids, self.backbone.get_input_embeddings().weight)  # unscaled

    def image_tokens(self, pixels: torch.Tensor) -> torch.Tensor:
        model = self.backbone
        if self.family == "kosmos":
            states = model.vision_model.model.post_layernorm(model.vision_model(pixels).last_hidden_state)
            return model.image_to_text_projection(F.normalize(states, dim=-1))[0]
        states = model.model.vision_tower(pixels).last_hidden_state
        return model.model.multi_modal_projector(states) / math.sqrt(model.config.hidden_size)

    def states(self, embeddings: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        model = self.backbone
        if self.family == "kosmos":
            return model.text_model.model(inputs_embeds=embeddings, attention_mask=mask).last_hidden_state
        embeddings = embeddings * self.root
        return model.model.language_model(inputs_embeds=embeddings, attention_mask=mask).last_hidden_state

    @staticmethod
    def inserted(sequence: torch.Tensor, at: int, what: torch.Tensor | int, count: int = 0) -> torch.Tensor:
        if not torch.is_tensor(what):
            what = sequence.new_full((len(sequence), count), what)
        return torch.cat([sequence[:, :at], what, sequence[:, at:]], dim=1)

    @torch.no_grad()
    def forward(self, inputs: dict[str, torch.Tensor]) -> tuple[torch.Tensor, ...]:
        batch, window = inputs["rgb"].shape[:2]
        if self.space == "discrete":
            ids, labels, mask = (
                inputs[f"instr_and_action_{name}"].flatten(0, 1) for name in ("ids", "labels", "mask")
            )
            mask = mask.long()
        else:
            ids, mask = (inputs[name].repeat_interleave(window, dim=0) for name in ("text", "text_mask"))
            labels = torch.zeros_like(ids)
        length, sequence = ids.shape[1], self.embedded(ids)
        for camera in ("rgb", "hand_rgb"):
            if camera in inputs:
                images = self.image_tokens(inputs[camera].flatten(0, 1))
                sequence = self.inserted(sequence, 1, images)
                mask, labels = (
                    self.inserted(row, 1, value, images.shape[1]) for row, value in ((mask, 1), (labels, -100))
                )
        if self.space == "discrete":
            sequence, mask, labels = (rows.reshape(batch, -1, *rows.shape[2:]) for rows in (sequence, mask, labels))
            logits = self.backbone.get_output_embeddings()(self.states(sequence, mask))
            return logits, F.cross_entropy(logits[:, :-1].flatten(0, 1), labels[:, 1:].flatten())
        last, latent = sequence.shape[1] - 1, self.head["latent"]
        if self.space == "continuous":
            sequence = self.inserted(sequence, last, self.action_token.expand(len(sequence), latent, -1))
            mask = self.inserted(mask, last, 0 if self.head.get("fill_zero") else 1, latent)
        frame = sequence.shape[1:]
        if self.head.get("history_type") == "pre":
            sequence, mask = sequence.reshape(batch, -1, frame[1]), mask.reshape(batch, -1)
        states = self.states(sequence, mask).reshape(-1, *frame)
        if self.space == "continuous":
            tokens = states[:, last : last + latent]
        else:
            text = 2 - length - 1
            sources = {"all": states, "text": states[:, text:-1], "vision": states[:, 1:text]}
            tokens = sources[self.head.get("token_source", "all")]
        if self.head["down_sample"] == "pooling":
            tokens = F.adaptive_max_pool1d(tokens.transpose(1, 2), latent).transpose(1, 2)
        return self.act_head(tokens.reshape(batch, window, -1))


def release_batch(config: dict, folder: Path) -> dict[str, torch.Tensor]:
    """Two samples, the second padded by two tokens at the right."""
    random = torch.Generator().manual_seed(1)
    tokenizer = AutoProcessor.from_pretrained(folder).tokenizer
    window, length = config["window_size"], 7
    pixels = {name: torch.randn(2, window, 3, 56, 56, generator=random) for name in ("rgb", "hand_rgb")}
    if not config["use_hand_rgb"]:
        del pixels["hand_rgb"]
    text = torch.randint(100, 200, (2, length), generator=random)
    text[:, 0], text[0, -1], text[1, -3] = tokenizer.bos_token_id, tokenizer.eos_token_id, tokenizer.eos_token_id
    text[1, -2:] = tokenizer.pad_token_id
    mask = torch.ones_like(text)
    mask[1, -2:] = 0
    ids = torch.randint(190, 250, (2, window, 12), generator=random)
    ids[1, :, -2:] = 0
    known = torch.arange(12).expand(ids.shape) < torch.tensor([12, 10])[:, None, None]
    labels = ids.masked_fill(~known | (torch.arange(12) < 4), -100)
    instructed = {"instr_and_action_ids": ids, "instr_and_action_labels": labels, "instr_and_action_mask": known}
    return pixels | {"text": text, "text_mask": mask} | instructed


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("name", HEADS)
@torch.no_grad()
def test_the_vla_computes_what_the_release_does(family, name, backbone):
    folder = backbone(FAMILIES[family])
    config = release_config(family, folder, name)
    release, batch = Release(config), release_batch(config, folder)
    output = convert_original(config, release.weights())(**reference_inputs(config, batch))
    names = ("logits", "loss") if name.startswith("discrete") else ("pose", "gripper_logits")
    for ours, theirs in zip(names, release(batch), strict=True):
        torch.testing.assert_close(output[ours], theirs, atol=2e-5, rtol=1e-5)


@pytest.fixture
def example(backbone):
    """A configuration and weights that fit each other."""
    config = release_config("kosmos", backbone("kosmos-2"), "post_gpt_w3")
    return config, Release(config).weights()


def test_what_tools_add_to_checkpoints_is_removed(example):
    config, weights = example
    added = {f"_forward_module.{key}": value for key, value in weights.items()}
    added["module.model.act_head.gpt.h.0.attn.bias"] = torch.ones(1, 1, 8, 8)
    added["model.act_head.gpt.h.0.attn.masked_bias"] = torch.tensor(-1e4)
    added |= {
        key.replace("model.act_head", "model.lm_head"): value for key, value in weights.items() if "act_head" in key
    }
    plain, wrapped = (convert_original(config, each).state_dict() for each in (weights, added))
    assert all(torch.equal(plain[key], wrapped[key]) for key in plain)


def test_weights_that_do_not_fit_are_listed(example):
    config, weights = example
    renamed = dict(weights)
    renamed["model.surprise"] = renamed.pop("model.act_head.fc.bias")
    with pytest.raises(ValueError, match=r"missing \['head.history.fc.bias'\], unexpected \['surprise'\]"):
        convert_original(config, renamed)
    with pytest.raises(ValueError, match=r"action_tokens.weight \(1, 3\) instead of \(1, "):
        convert_original(config, weights | {"model.action_token": torch.zeros(3)})
    with pytest.raises(ValueError, match=r"holds action_tokens.weight twice"):
        convert_original(config, weights | {"action_token": weights["model.action_token"]})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model": "flamingo"}, "backbone 'flamingo' cannot be converted"),
        ({"vlm": {"pretrained_model_name_or_path": "no/such/folder"}}, "lacks 'backbone_config'"),
        ({"type": "NoDecoder"}, "act_head.type = 'NoDecoder'"),
        ({"history_type": "video"}, "act_head.history_type = 'video'"),
        ({"down_sample": "resampler"}, "act_head.down_sample = 'resampler'"),
        ({"history_type": "pre", "action_space": "down_sample"}, "history_type = 'pre' with"),
        ({"action_space": "discrete", "min_action": -0.65}, "min_action and max_action must be -1 and 1"),
    ],
)
def test_what_cannot_be_converted_is_refused(example, changes, message):
    config, weights = example
    top = {key: value for key, value in changes.items() if key in config}
    head = {key: value for key, value in changes.items() if key not in config}
    with pytest.raises(ValueError, match=message):
        convert_original(config | top | {"act_head": config["act_head"] | head}, weights)


def test_pickles_that_run_code_are_refused(tmp_path):
    class Danger:
        def __reduce__(self):
            return print, ("code ran",)

    file = tmp_path / "bad.pt"
    torch.save({"state_dict": {"weight": torch.zeros(1)}, "callbacks": Danger()}, file)
    with pytest.raises(ValueError, match=r"bad.pt holds more than weights"):
        read_checkpoint(file)
    torch.save({"epoch": 3}, file)
    with pytest.raises(ValueError, match=r"no 'state_dict'.*epoch"):
        read_checkpoint(file)
    with pytest.raises(ValueError, match="zero_to_fp32"):
        read_checkpoint(tmp_path)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(
    "name", ["post_lstm_w3", "pre_fc_w3", "discrete", "post_lstm_w3_pool", "onestep_fc_text", "onestep_fc_vision"]
)
def test_command(family, name, backbone, tmp_path):
    """The checkpoint that the command writes acts as the release does, from camera images on."""
    folder = backbone(FAMILIES[family])
    config = release_config(family, folder, name)
    if name == "discrete":
        config["fwd_pred_next_n"] = 1
    release = Release(config)
    torch.save({"state_dict": release.weights(), "epoch": 3}, tmp_path / "release.ckpt")
    (tmp_path / "release.json").write_text(json.dumps(config))
    places = {"--checkpoint": "release.ckpt", "--config": "release.json", "--output": "converted"}
    options = [part for name, file in places.items() for part in (name, str(tmp_path / file))]
    assert main(["convert-original", "--backbone", str(folder), *options]) == 0

    vla = AutoModel.from_pretrained(tmp_path / "converted").eval()
    processor = AutoProcessor.from_pretrained(tmp_path / "converted")
    random, sizes = np.random.default_rng(0), {camera.name: camera.height for camera in processor.contract().cameras}
    assert sizes == ({"gripper": 84, "static": 200} if config["use_hand_rgb"] else {"static": 200})
    window = config["window_size"]
    images = {name: random.integers(0, 256, (window, side, side, 3), dtype=np.uint8) for name, side in sizes.items()}
    arguments = processor(images, "open")
    pixels = arguments["pixel_values"].unflatten(0, (1, window, len(sizes)))
    batch = dict(zip(["hand_rgb", "rgb"] if len(sizes) > 1 else ["rgb"], pixels.unbind(dim=2), strict=True))
    batch |= original_prompt(family, processor.tokenizer, name == "discrete")
    theirs = reference_inputs(config, batch)
    with torch.inference_mode():
        if name == "discrete":
            assert torch.equal(vla.predict_tokens(**arguments), vla.predict_tokens(**theirs))
        else:
            torch.testing.assert_close(vla(**arguments).pose, vla(**theirs).pose, atol=2e-5, rtol=0)
            torch.testing.assert_close(vla(**arguments).pose, release(batch)[0], atol=2e-5, rtol=0)

    policy = Policy(vla, processor)
    action = policy.select_action({"images": {name: frames[0] for name, frames in images.items()}}, "open")
    assert np.abs(action[:6]).max() <= 0.65 and action[6] in (-1, 1)


def original_prompt(family: str, tokenizer, discrete: bool) -> dict[str, torch.Tensor]:
    """The release's own tokens for "open"."""
    if discrete:
        text = "Input: What 2 step actions should the robot take to open?\nOutput: \n"
        first, last = tokenizer.bos_token, tokenizer.eos_token if family == "kosmos" else ""
    elif family == "kosmos":
        first, text, last = tokenizer.bos_token, "<grounding>An image of a robot open", tokenizer.eos_token
    else:
        first, text, last = tokenizer.eos_token, "open", "\n"
    ids = tokenizer(first + text + last, add_special_tokens=False, return_tensors="pt")["input_ids"]
    return {"text": ids, "text_mask": torch.ones_like(ids)}
