"""States and actions of every embodiment to tensors, and predicted actions back to the robot."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from transformers import BatchFeature

from ..configuration.action_contract import ActionContract
from ..configuration.saving import travels_with
from ..configuration.widths import SharedWidths
from .normalization import ActionNormalizer, VectorNormalizer

if TYPE_CHECKING:  # a processor of continuous actions does without it
    from .action_tokenizer import ActionTokenizer


class ActionEncoder:
    """Normalises by embodiment, and writes actions as labels or tokens. Where embodiments differ in width, vectors have
    that of the model (see `SharedWidths`): actions are zero in the dimensions that a robot lacks, the state is NaN.

    Args:
        contracts: by embodiment.
        tokenizer: writes actions as tokens, for the discrete structure; None for continuous ones.
        decoding: "autoregressive" tokens are appended to the prompts, "parallel" ones have placeholders there.
        text_tokenizer: the backbone's, whose end token ends a chunk where chunks differ in length.
        token_type: of appended tokens; None: that of a row's last token.

    Raises:
        ValueError: for missing statistics.
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
        self.widths = SharedWidths.of(contracts.values(), by_kind=tokenizer is None)
        self.dims = {name: self.widths.dims(contract) for name, contract in contracts.items()}
        self.decoding: Literal["autoregressive", "parallel"] = decoding
        self.text_tokenizer = text_tokenizer
        self.token_type = token_type

    def add_dims(self, inputs: BatchFeature, contracts: list[ActionContract]) -> None:
        """`action_dim_mask` `(batch, action_dim)`, what the samples' robots have of the model's action, where not all."""
        if any(contract.predicted.dim < self.widths.action_dim for contract in contracts):
            mask = torch.zeros(len(contracts), self.widths.action_dim, dtype=torch.bool)
            for row, contract in zip(mask, contracts, strict=True):
                row[self.dims[contract.embodiment]] = True
            inputs["action_dim_mask"] = mask

    def add_state(
        self, inputs: BatchFeature, state: Any, contracts: list[ActionContract], shape: tuple[int, int]
    ) -> None:
        """`state` `(batch, window, state_dim)`, where any contract uses one; `shape` is (batch, window). Where samples
        differ in width, a list with an entry for each, None where its contract uses none."""
        if not self.widths.state_dim:
            return
        batch, window = shape
        rows = torch.full((*shape, self.widths.state_dim), float("nan"))
        states = [None] * batch if state is None else state if batch > 1 else [state]
        if len(states) != batch:
            raise ValueError(f"state holds {len(states)} samples of {batch}.")
        for row, values, contract in zip(rows, states, contracts, strict=True):
            if contract.seen_state is None:
                continue
            if values is None:
                users = sorted({one.embodiment for one in contracts if one.seen_state is not None})
                raise ValueError(f"state is missing: embodiment(s) {users} use it.")
            values = shaped(np.asarray(values, dtype=np.float64), (1, window, contract.state_dim), "state")[0]
            row[:, : contract.state_dim] = torch.from_numpy(self.states[contract.embodiment].encode(values))
        inputs["state"] = rows

    def add_actions(
        self,
        inputs: BatchFeature,
        actions: Any,
        action_mask: Any,
        contracts: list[ActionContract],
        shape: tuple[int, int],
    ) -> None:
        """`actions` `(batch, window, chunk, width)`, or a list of samples, rewritten by the contracts' transforms already,
        and their labels; `shape` is (batch, window)."""
        wanted = (*shape, contracts[0].chunk_size)
        if shape == (1, 1) and np.ndim(actions) == 2:
            actions = [[actions]]
        rows = [np.asarray(row) for row in actions]
        for row in rows:
            if row.ndim != 3 or (len(rows), *row.shape[:2]) != wanted:
                raise ValueError(
                    f"actions must have shape (batch, window, chunk, action_dim) = {wanted} + (action_dim,), "
                    f"got {(len(rows), *row.shape)}."
                )
        encoded = [
            self.actions[contract.embodiment].encode(row) for row, contract in zip(rows, contracts, strict=True)
        ]
        inputs["actions"] = torch.from_numpy(np.stack([*map(self.widened, encoded, contracts)]))
        valid = mask_or_ones(action_mask, wanted, "action_mask") & inputs["frame_mask"][..., None]
        if self.tokenizer is None:
            inputs["labels"] = torch.where(valid, 0, -100)
        else:
            self.tokenizer.add_labels(inputs, encoded, valid, self.decoding, self.text_tokenizer, self.token_type)

    def widened(self, actions: np.ndarray, contract: ActionContract) -> np.ndarray:
        """Normalised actions of a robot `(..., its width)` in the model's dimensions."""
        padded = np.zeros((*actions.shape[:-1], self.widths.action_dim), dtype=actions.dtype)
        padded[..., self.dims[contract.embodiment]] = actions
        return padded

    def encode(self, actions: Any, contract: ActionContract, state: Any = None) -> np.ndarray:
        """The inverse of `decode`: the robot's `(..., action_dim)` to normalised float32."""
        actions = np.asarray(actions)
        if contract.transform is not None:
            actions = contract.transform.encode(actions, self._reference(contract, actions, state))
        return self.widened(self.actions[contract.embodiment].encode(actions), contract)

    def decode(self, actions: Any, contract: ActionContract, state: Any = None) -> np.ndarray:
        """The model's normalised `(..., width)`, tensor or array, to the robot's actions, float32 `(..., action_dim)`;
        ValueError for another width than the model's."""
        actions = _as_array(actions)
        if actions.shape[-1:] == (self.widths.action_dim,):
            actions = actions[..., self.dims[contract.embodiment]]
        elif contract.predicted.dim < self.widths.action_dim:
            raise ValueError(
                f"normalised actions have the model's {self.widths.action_dim} dimensions, of which embodiment "
                f"{contract.embodiment!r} uses {contract.predicted.dim}; got an array of shape {actions.shape}."
            )
        return self._decoded(actions, contract, state)

    def _decoded(self, actions: np.ndarray, contract: ActionContract, state: Any) -> np.ndarray:
        """A robot's normalised `(..., its width)` to its actions."""
        actions = self.actions[contract.embodiment].decode(actions)
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
        """Token ids `(rows, tokens)`, -1 behind the end of a chunk, to the robot's actions `(rows, chunk, action_dim)`;
        `state` `(rows, state_dim)`.

        Raises:
            ValueError: for a token that is no action token, tokens that make no chunk, or if actions are not written as
                tokens.
        """
        if self.tokenizer is None:
            raise ValueError("This processor has no action tokenizer: make it with action_bins for discrete actions.")
        tokenizer, shape = (
            self.tokenizer.of_width(contract.predicted.dim),
            (contract.chunk_size, contract.predicted.dim),
        )
        rows = np.asarray(token_ids)
        if tokenizer.ends_with_stop or contract.predicted.dim < self.widths.action_dim:
            rows = [row[row >= 0] for row in rows]
        chunks = [tokenizer.decode(row) for row in rows]
        if wrong := [chunk.size for chunk in chunks if chunk.size != np.prod(shape)]:
            raise ValueError(
                f"tokens stand for {wrong[0]} numbers, a chunk of embodiment {contract.embodiment!r} has {np.prod(shape)}."
            )
        return self._decoded(np.stack([chunk.reshape(shape) for chunk in chunks]), contract, state)


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
