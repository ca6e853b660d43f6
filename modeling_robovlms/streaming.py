"""The state of streaming control, held by the caller: modules keep none."""

from collections.abc import Sequence

import torch

Rows = Sequence[int] | torch.Tensor


class VLACache:
    """What a VLA remembers of the frames seen so far, one row per environment or robot.

    Every entry is a tensor whose first axis is the row and whose zeros mean "nothing seen yet".
    Obtain one from `vla.new_cache(batch)`, pass it to `vla.predict_action(..., cache=cache)` once per frame.
    """

    def __init__(self, entries: dict[str, torch.Tensor]):
        self.entries = entries

    def __len__(self) -> int:
        """Number of rows."""
        return next((len(tensor) for tensor in self.entries.values()), 0)

    def __getitem__(self, name: str) -> torch.Tensor:
        return self.entries[name]

    def __setitem__(self, name: str, value: torch.Tensor) -> None:
        if value.shape != self.entries[name].shape:
            raise ValueError(
                f"cache[{name!r}] has shape {tuple(self.entries[name].shape)}, got {tuple(value.shape)}: "
                "the batch of a streaming call must be the batch of vla.new_cache(batch)."
            )
        self.entries[name] = value

    def reset(self, rows: Rows | None = None) -> None:
        """Forget the given rows (None: all), for example when their episodes end."""
        for name, tensor in self.entries.items():
            if rows is None:
                self.entries[name] = torch.zeros_like(tensor)
            else:
                tensor = tensor.clone()
                tensor[torch.as_tensor(rows)] = 0
                self.entries[name] = tensor

    def select(self, rows: Rows) -> "VLACache":
        """A cache of some rows only; `write` puts it back after use."""
        return VLACache({name: tensor[torch.as_tensor(rows)] for name, tensor in self.entries.items()})

    def write(self, rows: Rows, part: "VLACache") -> None:
        """Store a selected cache back into its rows."""
        for name, tensor in self.entries.items():
            tensor = tensor.clone()
            tensor[torch.as_tensor(rows)] = part.entries[name]
            self.entries[name] = tensor


def push(window: torch.Tensor, newest: torch.Tensor) -> torch.Tensor:
    """Drop the oldest item of `window` `(batch, window, ...)` and append `newest` `(batch, ...)`."""
    return torch.cat([window[:, 1:], newest[:, None]], dim=1)
