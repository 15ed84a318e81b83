"""How data workers hand over their batches: in memory that stays, so that a batch costs one copy.

A `DataLoader` of its own makes new shared memory for every tensor of every batch: pages that the system clears, maps
twice and takes back, which for small images takes longer than all else. Here each worker writes its batches into a few
buffers in turn, which the reading process keeps mapped. On Linux they have no name, so that they need no room in
/dev/shm, of which containers have little.
"""

import itertools
import math
import mmap
import os
import weakref
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from multiprocessing import reduction
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.utils.data import DataLoader, get_worker_info

from maskfold.errors import StorageError

Item = dict[str, Any]
# What makes one tensor of several, along a new first axis, and a batch of items by it.
Stack = Callable[[list[Tensor]], Any]
Collate = Callable[[list[Item], Stack], Item]

ALIGNED = 64  # bytes: where tensors begin in a buffer


class HandOver:
    """Callable ``(items) -> Handed``, the ``collate_fn`` of a `HandOverLoader` in its data workers.

    One object on both sides, each with its own view of the buffers. Of a worker's batches ``prefetch`` are on their way
    at most while one more is read: with a buffer for each, none is written to before it was read.
    """

    def __init__(self, collate: Collate, *, workers: int, prefetch: int) -> None:
        """``collate`` gives a dict, which may hold dicts, whose tensors are all made by its second argument."""
        self.collate = collate
        self._id = next(_ids)
        self._made = 0
        self._count = prefetch + 1  # buffers of a worker
        self._buffers: dict[int, Buffer] = {}
        # Which of all buffers the reader has, 0 or 1: a pass that is left early throws batches away unread.
        self._known = _new_buffer(workers * self._count)
        _hand_overs[self._id] = self

    def __call__(self, items: list[Item]) -> "Handed":
        """See the class.

        Raises:
            StorageError: there is no memory for the batch.
        """
        worker = get_worker_info()
        assert worker is not None  # only data workers hand over
        if self._made == 0:
            self._buffers.clear()  # a fork brings along what the reader has of an earlier worker
        number = worker.id * self._count + self._made % self._count
        self._made += 1
        groups: list[list[Tensor]] = []

        def later(tensors: list[Tensor]) -> _Stacked:
            groups.append(tensors)
            return _Stacked(len(groups) - 1)

        content = self.collate(items, later)
        places = list(_places(groups))
        buffer = self._buffers.get(number)
        if buffer is None or len(buffer.memory) < places[-1].end:
            buffer = self._buffers[number] = _new_buffer(places[-1].end)
            self._known.memory[number] = 0
        for tensors, place in zip(groups, places, strict=True):
            torch.stack(tensors, out=place.of(buffer.memory))
        return Handed(self._id, number, None if self._known.memory[number] else buffer, places, content)

    def read(self, handed: "Handed", copy: Callable[[Tensor], Tensor]) -> Item:
        """The batch, in the reading process; its tensors are what ``copy`` makes of those in the buffer."""
        if handed.buffer is not None:
            self._buffers[handed.number] = handed.buffer
            self._known.memory[handed.number] = 1
        memory = self._buffers[handed.number].memory
        return _filled(handed.content, [copy(place.of(memory)) for place in handed.places])


# A batch that was sent finds here who reads it.
_hand_overs: "weakref.WeakValueDictionary[int, HandOver]" = weakref.WeakValueDictionary()
_ids = itertools.count()


class HandOverLoader(DataLoader[Any]):
    """A `DataLoader` whose ``collate_fn`` is a `HandOver` where it has workers; batches are the caller's own."""

    def __iter__(self) -> Iterator[Item]:  # pyright: ignore[reportIncompatibleMethodOverride]
        return map(_own, super().__iter__())


def _own(batch: "Item | Handed") -> Item:
    return batch.read(torch.clone) if isinstance(batch, Handed) else batch


class _Stacked(NamedTuple):
    """Stands in a batch for a tensor in the buffer."""

    number: int


class _Place(NamedTuple):
    """Where a tensor is in a buffer, and what it is."""

    begin: int
    dtype: torch.dtype
    shape: tuple[int, ...]

    @property
    def end(self) -> int:
        return self.begin + math.prod(self.shape) * self.dtype.itemsize

    def of(self, memory: Tensor) -> Tensor:
        return memory[self.begin : self.end].view(self.dtype).view(self.shape)


@dataclass(frozen=True)
class Handed:
    """A batch as it is sent: what is not in its buffer, and the buffer itself, where the reader lacks it."""

    to: int
    number: int
    buffer: "Buffer | None"
    places: list[_Place]
    content: Item

    def read(self, copy: Callable[[Tensor], Tensor]) -> Item:
        """See `HandOver.read`."""
        return _hand_overs[self.to].read(self, copy)

    def pin_memory(self) -> Item:
        """The batch in pinned memory: so a `DataLoader` asks for it, in a thread."""
        return self.read(Tensor.pin_memory)


@dataclass(frozen=True, eq=False)
class Buffer:
    """``memory``, uint8 (size,), that processes share: what is sent to another one is the same memory there."""

    memory: Tensor
    file: int | None = None  # its descriptor, in the process that made it

    def __reduce__(self) -> tuple[Any, ...]:
        if self.file is None:
            return Buffer, (self.memory,)
        try:
            return _sent_buffer, (reduction.DupFd(self.file), len(self.memory))
        except OSError as error:  # raised here it would be printed only, and the reader would wait forever
            return _not_sent, (error.strerror,)


def _new_buffer(size: int) -> Buffer:
    if not hasattr(os, "memfd_create"):
        return Buffer(torch.empty(size, dtype=torch.uint8).share_memory_())
    try:
        file = os.memfd_create("maskfold")
        os.ftruncate(file, size)
        buffer = Buffer(_memory(file, size), file)
    except OSError as error:
        raise StorageError(
            f"a data worker could not allocate {size:,} bytes of shared memory ({error.strerror}): lower the "
            "batch size or raise the limit (ulimit -f for the size of files), or set data.workers to 0"
        ) from None
    weakref.finalize(buffer, os.close, file)
    return buffer


def _sent_buffer(sent: Any, size: int) -> Buffer:
    file = sent.detach()
    try:
        return Buffer(_memory(file, size))
    finally:
        os.close(file)


def _not_sent(reason: str) -> Buffer:
    raise StorageError(
        f"a data worker could not hand over its batches ({reason.lower()}): raise the limit (ulimit -n), or lower "
        "data.workers"
    )


def _memory(file: int, size: int) -> Tensor:
    return torch.frombuffer(mmap.mmap(file, size), dtype=torch.uint8)


def _places(groups: list[list[Tensor]]) -> Iterator[_Place]:
    begin = 0
    for tensors in groups:
        place = _Place(begin, tensors[0].dtype, (len(tensors), *tensors[0].shape))
        yield place
        begin = -(-place.end // ALIGNED) * ALIGNED


def _filled(content: Item, tensors: list[Tensor]) -> Item:
    """The content with tensors in their places."""

    def own(value: Any) -> Any:
        if isinstance(value, _Stacked):
            return tensors[value.number]
        return _filled(value, tensors) if isinstance(value, dict) else value

    return {name: own(value) for name, value in content.items()}
