"""Data-parallel training on two real processes needs no `find_unused_parameters`."""

import os
import subprocess
import sys
from pathlib import Path

import torch

from robovlms import LSTMHeadConfig, MLPHeadConfig, OneStepContinuousVLA, PolicyHeadContinuousVLA, RoboVLMProcessor
from robovlms.data import VLACollator

MLP = MLPHeadConfig(hidden_size=16, decoder_sizes=(16,))
VLAS = {  # "adapted": with adapters in the language model and in the vision tower
    "llava": (OneStepContinuousVLA, 1, MLP),
    "llava adapted": (OneStepContinuousVLA, 1, MLP),
    "gemma3 adapted": (OneStepContinuousVLA, 1, MLP),
    "paligemma": (PolicyHeadContinuousVLA, 2, LSTMHeadConfig(hidden_size=16, num_layers=1, decoder_sizes=())),
}


def test_two_processes_step_without_a_search_for_unused_parameters(backbone, contract, sample, tmp_path):
    for family, (vla_class, window, head) in VLAS.items():
        own, published = contract(window_size=window), str(backbone(family.removesuffix(" adapted")))
        vla_class.from_backbone(published, own, head_config=head).save_pretrained(tmp_path / family)
        collate = VLACollator(RoboVLMProcessor.from_backbone(published, own))
        batches = [dict(collate([sample(own, 2 * rank + number) for number in range(2)])) for rank in range(2)]
        torch.save(batches, tmp_path / family / "batches.pt")
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"]
    script, folders = Path(__file__).parent / "ddp_step.py", [str(tmp_path / family) for family in VLAS]
    run = subprocess.run(
        [*launch, str(script), *folders],
        capture_output=True,
        text=True,
        timeout=300,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        cwd=tmp_path,
    )
    assert run.returncode == 0, run.stderr[-3000:]
    assert all(run.stdout.count(f"stepped {folder}\n") == 2 for folder in folders), run.stdout
