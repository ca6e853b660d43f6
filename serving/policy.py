"""A checkpoint as a controller: observations in, one action per control step out."""

from collections.abc import Sequence
from typing import Any, Self

import numpy as np
import torch

from ..modeling_robovlms.modeling_robovlms import RoboVLMPreTrainedModel
from ..modeling_robovlms.streaming import VLACache
from ..processing.processing_robovlms import RoboVLMProcessor
from .chunk_predictor import ChunkPredictor, Observation
from .observation_parts import Resize, described, read_instruction, require_resize


class Policy:
    """Runs a VLA step by step, for one robot or for many environments at once.

    Every `history_stride` control steps the newest observation goes into the window, every `n_action_steps` a new
    chunk is predicted; in between, the actions of the chunk are executed in order. Rows (environments) are independent:
    each has its own history and chunk.

    Args:
        model: a VLA.
        processor: the processor saved with it.
        embodiment: which contract to use; may be left out where the processor has one.
        n_action_steps: how many actions of a chunk to execute, instead of the contract's number.
        resize: what happens to a picture of another size than the contract's: it is refused, "stretch"ed, or "pad"ded with
            black to keep its proportions. What a policy sees should look as in training.

    Raises:
        ValueError: if model and contract do not fit together.

    Example:
        policy = Policy.from_pretrained("me/my_vla")
        policy.reset()  # when an episode begins
        observation = {"images": {"front": image}, "state": state}
        action = policy.select_action(observation, "push the block")  # (action_dim,), in the robot's units
    """

    def __init__(
        self,
        model: RoboVLMPreTrainedModel,
        processor: RoboVLMProcessor,
        embodiment: str | None = None,
        n_action_steps: int | None = None,
        resize: Resize = "refuse",
    ):
        self.predictor = ChunkPredictor(model, processor, embodiment, n_action_steps, resize)
        self.model, self.processor, self.contract = model, processor, self.predictor.contract
        self.reset()

    @classmethod
    def from_pretrained(
        cls,
        name_or_path: str,
        embodiment: str | None = None,
        n_action_steps: int | None = None,
        resize: Resize = "refuse",
        **model_options: Any,
    ) -> Self:
        """Model and processor of one checkpoint, from a folder or the Hub; options as of the class and of transformers'
        `from_pretrained`."""
        require_resize(resize)
        predictor = ChunkPredictor.from_pretrained(name_or_path, embodiment, n_action_steps, **model_options)
        return cls(predictor.model, predictor.processor, embodiment, n_action_steps, resize)

    def reset(self, rows: Sequence[int] | None = None, seeds: Sequence[int] | None = None) -> None:
        """Start new episodes in the given rows (None: in all).

        Args:
            seeds: one for each of `rows`; then what a sampling head draws in an episode depends on nothing but its seed.

        Raises:
            ValueError: for rows that the episode does not have, or another number of seeds.
        """
        if rows is not None and seeds is not None and len(rows) != len(seeds):
            raise ValueError(f"{len(rows)} rows need as many seeds, got {len(seeds)}.")
        if rows is not None and self._cache is not None and not set(rows) <= set(range(len(self._steps))):
            raise ValueError(f"rows {list(rows)} are not all among the {len(self._steps)} of the episode, from 0.")
        if rows is None:
            self._generators: dict[int, torch.Generator] = {}
            self._cache: VLACache | None = None
            self._steps = np.zeros(0, dtype=int)
            self._chunks = np.zeros((0, self.contract.chunk_size, self.contract.action_dim), dtype=np.float32)
        elif len(rows) and self._cache is not None:
            self._steps[list(rows)] = 0
            self._cache.reset(rows)
        for row in () if rows is None else rows:
            self._generators.pop(row, None)
        if seeds is not None:
            rows = range(len(seeds)) if rows is None else rows
            self._generators |= {row: torch.Generator().manual_seed(s) for row, s in zip(rows, seeds, strict=True)}

    def select_action(
        self, observation: Observation | Sequence[Observation], instruction: str | Sequence[str]
    ) -> np.ndarray:
        """Return the next action in the robot's units, `(action_dim,)`; for lists of observations and instructions,
        one row each, `(rows, action_dim)`.

        Args:
            observation: `{"images": {camera: picture}, "state": (state_dim,)}`. A picture is uint8 or floats in [0, 1],
                `(height, width, 3)` or `(3, height, width)`, array or tensor, or a PIL image.
            instruction: a sentence per observation.

        Raises:
            ValueError: naming what is missing, or is not as the contract says.
        """
        if not isinstance(observation, Sequence):
            return self.select_action([observation], [read_instruction(instruction, "instruction")])[0]
        if not isinstance(instruction, list | tuple) or len(instruction) != len(observation):
            raise ValueError(
                f"{len(observation)} observations need as many instructions, got {described(instruction)}."
            )
        for sentence in instruction:
            read_instruction(sentence, "instruction")
        self._require_rows(len(observation))
        self._observe(observation, instruction)
        within = self._steps % self.contract.n_action_steps
        self._steps += 1
        return self._chunks[np.arange(len(observation)), within].copy()

    def _require_rows(self, rows: int) -> None:
        if self._cache is None:
            self._cache = self.predictor.new_cache(rows)
            self._steps = np.zeros(rows, dtype=int)
            self._chunks = np.zeros((rows, self.contract.chunk_size, self.contract.action_dim), dtype=np.float32)
        elif rows != len(self._steps):
            raise ValueError(f"Got {rows} observations, the episode runs with {len(self._steps)}: call reset() first.")

    def _observe(self, observations: Sequence[Observation], instructions: Sequence[str]) -> None:
        """Feed the model the rows whose turn it is, and keep the chunks of those that need a new one."""
        due = np.flatnonzero(self._steps % self.predictor.observation_interval == 0).tolist()
        if not due or self._cache is None:
            return
        cache = self._cache.select(due)
        chunks = self.predictor.predict(
            [observations[row] for row in due],
            [instructions[row] for row in due],
            cache,
            generators=[self._generators.get(row) for row in due],
        )
        self._cache.write(due, cache)
        replan = self._steps[due] % self.contract.n_action_steps == 0
        self._chunks[np.array(due)[replan]] = chunks[replan]
