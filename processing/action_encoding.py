"""States and actions of every embodiment to tensors, and predicted actions back to the robot."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from transformers import BatchFeature

from ..configuration.action_contract import ActionContract
from ..configuration.saving import travels_with
from .normalization import ActionNormalizer, VectorNormalizer

if TYPE_CHECKING:  # a processor of continuous actions does without it
    from .action_tokenizer import ActionTokenizer


class ActionEncoder:
    """Normalises by embodiment, and writes actions as labels or tokens.

    Args:
        contracts: by embodiment.
        tokenizer: writes actions as tokens, for the discrete structure; None for continuous ones.
        decoding: "autoregressive" tokens are appended to the prompts, "parallel" ones have placeholders there.
        text_tokenizer: the backbone's, whose end token ends a chunk where chunks differ in length.
        token_type: of appended tokens; None: that of a row's last token.

    Raises:
        ValueError: for missing statistics, and contracts of different sizes where actions are tokens.
    """

    def __init__(
        self,
        contracts: Mapping[str, ActionContract],
        tokenizer: "ActionTokenizer | None",
        decoding: Literal["autoregressive", "parallel"],
        text_tokenizer: Any,
        token_type: int | None,
    ):
        self.actions = {name: ActionNormalizer(contract) for name, contract in contracts.items()}
        self.states = {
            name: VectorNormalizer(contract.state, f"state of embodiment {name!r}")
            for name, contract in contracts.items()
            if contract.state is not None
        }
        self.tokenizer = tokenizer
        self.decoding: Literal["autoregressive", "parallel"] = decoding
        self.text_tokenizer = text_tokenizer
        self.token_type = token_type

    def add_state(
        self, inputs: BatchFeature, state: Any, contracts: list[ActionContract], shape: tuple[int, int]
    ) -> None:
        """`state` `(batch, window, state_dim)` of the samples' contracts, where any uses one; `shape` is (batch, window)."""
        wanted = {contract.embodiment for contract in contracts if contract.seen_state is not None}
        if not wanted:
            return
        if state is None:
            raise ValueError(f"state is missing: embodiment(s) {sorted(wanted)} use it.")
        values = np.asarray(state, dtype=np.float64)
        values = shaped(values, (*shape, contracts[0].state_dim), "state")
        rows = [self.states[contract.embodiment].encode(row) for contract, row in zip(contracts, values, strict=True)]
        inputs["state"] = torch.from_numpy(np.stack(rows))

    def add_actions(
        self,
        inputs: BatchFeature,
        actions: Any,
        action_mask: Any,
        contracts: list[ActionContract],
        shape: tuple[int, int],
    ) -> None:
        """`actions` `(batch, window, chunk, action_dim)`, rewritten by the contracts' transforms already, and their
        labels; `shape` is (batch, window)."""
        values = np.asarray(actions)
        wanted = (*shape, contracts[0].chunk_size)
        if values.ndim == 2 and shape == (1, 1):
            values = values[None, None]
        if values.ndim != 4 or values.shape[:3] != wanted:
            raise ValueError(
                f"actions must have shape (batch, window, chunk, action_dim) = {wanted} + (action_dim,), "
                f"got {np.asarray(actions).shape}."
            )
        encoded = [
            self.actions[contract.embodiment].encode(row) for row, contract in zip(values, contracts, strict=True)
        ]
        inputs["actions"] = torch.from_numpy(np.stack(encoded))
        valid = mask_or_ones(action_mask, wanted, "action_mask") & inputs["frame_mask"][..., None]
        if self.tokenizer is None:
            inputs["labels"] = torch.where(valid, 0, -100)
        else:
            self.tokenizer.add_labels(inputs, valid, self.decoding, self.text_tokenizer, self.token_type)

    def encode(self, actions: Any, contract: ActionContract, state: Any = None) -> np.ndarray:
        """The inverse of `decode`: the robot's `(..., action_dim)` to normalised float32."""
        actions = np.asarray(actions)
        if contract.transform is not None:
            actions = contract.transform.encode(actions, self._reference(contract, actions, state))
        return self.actions[contract.embodiment].encode(actions)

    def decode(self, actions: Any, contract: ActionContract, state: Any = None) -> np.ndarray:
        """Normalised `(..., width)`, tensor or array, to the robot's actions, float32 `(..., action_dim)`."""
        actions = self.actions[contract.embodiment].decode(_as_array(actions))
        if contract.transform is None:
            return actions
        return contract.transform.decode(actions, self._reference(contract, actions, state))

    def _reference(self, contract: ActionContract, actions: np.ndarray, state: Any) -> np.ndarray | None:
        """The state that actions `(..., chunk, width)` refer to, `(..., 1, state_dim)`: that of the observation at which
        each chunk begins. Raises ValueError where it is needed and missing, or has another shape."""
        transform = contract.transform
        if transform is None or not transform.uses_state:
            return None
        if state is None:
            raise ValueError(
                f"state is missing: {contract.embodiment!r} was trained on {transform}, so its actions become the robot's "
                "with the state of the observation that they were predicted from, also where the policy does not see it."
            )
        values = self.states[contract.embodiment].checked(_as_array(state))
        if values.ndim == actions.ndim > 1 and values.shape[-2] == 1:
            values = values[..., 0, :]
        values = shaped(values, (*actions.shape[:-2], values.shape[-1]), "state")
        return values if actions.ndim == 1 else values[..., None, :]

    @travels_with("one_step_discrete")
    def decode_tokens(self, token_ids: Any, contract: ActionContract, state: Any = None) -> np.ndarray:
        """Token ids `(rows, tokens)` to the robot's actions `(rows, chunk, action_dim)`; `state` `(rows, state_dim)`.

        Raises:
            ValueError: for a token that is no action token, or if actions are not written as tokens.
        """
        if self.tokenizer is None:
            raise ValueError("This processor has no action tokenizer: make it with action_bins for discrete actions.")
        rows = np.asarray(token_ids)
        if self.tokenizer.ends_with_stop:
            rows = [row[row >= 0] for row in rows]
        shape = (contract.chunk_size, contract.predicted.dim)
        return self.decode(np.stack([self.tokenizer.decode(row).reshape(shape) for row in rows]), contract, state)


def _as_array(values: Any) -> np.ndarray:
    return values.detach().float().cpu().numpy() if torch.is_tensor(values) else np.asarray(values)


def mask_or_ones(mask: Any, shape: tuple[int, ...], name: str) -> torch.Tensor:
    """A bool mask of `shape`; all True for None. ValueError naming it for another shape."""
    if mask is None:
        return torch.ones(shape, dtype=torch.bool)
    return torch.from_numpy(shaped(np.asarray(mask, dtype=bool), shape, name))


def shaped(values: np.ndarray, shape: tuple[int, ...], name: str) -> np.ndarray:
    """`values` in `shape`; leading axes of size 1 may be missing. ValueError naming them for another shape."""
    if tuple(values.shape) != shape[len(shape) - values.ndim :] or any(
        n != 1 for n in shape[: len(shape) - values.ndim]
    ):
        raise ValueError(f"{name} must have shape {shape}, got {tuple(values.shape)}.")
    return values.reshape(shape)
