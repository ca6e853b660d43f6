"""Every action head by itself, on random features; two of them inside a VLA."""

import json

import pytest
import torch
from transformers import AutoModel

from robovlms.configuration.configuration_robovlms import PolicyHeadContinuousConfig
from robovlms.configuration.head_configs import (
    HISTORY_CONFIGS,
    DiffusionHeadConfig,
    FlowMatchingHeadConfig,
    GRUHeadConfig,
    HeadConfig,
    LSTMHeadConfig,
    MLPHeadConfig,
    TransformerHeadConfig,
    head_config_from_dict,
)
from robovlms.modeling_robovlms.continuous import PolicyHeadContinuousVLA
from robovlms.modeling_robovlms.heads import ActionHead, ActionTargets, HeadOutput, build_head
from robovlms.modeling_robovlms.modeling_robovlms import init_layer
from robovlms.modeling_robovlms.streaming import VLACache
from robovlms.testing import tiny_backbone

torch.set_num_threads(1)

FEATURE_DIM, NUM_TOKENS, CHUNK, ACTION_DIM = 16, 2, 3, 5
GRIPPERS = [1, 4]

REGRESSION = {"hidden_size": 24, "decoder_sizes": (32,)}
DENOISER = {"denoiser_size": 64, "denoiser_layers": 2, "denoiser_heads": 4, "num_inference_steps": 5}
HISTORIES = {
    "mlp": {"type": "mlp", "hidden_size": 24},
    "lstm": {"type": "lstm", "hidden_size": 24, "num_layers": 2},
    "gru": {"type": "gru", "hidden_size": 24, "num_layers": 2},
    "transformer": {"type": "transformer", "hidden_size": 24, "num_layers": 2, "num_heads": 4},
}
HEADS: dict[str, HeadConfig] = {
    "mlp": MLPHeadConfig(**REGRESSION),
    "lstm": LSTMHeadConfig(**REGRESSION, num_layers=2),
    "gru": GRUHeadConfig(**REGRESSION, num_layers=2),
    "transformer": TransformerHeadConfig(**REGRESSION, num_layers=2, num_heads=4),
    "diffusion-lstm": DiffusionHeadConfig(history=HISTORIES["lstm"], **DENOISER),
    "diffusion-transformer": DiffusionHeadConfig(history=HISTORIES["transformer"], **DENOISER),
    "diffusion-velocity": DiffusionHeadConfig(
        history=HISTORIES["mlp"], prediction_type="v_prediction", clip_range=None, **DENOISER
    ),
    "flow-mlp": FlowMatchingHeadConfig(history=HISTORIES["mlp"], **DENOISER),
    "flow-gru": FlowMatchingHeadConfig(history=HISTORIES["gru"], **DENOISER),
}
SAMPLERS = [name for name in HEADS if "-" in name]

every_head = pytest.mark.parametrize("name", HEADS)
every_window = pytest.mark.parametrize("window", [1, 4])


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def make_head(head: str | HeadConfig, window: int) -> ActionHead:
    config = PolicyHeadContinuousConfig(
        head_config=HEADS[head] if isinstance(head, str) else head,
        window_size=window,
        num_action_tokens=NUM_TOKENS,
        chunk_size=CHUNK,
        action_dim=ACTION_DIM,
        gripper_dims=GRIPPERS,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return build_head(config, FEATURE_DIM).apply(init_layer).eval()


def random_features(batch: int, window: int, seed: int = 1) -> torch.Tensor:
    return torch.randn(batch, window, NUM_TOKENS, FEATURE_DIM, generator=seeded(seed))


def random_targets(batch: int, window: int, seed: int = 2) -> ActionTargets:
    generator = seeded(seed)
    actions = torch.rand(batch, window, CHUNK, ACTION_DIM, generator=generator) * 2 - 1
    actions[..., GRIPPERS] = actions[..., GRIPPERS].sign()
    valid = torch.rand(batch, window, CHUNK, generator=generator) > 0.2
    valid[:, :, 0] = True
    return ActionTargets(actions, valid, int(valid.sum()))


def all_real(features: torch.Tensor) -> torch.Tensor:
    return torch.ones(features.shape[:2], dtype=torch.bool)


def assert_same(ours: HeadOutput, theirs: HeadOutput, where: torch.Tensor | slice = slice(None)) -> None:
    assert ours.actions is not None and torch.isfinite(ours.actions).all()
    for field in ("actions", "pose", "gripper_logits"):
        if getattr(ours, field) is not None:
            torch.testing.assert_close(getattr(ours, field)[where], getattr(theirs, field)[where], atol=1e-5, rtol=0)


@every_window
@every_head
@torch.no_grad()
def test_a_row_does_not_depend_on_the_batch(name, window):
    head, features = make_head(name, window), random_features(3, window)
    mask = torch.arange(window)[None] >= torch.tensor([0, window // 2, window - 1])[:, None]
    together, generator = head(features, mask, generator=seeded(3)), seeded(3)
    for row in range(3):
        alone = head(features[row : row + 1], mask[row : row + 1], generator=generator)
        real = mask[row : row + 1]
        for field in ("actions", "pose", "gripper_logits"):
            if getattr(alone, field) is not None:
                ours, theirs = getattr(together, field)[row : row + 1][real], getattr(alone, field)[real]
                torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=0)


@every_head
@torch.no_grad()
def test_frames_before_the_episode_and_after_the_present_are_unseen(name):
    window, padding = 5, 2
    head, features = make_head(name, window), random_features(2, window)
    mask = all_real(features)
    mask[:, :padding] = False
    garbage = features.clone()
    garbage[:, :padding] = 1e3
    padded = head(garbage, mask, generator=seeded(3))
    assert_same(padded, head(features, mask, generator=seeded(3)), mask)
    short = head(features[:, padding:], mask[:, padding:], generator=seeded(3))
    torch.testing.assert_close(padded.actions[:, padding:], short.actions, atol=1e-5, rtol=0)
    past = head(features[:, padding:-1], mask[:, padding:-1], generator=seeded(3))
    torch.testing.assert_close(past.actions, short.actions[:, :-1], atol=1e-5, rtol=0)


@every_window
@every_head
@torch.no_grad()
def test_streaming_gives_what_the_window_gives(name, window):
    head, batch, steps = make_head(name, window), 3, 3 * window
    features = random_features(batch, steps)
    cache, starts = VLACache(head.new_state(batch)), [0] * batch
    for step in range(steps):
        if step == window + window // 2:
            cache.reset([1])
            starts[1] = step
        streamed = head.step(features[:, step : step + 1], cache, generator=seeded(step))
        frames = torch.arange(step - window + 1, step + 1)
        mask = torch.stack([frames >= start for start in starts])
        recomputed = head(features[:, frames.clamp(min=0)], mask, generator=seeded(step))
        for field in ("actions", "pose", "gripper_logits"):
            if getattr(streamed, field) is not None:
                newest = getattr(recomputed, field)[:, -1:]
                torch.testing.assert_close(getattr(streamed, field), newest, atol=1e-5, rtol=0)


@every_head
def test_gradients_reach_every_parameter_and_the_features(name):
    head, features = make_head(name, 4).train(), random_features(2, 4).requires_grad_()
    head(features, all_real(features), random_targets(2, 4), seeded(0)).loss.backward()
    for key, tensor in {**dict(head.named_parameters()), "features": features}.items():
        assert tensor.grad is not None and tensor.grad.abs().max() > 0, key


@every_head
def test_micro_batches_add_up_to_the_batch(name):
    head, features, targets = make_head(name, 4), random_features(4, 4), random_targets(4, 4)
    mask = all_real(features)

    def losses(rows: slice, generator: torch.Generator) -> torch.Tensor:
        part = ActionTargets(targets.actions[rows], targets.valid[rows], targets.num_items)
        output = head(features[rows], mask[rows], part, generator)
        output.loss.backward()
        return torch.stack([output.loss, output.pose_loss, output.gripper_loss]).detach()

    whole = losses(slice(None), seeded(5))
    gradients = [parameter.grad.clone() for parameter in head.parameters()]
    head.zero_grad()
    generator = seeded(5)
    parts = sum(losses(slice(row, row + 1), generator) for row in range(4))
    torch.testing.assert_close(parts, whole, atol=1e-6, rtol=0)
    for parameter, gradient in zip(head.parameters(), gradients, strict=True):
        torch.testing.assert_close(parameter.grad, gradient, atol=1e-5, rtol=1e-4)


@every_head
@torch.no_grad()
def test_actions_that_do_not_count_do_not_change_the_loss(name):
    head, features, targets = make_head(name, 4), random_features(2, 4), random_targets(2, 4)
    before = targets.actions.clone()
    loss = head(features, all_real(features), targets, seeded(0)).loss
    assert torch.equal(targets.actions, before)
    targets.actions[~targets.valid] += 7
    assert torch.equal(head(features, all_real(features), targets, seeded(0)).loss, loss)


@every_head
def test_overfits_a_tiny_batch(name):
    """The loss in eval mode, for samplers the mean over 8 fixed draws of noise and time, falls below 5% of its start
    in 200 steps; afterwards the predicted or sampled actions are close to the targets."""
    head, features, targets = make_head(name, 4), random_features(2, 4), random_targets(2, 4)
    mask = all_real(features)

    @torch.no_grad()
    def loss() -> float:
        head.eval()
        draws = 8 if name in SAMPLERS else 1
        return sum(head(features, mask, targets, seeded(draw)).loss.item() for draw in range(draws)) / draws

    start = loss()
    optimizer, generator = torch.optim.Adam(head.parameters(), lr=3e-3), seeded(100)
    torch.manual_seed(0)
    for _ in range(200):
        head.train()
        optimizer.zero_grad()
        head(features, mask, targets, generator).loss.backward()
        optimizer.step()
    assert loss() < 0.05 * start
    with torch.no_grad():
        predicted = head(features, mask, generator=seeded(0)).actions
    pose = [dim for dim in range(ACTION_DIM) if dim not in GRIPPERS]
    assert (predicted - targets.actions)[targets.valid][:, pose].abs().mean() < 0.15
    agreement = (predicted[..., GRIPPERS] > 0) == (targets.actions[..., GRIPPERS] > 0)
    assert agreement[targets.valid].float().mean() > 0.98


@pytest.mark.parametrize("name", SAMPLERS)
@torch.no_grad()
def test_sampling_is_seeded_and_skipped_where_there_are_targets(name):
    head, features = make_head(name, 4), random_features(2, 4)
    mask = all_real(features)
    first, again, other = (head(features, mask, generator=seeded(seed)).actions for seed in (1, 1, 2))
    assert first.shape == (2, 4, CHUNK, ACTION_DIM)
    assert torch.equal(first, again)
    assert (first - other).abs().max() > 1e-3
    assert (first[0, -1] - first[1, -1]).abs().max() > 1e-3
    output = head(features, mask, random_targets(2, 4), seeded(1))
    assert output.actions is None
    mean = (3 * output.pose_loss + 2 * output.gripper_loss) / ACTION_DIM
    torch.testing.assert_close(output.loss, mean)


@pytest.mark.parametrize("prediction", ["sample", "epsilon", "v_prediction", "flow"])
@torch.no_grad()
def test_what_the_denoiser_is_to_predict_leads_back_to_the_actions(prediction):
    flow = prediction == "flow"
    config = FlowMatchingHeadConfig() if flow else DiffusionHeadConfig(prediction_type=prediction)
    decoder = make_head(config.replace(history=HISTORIES["mlp"], **DENOISER), 1).decoder
    actions = torch.rand(4, CHUNK, ACTION_DIM, generator=seeded(0)) * 2 - 1
    noise = torch.randn(actions.shape, generator=seeded(1))
    times = torch.tensor([0.2, 0.4, 0.6, 0.8]) if flow else torch.tensor([19, 39, 59, 79])
    noisy, levels, wanted = decoder.add_noise(actions, noise, times)
    torch.testing.assert_close(levels, torch.tensor([0.2, 0.4, 0.6, 0.8]))
    for row, time in enumerate(times.tolist()):
        if flow:
            recovered = noisy[row] - time * wanted[row]
        else:
            recovered = decoder.sampling_scheduler.step(wanted[row], time, noisy[row]).pred_original_sample
        torch.testing.assert_close(recovered, actions[row], atol=1e-5, rtol=0)


def test_flow_times_are_beta_distributed():
    times = make_head("flow-mlp", 1).decoder.random_times(100_000, generator=seeded(0))
    expected = torch.distributions.Beta(torch.tensor(1.5), torch.tensor(1.0))
    assert times.min() > 0 and times.max() <= 1
    torch.testing.assert_close(times.mean(), expected.mean, atol=3e-3, rtol=0)
    torch.testing.assert_close(times.var(), expected.variance, atol=3e-3, rtol=0)


@every_head
def test_configs_survive_json(name):
    config = HEADS[name]
    assert head_config_from_dict(json.loads(json.dumps(config.to_dict()))) == config


@pytest.mark.parametrize("history", HISTORY_CONFIGS)
def test_a_history_may_be_named(history):
    assert DiffusionHeadConfig(history=history).history == HISTORY_CONFIGS[history]()


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"type": "perceiver"}, "Unknown head 'perceiver'.*flow_matching"),
        (
            {"type": "diffusion", "history": "mamba"},
            r"Unknown history 'mamba'.*\['gru', 'lstm', 'mlp', 'transformer'\]",
        ),
        (
            {"type": "diffusion", "history": {"type": "gru", "num_heads": 8}},
            "GRUHistoryConfig has no field 'num_heads'",
        ),
        ({"type": "diffusion", "history": {"hidden_size": 8}}, "Unknown history None"),
        ({"type": "diffusion", "num_inference_steps": 30}, "num_train_timesteps = 100 must be a multiple"),
        ({"type": "diffusion", "prediction_type": "epsilon", "clip_range": None}, "clip_range must be set"),
        ({"type": "flow_matching", "denoiser_size": 100}, "denoiser_size = 100 must be a multiple"),
        ({"type": "flow_matching", "num_train_timesteps": 100}, "has no field 'num_train_timesteps'"),
        ({"type": "transformer", "hidden_size": 100}, "num_heads = 8 must divide hidden_size = 100"),
        ({"type": "gru", "num_layers": 0}, "GRUHeadConfig.num_layers must be positive"),
        ({"type": "mlp", "dropout": 0.1}, "MLPHeadConfig has no field 'dropout'"),
        ({"type": "lstm", "pose_loss": "l1"}, "LSTMHeadConfig.pose_loss must be one of"),
    ],
)
def test_wrong_configs_are_refused(fields, message):
    with pytest.raises(ValueError, match=message):
        head_config_from_dict(fields)


@pytest.mark.parametrize("name", ["diffusion-transformer", "flow-gru"])
def test_inside_a_vla(name, tmp_path):
    """New heads are initialised though the model is built without memory, and survive save and load bit by bit."""
    sizes = {"window_size": 3, "chunk_size": CHUNK, "action_dim": ACTION_DIM, "gripper_dims": GRIPPERS}
    backbone = tiny_backbone("paligemma", tmp_path / "backbone")
    vla = PolicyHeadContinuousVLA.from_backbone(str(backbone), head_config=HEADS[name], **sizes).eval()
    for key, parameter in vla.head.named_parameters():
        assert torch.isfinite(parameter).all() and parameter.abs().max() < 10, key
        assert parameter.std() > 1e-3 or "bias" in key or "norm" in key or "ln_" in key or parameter.eq(1).all(), key

    ids = torch.arange(5, 11).repeat(6, 1)
    window = {"input_ids": ids, "action_token_mask": ids == 10, "frame_mask": torch.ones(2, 3, dtype=torch.bool)}
    predicted = vla.predict_action_chunk(**window, generator=seeded(0))
    assert predicted.shape == (2, CHUNK, ACTION_DIM)

    vla.save_pretrained(tmp_path / "vla")
    loaded = AutoModel.from_pretrained(tmp_path / "vla").eval()
    assert loaded.config.head_config == HEADS[name]
    assert torch.equal(loaded.predict_action_chunk(**window, generator=seeded(0)), predicted)

    cache = vla.new_cache(2)
    for _ in range(3):
        frame = {"input_ids": ids[:2], "action_token_mask": ids[:2] == 10}
        streamed = vla.predict_action_chunk(**frame, cache=cache, generator=seeded(0))
    torch.testing.assert_close(streamed, predicted, atol=1e-5, rtol=0)
