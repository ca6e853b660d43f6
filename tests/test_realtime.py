"""Real-time control: chunks that join, timelines, asynchronous inference and its deadlines."""

import threading

import numpy as np
import pytest
import torch

from robovlms import (
    InterleavedContinuousVLA,
    OneStepContinuousConfig,
    OneStepContinuousVLA,
    OneStepDiscreteVLA,
    Policy,
    PolicyHeadContinuousVLA,
    RoboVLMProcessor,
)
from robovlms.configuration import LSTMHeadConfig
from robovlms.modeling_robovlms.heads import ActionTargets, ChunkOverlap
from robovlms.modeling_robovlms.heads.diffusion import DiffusionDecoder
from robovlms.modeling_robovlms.heads.flow_matching import FlowMatchingDecoder
from robovlms.serving import ChunkPredictor, PolicyClient, PolicyServer, random_observation
from robovlms.serving.background import in_background
from robovlms.serving.overlap import overlap_weights
from robovlms.serving.realtime import (
    ActionTimeline,
    AsynchronousController,
    DeadlineMissed,
    LocalChunks,
    SynchronousController,
    holding_action,
)


def test_overlap_weights():
    """1 where the running chunk is executed in any case, 0 where it has ended, falling in between."""
    weights = overlap_weights(10, known=7, delay=3)
    assert weights[:3].tolist() == [1, 1, 1] and weights[7:].tolist() == [0, 0, 0]
    assert (np.diff(weights[2:8]) < 0).all()
    c = (7 - 3) / (7 - 3 + 1)  # equation 5 of the paper at the first step after the delay
    assert weights[3] == pytest.approx(c * (np.exp(c) - 1) / (np.e - 1))
    assert overlap_weights(4, known=4, delay=4).tolist() == [1, 1, 1, 1]


DECODERS = {
    "flow_matching": (FlowMatchingDecoder, {"num_inference_steps": 10}),
    "diffusion": (DiffusionDecoder, {"num_inference_steps": 10}),
    "diffusion v": (DiffusionDecoder, {"num_inference_steps": 10, "prediction_type": "v_prediction"}),
}


@pytest.mark.parametrize("name", DECODERS)
def test_sampled_chunks_join_the_running_one(name):
    """Two ways round an obstacle: a chunk that must join one going left goes on to the left (unguided, half of them do), while
    others in the batch stay free; what is executed in any case is kept exactly."""
    decoder_class, options = DECODERS[name]
    head = {
        "type": name.split()[0],
        "denoiser_size": 32,
        "denoiser_layers": 2,
        "denoiser_heads": 2,
        "num_draws": 2,
    } | options
    config = OneStepContinuousConfig(action_dim=2, chunk_size=8, gripper_dims=[], head_config=head, state_dim=0)
    torch.manual_seed(0)
    decoder = decoder_class(config, config.head_config, 4)
    left = torch.stack([-torch.ones(8), torch.linspace(-0.5, 0.5, 8)], dim=-1)
    right = left * torch.tensor([-1.0, 1.0])
    optimizer = torch.optim.Adam(decoder.parameters(), 3e-3)
    for _ in range(400):
        side = torch.randint(2, (64, 1, 1, 1))
        actions = torch.where(side == 1, left, right) + 0.02 * torch.randn(64, 1, 8, 2)
        targets = ActionTargets(actions, torch.ones(64, 1, 8, dtype=torch.bool), 64 * 8)
        loss = decoder(torch.zeros(64, 1, 4), targets=targets).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    weights = torch.from_numpy(overlap_weights(8, known=5, delay=2))[None].repeat(200, 1)
    weights[100:] = 0
    running = (left + 0.05)[None].repeat(200, 1, 1)

    def sample(overlap):
        with torch.inference_mode():  # as in control
            generator = torch.Generator().manual_seed(1)
            return decoder(torch.zeros(200, 1, 4), generator=generator, overlap=overlap).actions[:, 0]

    def share_to_the_left(actions):
        return (actions[:100, 2:, 0] < -0.5).all(dim=1).float().mean()

    free, joined = sample(None), sample(ChunkOverlap(running, weights))
    assert torch.equal(joined[:100, :2], running[:100, :2])
    assert share_to_the_left(free) < 0.7 and share_to_the_left(joined) > 0.9
    torch.testing.assert_close(joined[100:], free[100:], atol=1e-4, rtol=0)


@pytest.mark.parametrize("structure", [OneStepContinuousVLA, PolicyHeadContinuousVLA, InterleavedContinuousVLA])
def test_regressed_chunks_are_mixed_with_the_running_one(structure, backbone, contract):
    agreed = contract(chunk_size=5, window_size=1 if structure is OneStepContinuousVLA else 2, n_action_steps=2)
    head = (
        {}
        if structure is not PolicyHeadContinuousVLA
        else {"head_config": LSTMHeadConfig(hidden_size=32, num_layers=1)}
    )
    vla = structure.from_backbone(backbone("smolvlm"), agreed, **head)
    source = LocalChunks(ChunkPredictor(vla, RoboVLMProcessor.from_backbone(backbone("smolvlm"), agreed)))
    observation = random_observation(agreed)
    free = source.predict(observation, "push")
    source.reset()
    running = np.tile(np.array([0.1, -0.1, 0.1, 0, 0, 0.2, 1], np.float32), (4, 1))
    joined = source.predict(observation, "push", running=running, delay=2)
    np.testing.assert_allclose(joined[:2], running[:2], atol=1e-5)
    np.testing.assert_allclose(joined[4], free[4], atol=1e-5)
    weight = overlap_weights(5, 4, 2)[2]
    np.testing.assert_allclose(joined[2, :6], (weight * running[2] + (1 - weight) * free[2])[:6], atol=1e-5)
    assert set(joined[:, 6]) <= {0.0, 1.0}


def test_chunks_join_by_default_where_the_head_samples(predictor, backbone, contract):
    vla = OneStepContinuousVLA.from_backbone(
        backbone("smolvlm"), predictor.contract, head_config={"type": "flow_matching", "denoiser_size": 32}
    )
    sampling = ChunkPredictor(vla, RoboVLMProcessor.from_backbone(backbone("smolvlm"), predictor.contract))
    for parts, joins in ((predictor, False), (sampling, True)):
        with in_background(PolicyServer(parts)) as server, PolicyClient(port=server.port) as client:
            controllers = [AsynchronousController(source) for source in (parts, client)]
            assert [controller.join for controller in controllers] == [joins, joins]
            if joins:
                running = np.zeros((3, 7), np.float32)
                chunk = client.predict(random_observation(parts.contract), "push", running=running, delay=2)
                np.testing.assert_allclose(chunk[:2], running[:2], atol=1e-5)
            for controller in controllers:
                controller.close()


def test_discrete_chunks_are_mixed_with_the_running_one(backbone, contract):
    agreed = contract(state=None, action=contract().action.replace(normalization="quantile"))
    processor = RoboVLMProcessor.from_backbone(backbone("smolvlm"), agreed, action_bins=16)
    ids = processor.action_tokenizer.token_ids
    vla = OneStepDiscreteVLA.from_backbone(backbone("smolvlm"), agreed, action_token_ids=ids)
    source, observation = LocalChunks(ChunkPredictor(vla, processor)), random_observation(agreed)
    free = source.predict(observation, "push")
    running = np.zeros((2, 7), np.float32)
    joined = source.predict(observation, "push", running=running, delay=1)
    np.testing.assert_allclose(joined[0], running[0], atol=1e-5)
    np.testing.assert_allclose(joined[2], free[2], atol=1e-5)


def test_joining_over_the_wire(predictor):
    local, observation = LocalChunks(predictor), random_observation(predictor.contract)
    running = np.zeros((3, 7), np.float32)
    wanted = local.predict(observation, "push", running=running, delay=1)
    with in_background(PolicyServer(predictor)) as server, PolicyClient(port=server.port) as client:
        np.testing.assert_allclose(client.predict(observation, "push", running=running, delay=1), wanted, atol=1e-6)


def test_timeline(contract):
    agreed = contract(chunk_size=4)
    timeline = ActionTimeline(agreed)
    chunks = [np.full((4, 7), value, np.float32) for value in (0.0, 1.0)]
    timeline.put(0, chunks[0])
    assert timeline.get(0)[0] == 0 and len(timeline.running(1)) == 3
    timeline.put(2, chunks[1])
    assert [timeline.get(step)[0] for step in (1, 2, 5)] == [0, 1, 1]
    assert timeline.get(6) is None
    ensemble = ActionTimeline(agreed, ensemble=np.log(3))
    ensemble.put(0, chunks[0])
    ensemble.put(1, chunks[1])
    mean = ensemble.get(2)
    assert mean[0] == pytest.approx(0.25) and mean[6] == 0.0  # the gripper takes a side
    with pytest.raises(ValueError, match="quaternion"):
        ActionTimeline(contract(rotation="quaternion_xyzw"), ensemble=0.01)


def test_holding_still(contract):
    last = np.arange(7, dtype=np.float32)
    assert holding_action(contract(), last).tolist() == [0, 0, 0, 0, 0, 0, 6]
    assert holding_action(contract(mode="absolute"), last).tolist() == last.tolist()


class Gated:
    """Chunks whose actions tell at which step they were asked for; each comes when the test lets it."""

    guided = True

    def __init__(self, contract):
        self.contract, self.asked, self.gate = contract, [], threading.Semaphore(0)

    def reset(self):
        self.asked.clear()

    def predict(self, observation, instruction, history=(), running=None, delay=0):
        self.asked.append((observation, list(history), None if running is None else len(running), delay))
        assert self.gate.acquire(timeout=20)
        if observation == "broken":
            raise ValueError("the policy broke")
        return np.stack([np.full(7, 100 * observation + step) for step in range(self.contract.chunk_size)])


def settled(controller):
    """Wait until the chunk that was let through has been computed."""
    controller._pending.exception(timeout=20)


def test_asynchronous_inference(contract):
    source = Gated(contract(chunk_size=8, n_action_steps=3))
    controller = AsynchronousController(source, patience=0)
    source.gate.release()
    done = [controller.step(step, "push")[0] for step in range(4)]  # asks at 0, waits; asks again at 3
    assert done == [0, 1, 2, 3]
    done = [controller.step(step, "push")[0] for step in (4, 5)]
    assert done == [4, 5]  # the old chunk goes on meanwhile
    source.gate.release()
    settled(controller)
    assert source.asked[1][2:] == (5, 1)  # five steps are left of the running chunk
    assert controller.step(6, "push")[0] == 303  # the steps that are past are left out
    done = [controller.step(step, "push")[0] for step in range(7, 11)]
    assert done == [304, 305, 306, 307] and controller.times.missed == 0
    held = controller.step(11, "push")
    assert held[:6].tolist() == [0] * 6 and held[6] == 307 and controller.times.missed == 1
    controller.step(12, "push")
    assert controller.times.longest_gap == pytest.approx(2 * 0.1)
    source.gate.release()
    settled(controller)
    assert source.asked[2][2:] == (5, 3)  # the delay that was seen
    assert controller.step(13, "push")[0] == 607 and controller.times.missed == 2
    source.gate.release()
    controller.reset()
    controller.close()


def test_a_step_waits_a_little_for_a_chunk_on_its_way(contract):
    source = Gated(contract(chunk_size=3, n_action_steps=2))
    controller = AsynchronousController(source, frequency=0.1, patience=0.9)  # a period of ten seconds
    source.gate.release()
    for step in range(3):
        controller.step(step, "push")  # asks again at 2
    threading.Timer(0.2, source.gate.release).start()
    assert controller.step(3, "push")[0] == 201 and controller.times.missed == 0
    source.gate.release()
    controller.close()
    with pytest.raises(ValueError, match="patience must be a part of the control period"):
        AsynchronousController(source, patience=1.0)


@pytest.mark.parametrize("on_miss", ["repeat", "stop"])
def test_missed_deadlines(contract, on_miss):
    source = Gated(contract(chunk_size=3, n_action_steps=2))
    controller = AsynchronousController(source, on_miss=on_miss)
    source.gate.release()
    for step in range(3):
        controller.step(step, "push")
    if on_miss == "repeat":
        assert [controller.step(3, "push")[0], controller.step(4, "push")[0]] == [2, 2]
    else:
        with pytest.raises(DeadlineMissed, match="no action for control step 3: the chunk asked for at step 2"):
            controller.step(3, "push")
    source.gate.release()
    controller.close()


def test_a_policy_that_breaks_is_heard_of(contract):
    source = Gated(contract(chunk_size=8, n_action_steps=1))
    controller = AsynchronousController(source)
    source.gate.release(2)
    controller.step(0, "push")
    controller.step("broken", "push")
    settled(controller)
    with pytest.raises(ValueError, match="the policy broke"):
        controller.step(2, "push")
    controller.close()
    with pytest.raises(ValueError, match="n_action_steps = 8 must be below chunk_size = 8"):
        AsynchronousController(source, n_action_steps=8)


def test_observations_of_the_window_are_not_lost_while_the_policy_thinks(contract):
    source = Gated(contract(chunk_size=8, n_action_steps=2, history_stride=2, window_size=3))
    controller = AsynchronousController(source)
    source.gate.release()
    for step in range(7):
        controller.step(step, "push")  # asked at 0 and 2; nothing arrives
    source.gate.release()
    settled(controller)
    controller.step(7, "push")
    controller.step(8, "push")
    source.gate.release()
    settled(controller)
    assert [each[:2] for each in source.asked] == [(0, []), (2, []), (8, [4, 6])]
    controller.reset()
    controller.close()


def test_synchronous_control_is_the_policys(predictor, backbone, contract):
    agreed = contract(window_size=3, history_stride=2, chunk_size=5, n_action_steps=4)
    vla = PolicyHeadContinuousVLA.from_backbone(
        backbone("smolvlm"), agreed, head_config=LSTMHeadConfig(hidden_size=32)
    )
    remembering = ChunkPredictor(vla, RoboVLMProcessor.from_backbone(backbone("smolvlm"), agreed))
    for parts in (predictor, remembering):
        policy, controller = Policy(parts.model, parts.processor), SynchronousController(parts)
        for step in range(10):
            observation = random_observation(parts.contract, step)
            wanted = policy.select_action(observation, "push")
            np.testing.assert_allclose(controller.step(observation, "push"), wanted, atol=1e-6)
    with pytest.raises(ValueError, match="multiple of history_stride"):
        SynchronousController(remembering, n_action_steps=3)
