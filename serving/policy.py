"""A checkpoint as a controller: observations in, one action per control step out."""

from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np
import torch
from transformers import AutoModel, AutoProcessor

from ..modeling_robovlms.modeling_robovlms import ContinuousVLA
from ..modeling_robovlms.streaming import VLACache
from ..processing.processing_robovlms import RoboVLMProcessor

Observation = Mapping[str, Any]


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

    Raises:
        ValueError: if model and contract do not fit together.
    """

    def __init__(
        self,
        model: ContinuousVLA,
        processor: RoboVLMProcessor,
        embodiment: str | None = None,
        n_action_steps: int | None = None,
    ):
        self.model = model.eval()
        self.processor = processor
        self.contract = processor.contract(embodiment)
        if n_action_steps is not None:
            self.contract = self.contract.replace(n_action_steps=n_action_steps)
        for name in ("action_dim", "gripper_dims", "chunk_size", "state_dim", "window_size"):
            ours, theirs = getattr(self.contract, name), getattr(model.config, name)
            ours, theirs = (list(value) if isinstance(value, (list, tuple)) else value for value in (ours, theirs))
            if ours != theirs:
                raise ValueError(
                    f"{name} is {ours} in the contract of {self.contract.embodiment!r} and {theirs} in the model: "
                    "this processor belongs to another model."
                )
        if processor.num_action_tokens != model.config.num_action_tokens:
            raise ValueError(
                f"num_action_tokens is {processor.num_action_tokens} in the processor and "
                f"{model.config.num_action_tokens} in the model: this processor belongs to another model."
            )
        for name in ("token_source", "instruction_frames"):
            ours, theirs = getattr(processor, name), getattr(model.config, name, getattr(processor, name))
            if ours != theirs:
                raise ValueError(
                    f"{name} is {ours!r} in the processor and {theirs!r} in the model: this processor belongs to another "
                    "model."
                )
        self.reset()

    @classmethod
    def from_pretrained(cls, name_or_path: str, embodiment: str | None = None, **model_options: Any) -> Self:
        """Model and processor of one checkpoint, from a folder or the Hub."""
        model = AutoModel.from_pretrained(name_or_path, **model_options)
        return cls(model, AutoProcessor.from_pretrained(name_or_path), embodiment)

    def reset(self, rows: Sequence[int] | None = None) -> None:
        """Start new episodes in the given rows (None: in all)."""
        if rows is None:
            self._cache: VLACache | None = None
            self._steps = np.zeros(0, dtype=int)
            self._chunks = np.zeros((0, self.contract.chunk_size, self.contract.action_dim), dtype=np.float32)
        elif len(rows) and self._cache is not None:
            self._steps[list(rows)] = 0
            self._cache.reset(rows)

    def select_action(
        self, observation: Observation | Sequence[Observation], instruction: str | Sequence[str]
    ) -> np.ndarray:
        """The next action in the robot's units, `(action_dim,)`; for lists of observations and instructions, one row
        each, `(rows, action_dim)`.

        Args:
            observation: `{"images": {camera: uint8 (height, width, 3)}, "state": (state_dim,)}`.
        """
        if isinstance(observation, Mapping):
            return self.select_action([observation], [str(instruction)])[0]
        if isinstance(instruction, str) or len(instruction) != len(observation):
            raise ValueError(f"{len(observation)} observations need as many instructions, got {instruction!r}.")
        self._require_rows(len(observation))
        self._observe(observation, instruction)
        within = self._steps % self.contract.n_action_steps
        self._steps += 1
        return self._chunks[np.arange(len(observation)), within].copy()

    def _require_rows(self, rows: int) -> None:
        if self._cache is None:
            self._cache = self.model.new_cache(rows)
            self._steps = np.zeros(rows, dtype=int)
            self._chunks = np.zeros((rows, self.contract.chunk_size, self.contract.action_dim), dtype=np.float32)
        elif rows != len(self._steps):
            raise ValueError(f"Got {rows} observations, the episode runs with {len(self._steps)}: call reset() first.")

    @torch.inference_mode()
    def _observe(self, observations: Sequence[Observation], instructions: Sequence[str]) -> None:
        """Feed the model the rows whose turn it is, and keep the chunks of those that need a new one."""
        contract = self.contract
        stride = contract.history_stride if contract.window_size > 1 else contract.n_action_steps
        due = np.flatnonzero(self._steps % stride == 0)
        if not len(due):
            return
        inputs = self.processor(
            images=[observations[row]["images"] for row in due],
            instruction=[instructions[row] for row in due],
            state=self._states([observations[row] for row in due]),
            embodiment=contract.embodiment,
        ).to(self.model.device)
        cache = self._cache.select(due)
        if getattr(self.model.config, "action_tokenizer", None) == "fast":  # the processor alone can decode it
            tokens = self.model.predict_tokens(**inputs).cpu().numpy()
            decoded = self.processor.decode_action_tokens(tokens, embodiment=contract.embodiment)
        else:
            chunks = self.model.predict_action(**inputs, cache=cache)
            decoded = self.processor.decode_actions(chunks, embodiment=contract.embodiment)
        self._cache.write(due, cache)
        replan = self._steps[due] % contract.n_action_steps == 0
        self._chunks[due[replan]] = decoded[replan]

    def _states(self, observations: Sequence[Observation]) -> np.ndarray | None:
        if self.contract.state is None:
            return None
        if missing := [index for index, observation in enumerate(observations) if observation.get("state") is None]:
            raise ValueError(f"observation lacks 'state' in row(s) {missing}; {self.contract.embodiment!r} uses it.")
        return np.stack([observation["state"] for observation in observations])[:, None]
