"""CPU time of one steady-state control step, streaming against recomputing what streaming saves.

    python benchmarks/control_step.py [--json FILE] [--repeats 15]

One random KosMos-2-like backbone (vision 6 x 256 at 224/14, text 6 x 512, 64 latents), two cameras, window 8, chunk 10,
one thread, fp32; interleaved with an MLP head, policy head with LSTMs as wide as the language model and twice as wide. Both sides of each ratio run in this process, alternating; figures are medians of CPU time.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch
from transformers import Kosmos2Config

from robovlms import (
    InterleavedContinuousConfig,
    InterleavedContinuousVLA,
    PolicyHeadContinuousConfig,
    PolicyHeadContinuousVLA,
)
from robovlms.modeling_robovlms import ContinuousVLA

WINDOW, CHUNK, CAMERAS, LATENTS, TEXT = 8, 10, 2, 64, 14


def backbone_config() -> Kosmos2Config:
    return Kosmos2Config(
        text_config={
            "vocab_size": 32_000,
            "embed_dim": 512,
            "layers": 6,
            "ffn_dim": 2048,
            "attention_heads": 8,
            "max_position_embeddings": 4096,
        },
        vision_config={
            "hidden_size": 256,
            "intermediate_size": 1024,
            "num_hidden_layers": 6,
            "num_attention_heads": 8,
            "image_size": 224,
            "patch_size": 14,
        },
        latent_query_num=LATENTS,
    )


def frames(count: int) -> dict[str, torch.Tensor]:
    """The processor's layout of `count` frames of one sample: per camera mark, image, mark; text; action token."""
    image = [10] + [11] * LATENTS + [12]
    row = [0] + image * CAMERAS + list(range(20, 20 + TEXT)) + [5]
    input_ids = torch.tensor([row] * count)
    return {
        "input_ids": input_ids,
        "attention_mask": torch.ones_like(input_ids),
        "image_embeds_position_mask": (input_ids == 11).long(),
        "action_token_mask": input_ids == 5,
        "pixel_values": torch.randn(count * CAMERAS, 3, 224, 224),
        "frame_mask": torch.ones(1, count, dtype=torch.bool),
    }


def streaming(vla: ContinuousVLA) -> Callable[[], object]:
    """A control step with a full window behind it."""
    cache = vla.new_cache(1)
    frame = frames(1)
    for _ in range(WINDOW):
        vla.predict_action_chunk(cache=cache, **frame)
    return lambda: vla.predict_action_chunk(cache=cache, **frame)


@torch.inference_mode()
def backbone_pass(vla: ContinuousVLA, frame: dict[str, torch.Tensor]) -> None:
    """The newest frame through the backbone, up to the action token's features."""
    inputs = dict(frame)
    vla.features(inputs, inputs.pop("frame_mask"), None)


def compare(sides: dict[str, Callable[[], object]], repeats: int) -> dict[str, float]:
    """Median CPU milliseconds of each side, run in turns."""
    times: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(repeats + 1):
        for name, side in sides.items():
            start = time.process_time()
            side()
            times[name].append(1000 * (time.process_time() - start))
    return {name: statistics.median(values[1:]) for name, values in times.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, default=None)
    parser.add_argument("--repeats", type=int, default=15)
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    sizes = {"vlm_config": backbone_config(), "window_size": WINDOW, "chunk_size": CHUNK}
    window = InterleavedContinuousVLA(InterleavedContinuousConfig(**sizes)).eval()
    banded = InterleavedContinuousVLA(InterleavedContinuousConfig(**sizes, frame_attention="banded")).eval()
    policy_heads = {
        width: PolicyHeadContinuousVLA(
            PolicyHeadContinuousConfig(**sizes, head_config={"type": "lstm", "hidden_size": width})
        ).eval()
        for width in (512, 1024)
    }

    whole, newest = frames(WINDOW), frames(1)
    interleaved = compare(
        {
            "window, recomputed": lambda: window.predict_action_chunk(**whole),
            "window, streaming": streaming(window),
            "banded, streaming": streaming(banded),
        },
        options.repeats,
    )
    head = compare(
        {
            "policy head, LSTM 4 x 512, streaming": streaming(policy_heads[512]),
            "policy head, LSTM 4 x 1024, streaming": streaming(policy_heads[1024]),
            "backbone pass over the newest frame": lambda: backbone_pass(policy_heads[512], newest),
        },
        2 * options.repeats,
    )
    for name, value in (interleaved | head).items():
        print(f"{name:38} {value:8.1f} ms of CPU time")
    full, one_pass = interleaved["window, recomputed"], head["backbone pass over the newest frame"]
    result = {
        "window_speedup": full / interleaved["window, streaming"],
        "banded_speedup": full / interleaved["banded, streaming"],
        "policy_head_overhead": head["policy head, LSTM 4 x 512, streaming"] / one_pass - 1,
        "policy_head_overhead_1024": head["policy head, LSTM 4 x 1024, streaming"] / one_pass - 1,
        "milliseconds": interleaved | head,
    }
    print({name: round(value, 3) for name, value in result.items() if name != "milliseconds"})
    if options.json:
        options.json.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
