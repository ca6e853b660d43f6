"""Embodiments of different widths in one model: each is what it would be by itself, whatever shares its batch."""

import numpy as np
import pytest
import torch
import yaml
from transformers import AutoModel, AutoProcessor

from robovlms import (
    CameraSpec,
    GripperSpec,
    InterleavedContinuousVLA,
    OneStepContinuousVLA,
    OneStepDiscreteVLA,
    Policy,
    PolicyHeadContinuousVLA,
    RoboVLMProcessor,
    VectorSpec,
)
from robovlms.cli import main
from robovlms.configuration.widths import SharedWidths
from robovlms.data import LeRobotWriter, VLACollator
from robovlms.serving import ChunkPredictor, PolicyServer, random_observation
from robovlms.serving.chunk_predictor import ChunkRequest
from robovlms.serving.overlap import RunningChunk
from robovlms.testing.samples import example_statistics
from robovlms.training import start_from

REGRESSION = {"hidden_size": 16, "decoder_sizes": [16]}
DENOISER = {"denoiser_size": 64, "denoiser_layers": 1, "denoiser_heads": 2, "num_inference_steps": 5}
LSTM = {"type": "lstm", "hidden_size": 16, "num_layers": 1}
CONTINUOUS = {
    "mlp": (OneStepContinuousVLA, "paligemma", {"type": "mlp", **REGRESSION}),
    "lstm": (PolicyHeadContinuousVLA, "qwen2_vl", {**LSTM, **REGRESSION}),
    "transformer": (
        InterleavedContinuousVLA,
        "smolvlm",
        {"type": "transformer", "num_layers": 1, "num_heads": 4, "dropout": 0.0, **REGRESSION},
    ),
    "flow": (PolicyHeadContinuousVLA, "smolvlm", {"type": "flow_matching", "history": LSTM, **DENOISER}),
    "diffusion": (InterleavedContinuousVLA, "qwen2_vl", {"type": "diffusion", "history": LSTM, **DENOISER}),
}


def vector(width: int) -> VectorSpec:
    return VectorSpec(
        tuple(f"d{i}" for i in range(width)), normalization="min_max", statistics=example_statistics(width)
    )


def three_robots(contract, **changes) -> dict:
    """A 7-number arm with one camera, a 14-number pair with two, a 26-joint humanoid with three, without grippers and
    without a state."""
    cameras = (CameraSpec("static", 32, 32), CameraSpec("left", 32, 32), CameraSpec("right", 32, 32))
    robots = {"arm": (7, (6,), 3), "humanoid": (26, (), 0), "pair": (14, (6, 13), 14)}
    return {
        name: contract(
            embodiment=name,
            action=vector(width),
            grippers=tuple(GripperSpec(dim, open_value=0.1, closed_value=-0.1) for dim in grippers),
            state=vector(state) if state else None,
            cameras=cameras[: {"arm": 1, "pair": 2, "humanoid": 3}[name]],
            **changes,
        )
        for name, (width, grippers, state) in robots.items()
    }


def observed(inputs) -> dict:
    return {name: value for name, value in inputs.items() if name not in ("actions", "labels", "grounding")}


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_where_dimensions_stand(contract):
    robots = three_robots(contract)
    widths = SharedWidths.of(robots.values(), by_kind=True)
    assert widths == SharedWidths(28, (6, 13), 14) == SharedWidths.of([*robots.values()][::-1], by_kind=True)
    assert widths.dims(robots["arm"]) == list(range(7)) and widths.dims(robots["pair"]) == list(range(14))
    assert widths.dims(robots["humanoid"]) == [dim for dim in range(28) if dim not in (6, 13)]
    assert SharedWidths.of(robots.values(), by_kind=False) == SharedWidths(26, None, 14)
    inner = contract(grippers=(GripperSpec(2, 1.0, 0.0),))
    alone = SharedWidths.of([inner], by_kind=True)
    assert alone == SharedWidths(7, (2,), 3) and alone.dims(inner) == list(range(7))
    shared = SharedWidths.of([inner, contract()], by_kind=True)  # as wide, with the gripper elsewhere
    assert shared == SharedWidths(7, (6,), 3) and shared.dims(inner) == [0, 1, 6, 2, 3, 4, 5]


@pytest.mark.parametrize(
    "name",
    ["mlp", "transformer", "flow", *(pytest.param(name, marks=pytest.mark.slow) for name in ("lstm", "diffusion"))],
)
def test_each_robot_is_what_it_is_alone(name, backbone, contract, sample, tmp_path):
    vla_class, family, head = CONTINUOUS[name]
    robots = three_robots(contract, window_size=1 if name == "mlp" else 3)
    processor = RoboVLMProcessor.from_backbone(backbone(family), robots)
    vla = vla_class.from_backbone(
        backbone(family), robots["arm"], **processor.model_fields, head_config=head, attn_implementation="eager"
    ).eval()
    assert (vla.config.action_dim, vla.config.gripper_dims, vla.config.state_dim) == (28, [6, 13], 14)
    order = ("pair", "arm", "humanoid", "arm")
    samples = [sample(robots[robot], seed) for seed, robot in enumerate(order)]
    batch = dict(VLACollator(processor)(samples))
    assert batch["action_dim_mask"].sum(1).tolist() == [14, 7, 26, 7]
    count = int((batch["labels"] != -100).sum())
    with torch.no_grad():
        together = vla(**batch, generator=seeded())
        acting = vla(**observed(batch), generator=[seeded(row) for row in range(4)]).actions
        generator, losses = seeded(), []
        for row, one in enumerate(samples):
            single = VLACollator(processor)([one])
            losses.append(vla(**single, generator=generator, num_items_in_batch=count).loss)
            alone = vla(**observed(single), generator=seeded(row)).actions
            real = single["frame_mask"][0]
            torch.testing.assert_close(acting[row][real], alone[0][real], atol=1e-5, rtol=0)
            assert (acting[row][..., ~batch["action_dim_mask"][row]] == 0).all()
    torch.testing.assert_close(together.loss, sum(losses), atol=1e-6, rtol=1e-6)

    vla.save_pretrained(tmp_path)
    processor.save_pretrained(tmp_path)
    for robot, own in robots.items():  # the same weights, without what the robot lacks
        narrow, plain, _ = start_from(str(tmp_path), own, attn_implementation="eager")
        assert narrow.config.action_dim == own.action_dim and narrow.config.gripper_dims == list(own.gripper_dims)
        mine = [one for one in samples if one["embodiment"] == robot]
        wide, thin = VLACollator(processor)(mine), VLACollator(plain)(mine)
        assert "action_dim_mask" not in thin
        with torch.no_grad():
            ours, theirs = vla(**wide, generator=seeded()), narrow.eval()(**thin, generator=seeded())
            for part in ("loss", "pose_loss", "gripper_loss"):
                ours_part, theirs_part = getattr(ours, part), getattr(theirs, part)
                assert (ours_part is None) == (theirs_part is None), part
                if ours_part is not None:
                    assert abs(ours_part - theirs_part) < 1e-6, part
            chunk = vla.predict_action_chunk(**observed(wide), generator=seeded())
            expected = narrow.predict_action_chunk(**observed(thin), generator=seeded())
        decoded = processor.decode_actions(chunk, embodiment=robot)
        assert decoded.shape[-1] == own.action_dim
        np.testing.assert_allclose(decoded, plain.decode_actions(expected), atol=1e-4)
        observation = random_observation(own)
        ours, theirs = ((vla, processor, robot), (narrow, plain, robot))
        policies = [Policy(*parts) for parts in (ours, theirs)]  # streaming
        for step in range(4):
            actions = []
            for policy in policies:
                torch.manual_seed(step)
                actions.append(policy.select_action(observation, "open"))
            np.testing.assert_allclose(*actions, atol=1e-4)
        chunks = []
        for parts in (ours, theirs):  # joining a running chunk
            torch.manual_seed(0)
            predictor = ChunkPredictor(*parts)
            running = RunningChunk(np.zeros((2, own.action_dim), np.float32), delay=1)
            request = ChunkRequest(observation, "open", running=running)
            chunks.append(predictor.answer([request], [predictor.new_cache()])[0])
        np.testing.assert_allclose(*chunks, atol=1e-4)


@pytest.mark.parametrize("kind", ["autoregressive", "parallel", "fast"])
def test_each_robot_writes_as_many_tokens_as_it_has_dimensions(kind, backbone, contract, sample, tmp_path):
    robots = {name: one.replace(state=None) for name, one in three_robots(contract).items()}
    robots = {name: one.replace(cameras=robots["arm"].cameras) for name, one in robots.items()}
    robots["humanoid"] = robots["humanoid"].replace(cameras=three_robots(contract)["pair"].cameras)
    folder = backbone("smolvlm")
    samples = [sample(robots[robot], seed) for seed, robot in enumerate(("pair", "arm", "humanoid", "arm"))]
    options: dict = {"action_bins": 16, "decoding": kind}
    if kind == "fast":
        plain = RoboVLMProcessor.from_backbone(folder, robots)
        chunks = {
            name: np.concatenate([sample(one, seed)["actions"] for seed in range(20)]) for name, one in robots.items()
        }
        options = {"fast": plain.fit_fast(chunks, vocab_size=128, scale=5)}
    processor = RoboVLMProcessor.from_backbone(folder, robots, **options)
    vla = OneStepDiscreteVLA.from_backbone(folder, robots["arm"], **processor.model_fields).eval()
    assert vla.config.action_dim == 26
    batch = dict(VLACollator(processor)(samples))
    with torch.no_grad():
        output = vla(**batch)
    counted = (batch["labels"] != -100).sum()
    if kind != "fast":
        steps = [int(one["action_mask"].sum()) for one in samples]
        assert counted == sum(n * width for n, width in zip(steps, (14, 7, 26, 7), strict=True))
        assert not output.dimension_accuracy.isnan().any()
    losses = []
    for one in samples:
        single = VLACollator(processor)([one])
        with torch.no_grad():
            losses.append(vla(**single, num_items_in_batch=counted).loss)
        assert ("action_dim_mask" in single) == (one["embodiment"] != "humanoid")
    torch.testing.assert_close(output.loss, sum(losses), atol=1e-5, rtol=1e-5)

    together = [one for one in samples if one["embodiment"] != "humanoid"]  # rows of as many images
    prompts = {"images": [one["images"] for one in together], "instruction": [one["instruction"] for one in together]}
    written = vla.predict_tokens(**processor(**prompts, embodiment=[one["embodiment"] for one in together]))
    vla.save_pretrained(tmp_path)
    processor.save_pretrained(tmp_path)
    for row, one in enumerate(together):
        name, scene = one["embodiment"], (one["images"], one["instruction"])
        alone = processor(*scene, embodiment=name)
        tokens = vla.predict_tokens(**alone)
        assert torch.equal(tokens[0], written[row])
        decoded = processor.decode_action_tokens(tokens.numpy(), embodiment=name)
        assert decoded.shape == (1, 3, robots[name].action_dim)
        if kind != "fast":
            padded = vla.predict_action_chunk(**processor(*scene, embodiment=name))
            np.testing.assert_allclose(processor.decode_actions(padded, embodiment=name), decoded, atol=1e-6)
    for name, own in robots.items():
        narrow, plain, _ = start_from(str(tmp_path), own)
        mine = [one for one in samples if one["embodiment"] == name]
        with torch.no_grad():
            ours, theirs = vla(**VLACollator(processor)(mine)), narrow.eval()(**VLACollator(plain)(mine))
        assert abs(ours.loss - theirs.loss) < 1e-6
        observation = random_observation(own)
        actions = [
            Policy(*parts).select_action(observation, "open") for parts in ((vla, processor, name), (narrow, plain))
        ]
        np.testing.assert_allclose(*actions, atol=1e-6)


def test_a_robot_that_comes_later_leaves_the_others_as_they_are(backbone, contract, sample, tmp_path):
    """A wider one makes the model wider: what it had learnt stays."""
    robots = three_robots(contract, window_size=3)
    first = {"arm": robots["arm"]}
    processor = RoboVLMProcessor.from_backbone(backbone("smolvlm"), first)
    head = CONTINUOUS["flow"][2]
    vla = PolicyHeadContinuousVLA.from_backbone(backbone("smolvlm"), robots["arm"], head_config=head)
    with torch.no_grad():
        for parameter in vla.head.parameters():
            parameter.add_(0.01 * torch.randn(parameter.shape, generator=seeded()))
    vla.save_pretrained(tmp_path)
    processor.save_pretrained(tmp_path)
    wide, more, anew = start_from(str(tmp_path), robots)
    assert "head.decoder.denoiser.actions.weight" in anew and "state_encoder.weight" in anew
    with torch.no_grad():
        inputs = [VLACollator(one)([sample(robots["arm"], 0)]) for one in (processor, more)]
        before, after = (
            model.eval()(**one, generator=seeded()) for model, one in zip((vla, wide), inputs, strict=True)
        )
    assert abs(before.loss - after.loss) < 1e-6


def test_wrong_widths_are_refused_by_name(backbone, contract, sample):
    robots = three_robots(contract)
    processor = RoboVLMProcessor.from_backbone(backbone("smolvlm"), robots)
    one, other = sample(robots["arm"], 0), sample(robots["pair"], 1)
    with pytest.raises(ValueError, match=r"action of embodiment 'arm' has 7 dimensions.*\(1, 3, 14\)"):
        VLACollator(processor)([one | {"actions": other["actions"]}, other])
    with pytest.raises(ValueError, match=r"state must have shape \(1, 1, 3\), got \(1, 14\)"):
        VLACollator(processor)([one | {"state": other["state"]}, other])
    with pytest.raises(ValueError, match=r"state is missing: embodiment\(s\) \['arm', 'pair'\]"):
        VLACollator(processor)([{name: value for name, value in one.items() if name != "state"}, other])
    with pytest.raises(ValueError, match=r"model's 28 dimensions, of which embodiment 'arm' uses 7; got .*\(3, 7\)"):
        processor.decode_actions(np.zeros((3, 7)), embodiment="arm")
    vla = OneStepContinuousVLA.from_backbone(
        backbone("smolvlm"), robots["arm"], head_config={"type": "mlp", **REGRESSION}
    )
    with pytest.raises(
        ValueError, match=r"action_dim is 28 in the contracts of \['arm', .* together and 7 in the model"
    ):
        Policy(vla, processor, "arm")


def test_a_recipe_over_three_robots(backbone, tmp_path):
    """Trained, published, served: each robot knows its own width, cameras and state; a fourth comes later."""
    random, data = np.random.default_rng(0), []
    for name, width, state, cameras in (
        ("arm", 7, 3, 1),
        ("pair", 14, 14, 2),
        ("humanoid", 26, 0, 3),
        ("new", 8, 3, 1),
    ):
        labels = {"action": [f"{name}_{i}" for i in range(width)]}
        labels |= {"state": [f"s{i}" for i in range(state)]} if state else {}
        with LeRobotWriter(tmp_path / name, fps=10, robot_type=name, names=labels) as writer:
            for _ in range(2):
                images = {
                    camera: random.integers(0, 256, (8, 32, 32, 3), dtype=np.uint8)
                    for camera in ("front", "left", "right")[:cameras]
                }
                episode = {"images": images, "action": random.uniform(-1, 1, (8, width)).astype(np.float32)}
                if state:
                    episode["state"] = random.normal(size=(8, state)).astype(np.float32)
                writer.add_episode(episode, task="push the block")
        data.append({"path": str(tmp_path / name), "embodiment": name})
    common = {"chunk_size": 4, "n_action_steps": 2, "history_stride": 1, "window_size": 2, "logging_steps": 1}
    common |= {"per_device_train_batch_size": 4, "disable_tqdm": True, "report_to": "none", "save_strategy": "no"}

    def train(output: str, **options) -> int:
        file = tmp_path / f"{output}.yaml"
        file.write_text(yaml.safe_dump(common | {"output_dir": str(tmp_path / output)} | options))
        return main(["train", "--config", str(file)])

    with pytest.warns(UserWarning, match="humanoid has no proprioceptive state"):
        assert train("first", dataset=data[:3], backbone=str(backbone("smolvlm")), max_steps=3) == 0
    widths = {"arm": 7, "pair": 14, "humanoid": 26}
    for name, width in widths.items():
        predictor = ChunkPredictor.from_pretrained(str(tmp_path / "first"), embodiment=name)
        server = PolicyServer(predictor).metadata
        assert len(server["contract"]["action"]["names"]) == width
        assert len(server["contract"]["cameras"]) == {"arm": 1, "pair": 2, "humanoid": 3}[name]
        policy = Policy(predictor.model, predictor.processor, name)
        action = policy.select_action(random_observation(policy.contract), "push the block")
        assert action.shape == (width,) and np.isfinite(action).all()

    assert train("second", dataset=[data[0], data[3]], init_from=str(tmp_path / "first"), max_steps=1) == 0
    assert set(AutoProcessor.from_pretrained(tmp_path / "second").contracts) == {"arm", "new"}
    assert AutoModel.from_pretrained(tmp_path / "second").config.action_dim == 8
