"""The state of streaming control, held by the caller: modules keep none."""

from collections.abc import Sequence

import torch

Rows = Sequence[int] | torch.Tensor


class VLACache:
    """What a VLA remembers of the frames seen so far, one row per environment or robot.

    Every entry is a tensor whose first axis is the row and whose zeros mean "nothing seen yet".
    Obtain one from `vla.new_cache(batch)`, pass it to `vla.predict_action_chunk(..., cache=cache)` once per frame.
    """

    def __init__(self, entries: dict[str, torch.Tensor]):
        self.entries = entries

    def __len__(self) -> int:
        """Number of rows."""
        return next((len(tensor) for tensor in self.entries.values()), 0)

    def __contains__(self, name: str) -> bool:
        return name in self.entries

    def __getitem__(self, name: str) -> torch.Tensor:
        return self.entries[name]

    def __setitem__(self, name: str, value: torch.Tensor) -> None:
        if len(self) and len(value) != len(self):
            raise ValueError(
                f"The cache has {len(self)} rows, this call has {len(value)}: a streaming call takes one frame for "
                "each row of vla.new_cache(batch)."
            )
        self.entries[name] = value

    def get(self, name: str) -> torch.Tensor | None:
        """Return the entry, or None."""
        return self.entries.get(name)

    def named(self, prefix: str) -> dict[str, torch.Tensor]:
        """Return the entries whose names start with `prefix`, without it."""
        return {name.removeprefix(prefix): self[name] for name in self.entries if name.startswith(prefix)}

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
        """Return a cache of some rows only; `write` puts it back after use."""
        return VLACache({name: tensor[torch.as_tensor(rows)] for name, tensor in self.entries.items()})

    def write(self, rows: Rows, part: "VLACache") -> None:
        """Store a selected cache back into its rows."""
        batch = len(self)
        for name, new in part.entries.items():
            old = self.entries.get(name, new.new_zeros(batch, *new.shape[1:]))
            old, new = grown(old, new.shape), grown(new, old.shape)
            tensor = old.clone()
            tensor[torch.as_tensor(rows)] = new
            self.entries[name] = tensor


def join_caches(caches: Sequence[VLACache]) -> VLACache:
    """Return the rows of several caches, one after another; `select` takes them apart again."""
    names = dict.fromkeys(name for cache in caches for name in cache.entries)
    entries = {}
    for name in names:
        example = next(cache[name] for cache in caches if name in cache)
        parts = [
            cache[name] if name in cache else example.new_zeros(len(cache), *example.shape[1:]) for cache in caches
        ]
        longest = (0, *(max(sizes) for sizes in zip(*(part.shape[1:] for part in parts), strict=True)))
        entries[name] = torch.cat([grown(part, longest) for part in parts])
    return VLACache(entries)


def grown(tensor: torch.Tensor, shape: Sequence[int]) -> torch.Tensor:
    """`tensor` with zeros appended so that no axis but the first is shorter than in `shape`."""
    missing = [max(0, wanted - size) for size, wanted in zip(tensor.shape, shape, strict=True)]
    if not any(missing[1:]):
        return tensor
    padding = [side for amount in reversed(missing[1:]) for side in (0, amount)]
    return torch.nn.functional.pad(tensor, padding)


def push(window: torch.Tensor, newest: torch.Tensor) -> torch.Tensor:
    """Drop the oldest item of `window` `(batch, window, ...)` and append `newest` `(batch, ...)`; the other axes grow
    to the longer of both."""
    newest = newest[:, None]
    window, newest = grown(window, newest.shape), grown(newest, (0, 1, *window.shape[2:]))
    return torch.cat([window[:, 1:], newest], dim=1)
