"""Embodiments of different widths in one model: where the numbers of each stand in its vectors."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Self

from .action_contract import ActionContract
from .saving import travels_with


@dataclass(frozen=True)
class SharedWidths:
    """The narrowest vectors that hold those of every embodiment; of a single one, its own.

    Args:
        action_dim: dimensions of the model's action.
        gripper_dims: which of them are grippers; None in the discrete structure, whose tokens are all alike.
        state_dim: of its state.
    """

    action_dim: int
    gripper_dims: tuple[int, ...] | None
    state_dim: int

    @classmethod
    def of(cls, contracts: Collection[ActionContract], by_kind: bool) -> Self:
        """`by_kind`: grippers share a place with grippers only, the pose with the pose (heads decode them apart)."""
        state_dim = max(contract.state_dim for contract in contracts)
        if not by_kind:
            return cls(max(contract.predicted.dim for contract in contracts), None, state_dim)
        grippers = [sorted(gripper.dim for gripper in contract.predicted_grippers) for contract in contracts]
        poses = max(contract.predicted.dim - len(contract.grippers) for contract in contracts)
        shared: list[int] = []
        for rank in range(max(map(len, grippers))):  # as far back as any robot has it, which keeps most in their order
            places = [own[rank] for own in grippers if len(own) > rank]
            shared.append(max([*places, *(place + 1 for place in shared[-1:])]))
        return cls(poses + len(shared), tuple(shared), state_dim)

    def dims(self, contract: ActionContract) -> list[int]:
        """Where each dimension of what the contract predicts stands in the model's action."""
        if self.gripper_dims is None:
            return list(range(contract.predicted.dim))
        grippers = iter(self.gripper_dims)
        poses = iter(dim for dim in range(self.action_dim) if dim not in set(self.gripper_dims))
        own = {gripper.dim for gripper in contract.predicted_grippers}
        return [next(grippers if dim in own else poses) for dim in range(contract.predicted.dim)]

    @travels_with()
    @property
    def config_fields(self) -> dict[str, Any]:
        """The fields of the model's config that they are."""
        fields = {"action_dim": self.action_dim, "state_dim": self.state_dim}
        return fields if self.gripper_dims is None else fields | {"gripper_dims": list(self.gripper_dims)}
