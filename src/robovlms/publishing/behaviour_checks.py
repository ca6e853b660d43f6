"""Does the checkpoint do what it did when it was saved, and does it look at its cameras?"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from robovlms.checkpoint.golden_sample import INSTRUCTION, SEED, answer_to, evaluating, golden_inputs
from robovlms.checkpoint.loading import load_checkpoint
from robovlms.checkpoint.record import CheckpointRecord
from robovlms.configuration import ActionContract
from robovlms.serving.chunk_predictor import require_fit

from .findings import Finding

SMALLEST_EFFECT = 1e-6  # of a changed image, in normalised actions or logits


def check_behaviour(
    folder: Path, contracts: list[ActionContract], record: CheckpointRecord | None
) -> Iterator[Finding]:
    """Loads the checkpoint."""
    try:
        model, processor = load_checkpoint(folder)
    except Exception as error:  # whatever it is, it is a finding
        yield Finding("loading", "problem", f"it does not load: {error}")
        return
    yield Finding("loading", "ok", f"{type(model).__name__} and its processor load")
    for contract in contracts:
        try:
            require_fit(model, processor, contract)
        except ValueError as error:
            yield Finding("loading", "problem", str(error))
            continue
        yield check_golden_sample(model, processor, contract, record)
        yield from check_images(model, processor, contract)


def check_golden_sample(
    model: Any, processor: Any, contract: ActionContract, record: CheckpointRecord | None
) -> Finding:
    """Return the recorded sample, computed again."""
    sample = record.golden_samples.get(contract.embodiment) if record is not None else None
    if sample is None:
        return Finding(
            "golden", "note", f"no golden sample of {contract.embodiment!r} is on record: nothing to compare with"
        )
    deviation = sample.deviation(model, processor, contract)
    if deviation > sample.tolerance:
        return Finding(
            "golden",
            "problem",
            f"the golden sample of {contract.embodiment!r} gives another action than when the checkpoint was saved: "
            f"off by {deviation:.2g} of a range of 2, tolerance {sample.tolerance:g}.",
        )
    return Finding("golden", "ok", f"the golden sample of {contract.embodiment!r} is reproduced to {deviation:.1e}")


def check_images(model: Any, processor: Any, contract: ActionContract) -> Iterator[Finding]:
    """Yield whether the picture of each camera changes the action."""
    before = compute_response(model, processor, contract, {})
    images = golden_inputs(contract, SEED)["images"]
    ignored = []
    for name in contract.camera_names:
        changed = compute_response(model, processor, contract, {name: 255 - images[name]})
        if changed.shape == before.shape and np.abs(changed - before).max() <= SMALLEST_EFFECT:
            ignored.append(name)
    if ignored:
        yield Finding(
            "images", "problem", f"image ignored: whatever camera(s) {ignored} see(s), the action stays the same."
        )
    else:
        yield Finding("images", "ok", f"a changed image of each of {list(contract.camera_names)} changes the action")


@torch.inference_mode()
def compute_response(
    model: Any, processor: Any, contract: ActionContract, images: dict[str, np.ndarray]
) -> np.ndarray:
    """Return the normalised action; where it is written in tokens, the logits of the first, which change before a
    token does."""
    if hasattr(model, "predict_tokens"):
        sample = golden_inputs(contract, SEED)
        sample["images"] |= images
        inputs = processor(instruction=INSTRUCTION, embodiment=contract.embodiment, **sample).to(model.device)
        with evaluating(model):
            return model(**inputs).logits[0, -1].double().cpu().numpy()
    return answer_to(model, processor, contract, SEED, INSTRUCTION, images)
