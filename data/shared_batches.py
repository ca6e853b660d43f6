"""Batches from data loader workers through shared memory that is used again.

A worker normally allocates new shared memory for every batch. Getting those pages from the system can cost more than
decoding the frames did, so here each worker keeps a few buffers and writes into one that the receiver has dropped.
"""

import weakref
from collections.abc import Callable, Mapping, Sequence
from multiprocessing.reduction import ForkingPickler
from typing import Any

import numpy as np
import torch
from torch.utils.data import get_worker_info

SMALLEST = 2**16  # bytes; smaller tensors go the usual way
MOST_BUFFERS = 64


def stack_samples(samples: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Window samples -> one dict of lists, which `ReusedBuffers` stacks: the batch without any processing."""
    batch = {key: [sample[key] for sample in samples] for key in samples[0] if key != "images"}
    images = {camera: [sample["images"][camera] for sample in samples] for camera in samples[0]["images"]}
    return batch | {"images": images}


class ReusedBuffers:
    """`DataLoader(..., collate_fn=ReusedBuffers(collate))`: the batches of `collate`, sent with less work.

    Lists of arrays in the batch (a mapping, nested or not) are stacked into tensors. In a worker, large tensors lie in
    shared buffers; the receiver gets ordinary tensors over them, and a buffer is written again only after the receiver
    has dropped every tensor over it.
    """

    def __init__(self, collate: Callable[[list], Any] = stack_samples):
        self.collate = collate
        self._buffers: list[_Buffer] = []

    def __getstate__(self) -> dict:
        return {"collate": self.collate}

    def __setstate__(self, state: dict) -> None:
        self.__init__(**state)

    def __call__(self, samples: list) -> Any:
        return self._send(self.collate(samples), get_worker_info() is not None)

    def _send(self, value: Any, shared: bool) -> Any:
        if isinstance(value, Mapping):
            items = {key: self._send(item, shared) for key, item in value.items()}
            return type(value)(items)  # pyright: ignore[reportCallIssue]  (its own kind of mapping)
        stacked = isinstance(value, list) and len(value) > 0 and isinstance(value[0], np.ndarray)
        if not stacked and not isinstance(value, torch.Tensor):
            return value
        tensors = [torch.as_tensor(array) for array in (value if stacked else [value])]
        first, size = tensors[0], sum(tensor.nbytes for tensor in tensors)
        if not shared or size < SMALLEST or first.requires_grad:
            return torch.stack(tensors) if stacked else value
        shape = (len(tensors), *first.shape) if stacked else tuple(first.shape)
        buffer = self._free_buffer(size)
        target = buffer.tensor(first.dtype, shape)
        torch.stack(tensors, out=target) if stacked else target.copy_(first)
        return buffer.hand_over(first.dtype, shape)

    def _free_buffer(self, size: int) -> "_Buffer":
        fitting = [buffer for buffer in self._buffers if buffer.size >= size and not buffer.in_use]
        if fitting:
            return min(fitting, key=lambda buffer: buffer.size)
        if len(self._buffers) >= MOST_BUFFERS:
            self._buffers = [buffer for buffer in self._buffers if buffer.in_use]
        self._buffers.append(_Buffer(size))
        return self._buffers[-1]


class _Buffer:
    """Shared bytes, and a shared flag that the receiver clears when it needs them no more."""

    def __init__(self, size: int):
        self.size = size
        self._bytes = torch.empty(size, dtype=torch.uint8).share_memory_()
        self._flag = torch.zeros(1, dtype=torch.uint8).share_memory_()

    @property
    def in_use(self) -> bool:
        return bool(self._flag[0])

    def tensor(self, dtype: torch.dtype, shape: Sequence[int]) -> torch.Tensor:
        return _view(self._bytes, dtype, shape)

    def hand_over(self, dtype: torch.dtype, shape: Sequence[int]) -> "_Sent":
        self._flag[0] = 1
        return _Sent((self._bytes, self._flag, dtype, tuple(shape)))


class _Sent:
    """What is pickled in place of a tensor; unpickling gives a tensor over the shared bytes."""

    def __init__(self, parts: tuple):
        self.parts = parts


def _receive(shared: torch.Tensor, flag: torch.Tensor, dtype: torch.dtype, shape: Sequence[int]) -> torch.Tensor:
    owner = shared.numpy().view()  # lives as long as any tensor over it
    weakref.finalize(owner, _release, flag.numpy())
    return _view(torch.from_numpy(owner), dtype, shape)


def _release(flag: np.ndarray) -> None:
    flag[0] = 0


def _view(data: torch.Tensor, dtype: torch.dtype, shape: Sequence[int]) -> torch.Tensor:
    return data[: int(np.prod(shape)) * dtype.itemsize].view(dtype).view(*shape)


ForkingPickler.register(_Sent, lambda sent: (_receive, sent.parts))
