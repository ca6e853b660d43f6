"""Reinforcement and preference learning of discrete VLAs: probabilities, a round of each with TRL, and the full examples."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from robovlms import OneStepDiscreteVLA, RoboVLMProcessor
from robovlms.evaluation import EpisodeResult, wilson_interval
from robovlms.training.trajectories import Trajectory, action_log_probs, join_decisions, split_rows

pytest.importorskip("trl", reason="pip install 'robovlms[rl]'")
EXAMPLES = Path(__file__).parents[1] / "examples"


@pytest.mark.parametrize("family", ["smolvlm", "paligemma", "qwen2_vl", "llava"])
def test_log_probs_are_those_that_tokens_are_drawn_from(family, backbone, contract):
    agreed = contract(state=None, grippers=(), chunk_size=1)
    processor = RoboVLMProcessor.from_backbone(backbone(family), agreed, action_bins=8)
    vla = OneStepDiscreteVLA.from_backbone(backbone(family), agreed, **processor.model_fields).eval()
    rng = np.random.default_rng(0)
    images = [
        {c.name: rng.integers(0, 256, (c.height, c.width, 3), dtype=np.uint8) for c in agreed.cameras}
        for _ in range(2)
    ]
    # Of different lengths, so that the shorter is padded.
    prompts = processor(images=images, instruction=["open", "pick up the red block and push it left"])
    prompts.pop("frame_mask")
    drawn = vla.predict_tokens(**prompts, temperature=1.0)
    tokens = torch.from_numpy(drawn.numpy())
    decisions = [row | {"completion_ids": ids} for row, ids in zip(split_rows(prompts), tokens, strict=True)]
    ids = processor.action_tokenizer.token_ids
    with torch.no_grad():
        together = action_log_probs(vla, join_decisions(decisions, processor.tokenizer.pad_token_id), ids, 0.7)
        for row, decision in enumerate(decisions):
            alone, entropies = action_log_probs(vla, join_decisions([decision], 0), ids, 0.7)
            torch.testing.assert_close(together[0][row], alone[0], atol=1e-4, rtol=1e-4)
            torch.testing.assert_close(together[1][row], entropies[0], atol=1e-4, rtol=1e-4)
            # As the processor lays out labels: prompt, then tokens.
            actions = processor.decode_action_tokens(tokens[row : row + 1].numpy())[:, None]
            instruction = ["open", "pick up the red block and push it left"][row]
            labelled = processor(images=images[row], instruction=instruction, actions=actions)
            logits = vla(**labelled).logits[0, -len(alone[0]) - 1 : -1][:, list(ids)] / 0.7
            chosen = [ids.index(token) for token in labelled["labels"][0, -len(alone[0]) :].tolist()]
            wanted = logits.log_softmax(-1)[range(len(chosen)), chosen]
            if chosen == [ids.index(token) for token in tokens[row].tolist()]:  # the last bin decodes as its neighbour
                torch.testing.assert_close(alone[0], wanted, atol=1e-4, rtol=1e-4)


@pytest.fixture(scope="module")
def examples():
    """The example scripts, importable as their own folder makes them."""
    sys.path.insert(0, str(EXAMPLES))
    yield
    sys.path.remove(str(EXAMPLES))


def test_a_round_of_grpo_in_the_simulator(examples, tmp_path):
    import grpo

    result = grpo.run(
        tmp_path, rounds=1, scenes=2, rollouts=4, num_envs=2, demonstrations=4, cloning_steps=10, episodes=2
    )
    assert len(result["training"]) == 1 and 0 <= result["training"][0][1] <= 1
    assert (tmp_path / "grpo.png").stat().st_size
    assert OneStepDiscreteVLA.from_pretrained(tmp_path / "policy").config.action_dim == 3


def test_dpo_learns_the_preferred_trajectories(backbone, contract, tmp_path):
    from trl import DPOConfig

    from robovlms.training.preferences import TrajectoryDPOTrainer, preference_pairs

    agreed = contract(state=None, grippers=(), chunk_size=1)
    processor = RoboVLMProcessor.from_backbone(backbone("smolvlm"), agreed, action_bins=8)
    vla = OneStepDiscreteVLA.from_backbone(backbone("smolvlm"), agreed, **processor.model_fields).eval()
    rng = np.random.default_rng(0)
    trajectories = []
    for number in range(8):
        steps = 2 + number % 3
        images = [
            {c.name: rng.integers(0, 256, (c.height, c.width, 3), dtype=np.uint8) for c in agreed.cameras}
            for _ in range(steps)
        ]
        prompts = processor(images=images, instruction=["open"] * steps)
        prompts.pop("frame_mask")
        tokens = torch.from_numpy(vla.predict_tokens(**prompts, temperature=1.0).numpy())
        rows = [row | {"completion_ids": ids} for row, ids in zip(split_rows(prompts), tokens, strict=True)]
        result = EpisodeResult("open", "open", seed=number // 2, success=bool(number % 2), steps=steps)
        trajectories.append(Trajectory(result, rows))
    pairs = preference_pairs(trajectories)
    assert len(pairs) == 4 and all(p.preferred.result.success and not p.rejected.result.success for p in pairs)
    arguments = DPOConfig(
        str(tmp_path), max_steps=6, per_device_train_batch_size=4, learning_rate=1e-3, logging_steps=1,
        remove_unused_columns=False, use_cpu=True, bf16=False, report_to="none", save_strategy="no",
    )  # fmt: skip
    trainer = TrajectoryDPOTrainer(vla, arguments, pairs, processor)
    trainer.train()
    margins = [log["rewards/margins"] for log in trainer.state.log_history if "rewards/margins" in log]
    assert margins[0] == pytest.approx(0, abs=1e-5) and margins[-1] > 0.1


def run_example(name: str, output: Path) -> dict:
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    subprocess.run(
        [sys.executable, str(EXAMPLES / f"{name}.py"), "--output", str(output)], check=True, env=environment
    )
    return json.loads((output / f"{name}.json").read_text())


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_grpo_raises_success(tmp_path):
    result = run_example("grpo", tmp_path)
    (before, count), (after, again) = result["before"], result["after"]
    assert after / again - before / count >= 0.15
    assert wilson_interval(after, again)[0] > wilson_interval(before, count)[1]
    assert result["grpo_minutes"] < 40


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_dpo_raises_the_margin_and_keeps_success(tmp_path):
    result = run_example("dpo", tmp_path)
    assert result["held_out_margins"][0][1] == 0 < result["held_out_margins"][-1][1]
    (before, count), (after, again) = result["before"], result["after"]
    assert after / again >= before / count - 0.05  # a fifth of the interval's width


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_cotraining_keeps_language(tmp_path):
    ratio = run_example("cotraining", tmp_path)["ratio"]
    assert ratio["co-training"] <= 1.1 < ratio["actions alone"]
