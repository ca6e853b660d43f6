"""The page on adding a head, run as it stands, and what it promises of the head that it adds."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from transformers import AutoModel

from robovlms import PolicyHeadContinuousVLA, RoboVLMProcessor, register_head
from robovlms.configuration import HistoryHeadConfig, MLPHeadConfig
from robovlms.configuration.head_configs import HEAD_CONFIGS, HISTORY_CONFIGS
from robovlms.data import VLACollator
from robovlms.modeling_robovlms.heads import ActionTargets, Decoder, build_head
from robovlms.modeling_robovlms.heads.action_head import DECODERS, HISTORIES, choose_module

PAGE = Path(__file__).parents[1] / "docs" / "adding_a_head.md"
WINDOW = 3


@pytest.fixture(scope="module")
def names() -> Iterator[dict]:
    """What the page defines; forgotten after these tests."""
    registries = (HEAD_CONFIGS, HISTORY_CONFIGS, DECODERS, HISTORIES)
    before = [dict(registry) for registry in registries]
    example, history = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert len([line for line in example.splitlines() if line.strip()]) < 40
    names: dict = {}
    exec(example, names)
    exec(history, names)
    yield names
    for registry, kept in zip(registries, before, strict=True):
        registry.clear()
        registry.update(kept)


@pytest.fixture(params=["mean", "lstm"])
def made(request, names, backbone, contract):
    own = contract(window_size=WINDOW)
    sizes = {"hidden_size": 16} | ({"num_layers": 1} if request.param == "lstm" else {})
    head = names["L1HeadConfig"](history={"type": request.param, **sizes}, width=24)
    torch.manual_seed(0)
    vla = PolicyHeadContinuousVLA.from_backbone(str(backbone("llava")), own, head_config=head).eval()
    return vla, RoboVLMProcessor.from_backbone(str(backbone("llava")), own), own


def test_a_foreign_head_learns_and_is_saved_by_its_type(made, sample, tmp_path):
    vla, processor, own = made
    batch = dict(VLACollator(processor)([sample(own, seed) for seed in range(2)]))
    optimizer = torch.optim.Adam(vla.head.parameters(), lr=1e-2)
    losses = []
    for _ in range(5):
        output = vla(**batch)
        losses.append(output.loss.item())
        optimizer.zero_grad()
        output.loss.backward()
        optimizer.step()
    assert losses[-1] < losses[0] and output.pose_loss > 0 and output.gripper_loss > 0
    for name, parameter in vla.head.named_parameters():
        assert parameter.grad is not None and parameter.grad.abs().sum() > 0, name

    vla.save_pretrained(tmp_path)
    saved = json.loads((tmp_path / "config.json").read_text())["head_config"]
    assert (saved["type"], saved["width"], saved["history"]["hidden_size"]) == ("l1", 24, 16)
    again = AutoModel.from_pretrained(tmp_path).eval()
    assert again.config.head_config == vla.config.head_config
    observed = {name: value for name, value in batch.items() if name not in ("actions", "labels")}
    assert torch.equal(again.predict_action_chunk(**observed), vla.predict_action_chunk(**observed))


def test_streaming_a_foreign_head_gives_what_the_window_gives(made, sample):
    vla, processor, own = made
    first, second = sample(own, 0), sample(own, 1)
    steps = [(one, frame) for one in (first, second) for frame in range(WINDOW)]  # twice the window: it slides
    cache = vla.new_cache(1)

    def encoded(frames: list) -> dict[str, torch.Tensor]:
        images = {
            camera: torch.stack([torch.as_tensor(one["images"][camera][frame]) for one, frame in frames]).numpy()
            for camera in own.camera_names
        }
        state = torch.stack([torch.as_tensor(one["state"][frame]) for one, frame in frames])[None].numpy()
        return dict(processor(images, "push the block", state=state))

    for step in range(len(steps)):
        streamed = vla.predict_action_chunk(**encoded(steps[step : step + 1]), cache=cache)
        window = vla.predict_action_chunk(**encoded(steps[max(0, step - WINDOW + 1) : step + 1]))
        torch.testing.assert_close(streamed, window, atol=1e-5, rtol=0)


@torch.no_grad()
def test_what_does_not_count_does_not_matter(made):
    vla, _, own = made
    head = build_head(vla.config, 8).eval()
    features = torch.randn(2, 2 * WINDOW, vla.config.num_action_tokens, 8)
    mask = torch.ones(2, 2 * WINDOW, dtype=torch.bool)
    mask[:, :2] = False
    actions = torch.rand(2, 2 * WINDOW, own.chunk_size, own.action_dim) * 2 - 1
    valid = mask[..., None].repeat(1, 1, own.chunk_size)
    valid[:, -1, -1] = False
    loss = head(features, mask, ActionTargets(actions, valid, int(valid.sum()))).loss
    features[:, :2] = 1e3
    actions[~valid] = 7
    torch.testing.assert_close(head(features, mask, ActionTargets(actions, valid, int(valid.sum()))).loss, loss)


@torch.no_grad()
def test_a_head_without_dim_mask_refuses_a_robot_that_lacks_dimensions(made):
    vla, _, own = made
    head = build_head(vla.config, 8)
    inputs = torch.randn(1, WINDOW, vla.config.num_action_tokens, 8), torch.ones(1, WINDOW, dtype=torch.bool)
    lacking = torch.arange(own.action_dim)[None] > 0
    for call in (head, head.newest):
        with pytest.raises(ValueError, match="The forward of L1Decoder takes no dim_mask: this head cannot serve"):
            call(*inputs, dim_mask=lacking)


def test_a_name_is_given_once(names):
    with pytest.raises(ValueError, match=r"Impostor.type = 'mlp' is the name of MLPHeadConfig"):

        @register_head(type("Impostor", (MLPHeadConfig,), {}))
        class ImpostorDecoder(Decoder): ...

    class Unregistered(HistoryHeadConfig):
        type = "unregistered"

    with pytest.raises(
        ValueError, match=r"No module is registered for Unregistered, only for \['DiffusionHeadConfig'"
    ):
        choose_module(Unregistered(), DECODERS)
