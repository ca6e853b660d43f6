"""Where the time of `robovlms train` goes: the quickstart's recipe, on a few demonstrations, under cProfile.

    python benchmarks/training_profile.py --steps 100

Prints the share of each part of the training loop, and frames per CPU second (the profiler's own cost included). On two
shared cores, 2026-11-27: forward 35 %, backward 44 %, processor 9 %, decoding 3 %, optimizer 2 %, clipping 2 %, callbacks
and logging 1 %; 252 frames per CPU second. Were everything but the model free, a run would be 1.28 times as fast.
"""

import argparse
import cProfile
import pstats
import tempfile
import time
from pathlib import Path

from transformers import Trainer

from robovlms.cli import main as robovlms

PARTS = {
    # name: (file, function) of the frame whose cumulative time counts
    "forward": ("trainer.py", "compute_loss"),
    "backward": ("accelerator.py", "backward"),
    "loader: decoding": ("lerobot.py", "__getitem__"),
    "loader: processor": ("collator.py", "__call__"),
    "clipping": ("accelerator.py", "clip_grad_norm_"),
    "optimizer": ("optimizer.py", "step"),
    "zeroing gradients": ("module.py", "zero_grad"),
    "callbacks and logging": ("trainer_callback.py", "call_event"),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=100, help="of training (default: 100)")
    options = parser.parse_args()
    profiler, loop = cProfile.Profile(), Trainer._run_epoch
    cpu = 0.0

    def profiled(self: Trainer, *args, **kwargs):
        nonlocal cpu
        start = time.process_time()
        profiler.enable()
        try:
            return loop(self, *args, **kwargs)
        finally:
            profiler.disable()
            cpu += time.process_time() - start

    Trainer._run_epoch = profiled
    with tempfile.TemporaryDirectory() as folder:
        demonstrations = str(Path(folder) / "demonstrations")
        robovlms(["collect", "--output", demonstrations, "--episodes", "26"])
        options_of_run = {"dataset": demonstrations, "cameras": "static", "output_dir": str(Path(folder) / "run")}
        options_of_run |= {"max_steps": str(options.steps), "logging_steps": "20", "save_strategy": "no"}
        robovlms(["train", *(part for name, value in options_of_run.items() for part in (f"--{name}", value))])
    stats = vars(pstats.Stats(profiler))["stats"]
    cumulative = {
        name: max(
            (
                times[3]
                for (file, _, function), times in stats.items()
                if file.endswith(f"/{where[0]}") and function == where[1]
            ),
            default=0.0,
        )
        for name, where in PARTS.items()
    }
    whole = max(times[3] for (_, _, function), times in stats.items() if function == "_run_epoch")
    print()
    for name, seconds in cumulative.items():
        print(f"{name:24} {seconds / whole:6.1%}")
    print(f"{'other':24} {1 - sum(cumulative.values()) / whole:6.1%}")
    print(f"{options.steps * 32 / cpu:.0f} frames per CPU second")


if __name__ == "__main__":
    main()
