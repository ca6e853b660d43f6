"""One made-up sample and what a checkpoint answers to it: whoever loads the checkpoint can see that nothing changed."""

import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from robovlms.configuration.action_contract import ActionContract
from robovlms.configuration.serialization import StrictRecord

SEED = 0
INSTRUCTION = "pick up the red block"
# Largest difference of normalised actions, of which 2 is the whole range, between machines and kernels.
TOLERANCES = {torch.float32: 1e-3}
LOW_PRECISION_TOLERANCE = 0.05


@dataclass(frozen=True)
class GoldenSample(StrictRecord):
    """A sample's seed and the model's answer.

    Args:
        seed: of images, state and noise; see `golden_inputs`.
        instruction: what the policy is told.
        answer: the normalised chunk, row by row, flattened; for FAST encodings the action tokens.
        tolerance: how far another machine's answer may be off.
    """

    seed: int
    instruction: str
    answer: tuple[float, ...]
    tolerance: float

    @classmethod
    def of(cls, model: Any, processor: Any, embodiment: str) -> "GoldenSample":
        """Ask a model that is in memory."""
        tolerance = TOLERANCES.get(model.dtype, LOW_PRECISION_TOLERANCE)
        answer = answer_to(model, processor, processor.contract(embodiment), SEED, INSTRUCTION)
        return cls(SEED, INSTRUCTION, tuple(answer.tolist()), tolerance)

    def deviation(self, model: Any, processor: Any, contract: ActionContract) -> float:
        """Return how far the model's answer is from the recorded one; infinity where it has another length."""
        answer = answer_to(model, processor, contract, self.seed, self.instruction)
        if answer.shape != (len(self.answer),):
            return float("inf")
        return float(np.abs(answer - np.array(self.answer)).max(initial=0.0))


def golden_inputs(contract: ActionContract, seed: int) -> dict[str, Any]:
    """Noise images `(window, height, width, 3)` of every camera, whose noise depends on the camera's name and not on its
    place, and where the policy sees one a state in the middle half of its range."""
    images = {}
    for camera in contract.cameras:
        noise = np.random.default_rng([seed, zlib.crc32(camera.name.encode())])
        shape = (contract.window_size, camera.height, camera.width, 3)
        images[camera.name] = noise.integers(0, 256, shape, dtype=np.uint8)
    inputs: dict[str, Any] = {"images": images}
    if contract.seen_state is not None:
        found = contract.seen_state.statistics
        low, high = (np.array(found.q01), np.array(found.q99)) if found else (-1.0, 1.0)
        middle = np.random.default_rng(seed).uniform(0.25, 0.75, (1, contract.window_size, contract.state_dim))
        inputs["state"] = low + middle * (np.asarray(high) - low)
    return inputs


@torch.inference_mode()
def answer_to(
    model: Any,
    processor: Any,
    contract: ActionContract,
    seed: int,
    instruction: str,
    images: dict[str, np.ndarray] | None = None,
) -> np.ndarray:
    """Return the model's normalised chunk (or FAST tokens), flat float64; `images` replace some of the sample's
    cameras."""
    sample = golden_inputs(contract, seed)
    sample["images"] |= images or {}
    inputs = processor(instruction=instruction, embodiment=contract.embodiment, **sample).to(model.device)
    with evaluating(model):
        if getattr(model.config, "action_tokenizer", None) == "fast":
            answer = model.predict_tokens(**inputs)
        else:
            answer = model.predict_action_chunk(**inputs, generator=torch.Generator().manual_seed(seed))
    return answer.detach().double().cpu().numpy().ravel()


@contextmanager
def evaluating(model: torch.nn.Module) -> Iterator[None]:
    """While open, every module is in evaluation mode; after it, each in its own again."""
    modes = {module: module.training for module in model.modules()}
    model.eval()
    try:
        yield
    finally:
        for module, training in modes.items():
            module.training = training
