"""A checkpoint as a function: observations, instruction and past in, chunk of actions out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import torch
from transformers import AutoModel, AutoProcessor
from transformers.utils.peft_utils import find_adapter_config_file

from ..configuration.action_contract import ActionContract
from ..configuration.hub_access import require_reachable
from ..modeling_robovlms.adapters import base_vla, load_adapter
from ..modeling_robovlms.heads import ChunkOverlap
from ..modeling_robovlms.modeling_robovlms import RoboVLMPreTrainedModel
from ..modeling_robovlms.one_step_discrete import OneStepDiscreteVLA
from ..modeling_robovlms.streaming import VLACache, join_caches
from ..processing.processing_robovlms import RoboVLMProcessor
from .observation_parts import Resize, described, read_instruction, read_picture, read_state, require_resize
from .overlap import RunningChunk, overlap_weights

Observation = Mapping[str, Any]


@dataclass
class ChunkRequest:
    """What one robot asks.

    Args:
        observation: `{"images": {camera: uint8 (height, width, 3)}, "state": (state_dim,)}`.
        history: observations since the last request that the policy has not seen, oldest first.
        running: the chunk that is being executed, which the new one is to join (real-time chunking).
    """

    observation: Observation
    instruction: str
    history: Sequence[Observation] = ()
    running: RunningChunk | None = None


class ChunkPredictor:
    """Model and processor of one embodiment. What it remembers of an episode is in caches that the caller holds.

    Args:
        model: a VLA.
        processor: the processor saved with it.
        embodiment: which contract to use; may be left out where the processor has one.
        n_action_steps: how many actions of a chunk to execute, instead of the contract's number.
        resize: what happens to a picture of another size than the contract's: it is refused, "stretch"ed, or "pad"ded.

    Raises:
        ValueError: if model and contract do not fit together.
    """

    def __init__(
        self,
        model: RoboVLMPreTrainedModel,
        processor: RoboVLMProcessor,
        embodiment: str | None = None,
        n_action_steps: int | None = None,
        resize: Resize = "refuse",
    ):
        require_resize(resize)
        self.resize: Resize = resize
        self.model = model.eval()
        self.processor = processor
        self.contract = processor.contract(embodiment)
        if n_action_steps is not None:
            self.contract = self.contract.replace(n_action_steps=n_action_steps)
        require_fit(model, processor, self.contract)

    @classmethod
    def from_pretrained(
        cls, name_or_path: str, embodiment: str | None = None, n_action_steps: int | None = None, **model_options: Any
    ) -> Self:
        """Model and processor of one checkpoint, or of an adapter over its backbone, from a folder or the Hub.

        Raises:
            OSError: within seconds, for what is no folder while the Hub cannot be reached.
            ValueError: for a model without action contract.
        """
        require_reachable(name_or_path)
        processor = AutoProcessor.from_pretrained(name_or_path)
        if not hasattr(processor, "contract"):
            raise ValueError(
                f"{name_or_path} holds a {type(processor).__name__}, which knows no actions: a policy needs a VLA's "
                "checkpoint, with model and processor saved."
            )
        if find_adapter_config_file(name_or_path) is None:
            model = AutoModel.from_pretrained(name_or_path, **model_options)
        else:
            model = base_vla(load_adapter(name_or_path, **model_options))
        return cls(model, processor, embodiment, n_action_steps)

    @property
    def observation_interval(self) -> int:
        """Control steps between two observations that the policy sees."""
        contract = self.contract
        return contract.history_stride if contract.window_size > 1 else contract.n_action_steps

    @property
    def is_guided(self) -> bool:
        """Whether the head samples, so that it can be guided towards a running chunk; others mix the two."""
        head = getattr(self.model.config, "head_config", None)
        return getattr(head, "samples", False)

    def new_cache(self, rows: int = 1) -> VLACache:
        """Return an empty memory of `rows` episodes."""
        return self.model.new_cache(rows)

    @torch.inference_mode()
    def predict(
        self,
        observations: Sequence[Observation],
        instructions: Sequence[str],
        cache: VLACache,
        overlap: ChunkOverlap | None = None,
        generators: Sequence[torch.Generator | None] | None = None,
    ) -> np.ndarray:
        """Chunks in the robot's units, float32 `(rows, chunk, action_dim)`; the observations go into `cache`. Sampling
        heads draw from `generators`, one per row, or from torch's own."""
        embodiment, states = self.contract.embodiment, stack_states(observations, self.contract)
        inputs = self.processor(
            images=[self._pictures(observation) for observation in observations],
            instruction=[read_instruction(instruction, "instruction") for instruction in instructions],
            state=None if states is None else states[:, None],
            embodiment=embodiment,
        ).to(self.model.device)
        if isinstance(self.model, OneStepDiscreteVLA) and not self.model.config.is_uniform:
            # The processor alone can decode it.
            tokens = self.model.predict_tokens(**inputs).cpu().numpy()
            chunks = self.processor.decode_action_tokens(tokens, embodiment, states)
            if overlap is None:
                return chunks
            normal = torch.from_numpy(self.processor.encode_actions(chunks, embodiment, states))
            chunks = overlap.to(normal).blend(normal)
        else:
            chunks = self.model.predict_action_chunk(**inputs, cache=cache, generator=generators, overlap=overlap)
        return self.processor.decode_actions(chunks, embodiment, states)

    def answer(
        self, requests: Sequence[ChunkRequest], caches: Sequence[VLACache]
    ) -> tuple[np.ndarray, list[VLACache]]:
        """Return the chunks of several robots at once, `(requests, chunk, action_dim)`, and their new caches (the
        given ones stay as they are)."""
        caches = list(caches)
        for distance in range(max(len(request.history) for request in requests), 0, -1):
            rows = [row for row, request in enumerate(requests) if len(request.history) >= distance]
            cache = join_caches([caches[row] for row in rows])
            observations = [requests[row].history[-distance] for row in rows]
            self.predict(observations, [requests[row].instruction for row in rows], cache)
            for index, row in enumerate(rows):
                caches[row] = cache.select([index])
        cache = join_caches(caches)
        chunks = self.predict(
            [request.observation for request in requests],
            [request.instruction for request in requests],
            cache,
            self._overlap(requests),
        )
        return chunks, [cache.select([row]) for row in range(len(requests))]

    def _overlap(self, requests: Sequence[ChunkRequest]) -> ChunkOverlap | None:
        """What each row's new chunk must join, as the model would have to predict it from the new observation; weights of
        zero where nothing runs."""
        if not any(request.running for request in requests):
            return None
        contract = self.contract
        states = stack_states([request.observation for request in requests], contract)
        actions = np.zeros((len(requests), contract.chunk_size, self.processor.widths.action_dim), dtype=np.float32)
        weights = np.zeros(actions.shape[:2], dtype=np.float32)
        for row, request in enumerate(requests):
            if (chunk := request.running) is not None:
                known, state = min(len(chunk.actions), contract.chunk_size), None if states is None else states[row]
                actions[row, :known] = self.processor.encode_actions(chunk.actions[:known], contract.embodiment, state)
                weights[row] = overlap_weights(contract.chunk_size, known, chunk.delay)
        return ChunkOverlap(torch.from_numpy(actions), torch.from_numpy(weights))

    def _pictures(self, observation: Observation) -> dict[str, np.ndarray]:
        """What the policy looks at; of a camera that is missing the processor tells."""
        return {
            camera.name: read_picture(
                observation["images"][camera.name], camera, f"images/{camera.name}", resize=self.resize
            )
            for camera in self.contract.cameras
            if camera.name in observation["images"]
        }


def require_observation(observation: Any) -> None:
    """Raises ValueError where it is no mapping, or its pictures are none by camera."""
    if not isinstance(observation, Mapping):
        raise ValueError(f"an observation must be a mapping with 'images' and 'state', got {described(observation)}.")
    if not isinstance(images := observation.get("images"), Mapping):
        got = f"keys {sorted(map(str, observation))}" if images is None else described(images)
        raise ValueError(f"an observation's 'images' must map names of cameras to pictures, got {got}.")


def stack_states(observations: Sequence[Observation], contract: ActionContract) -> np.ndarray | None:
    """Return the observations' states `(rows, state_dim)`, for the policy's eyes or for its contract's transform; None
    where the contract has none. Raises ValueError naming the rows that lack it, and for what is no observation."""
    for observation in observations:
        require_observation(observation)
    if contract.state is None:
        return None
    if missing := [index for index, observation in enumerate(observations) if observation.get("state") is None]:
        user = contract.embodiment if contract.seen_state is not None else str(contract.transform)
        raise ValueError(f"observation lacks 'state' in row(s) {missing}; {user!r} uses it.")
    return np.stack([read_state(observation["state"], contract.state, "state") for observation in observations])


def require_fit(model: RoboVLMPreTrainedModel, processor: RoboVLMProcessor, contract: ActionContract) -> None:
    """Raises ValueError where the model was made for another contract or processor."""
    wanted = contract.model_sizes | processor.widths.config_fields
    if processor.action_tokenizer is not None:  # tokens of grippers are like all others
        wanted.pop("gripper_dims")
    for name, ours in wanted.items():
        theirs = getattr(model.config, name)
        theirs = list(theirs) if isinstance(theirs, tuple) else theirs
        if ours != theirs:
            whose = f"contract of {contract.embodiment!r}"
            if len(processor.contracts) > 1 and name in processor.widths.config_fields:
                whose = f"contracts of {sorted(processor.contracts)} together"
            raise ValueError(
                f"{name} is {ours} in the {whose} and {theirs} in the model: this processor belongs to another model."
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
