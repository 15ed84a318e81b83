"""Batches from data workers arrive as they were made, whatever becomes of the memory they came in."""

import os
import resource
import time
from functools import partial
from pathlib import Path

import pytest
import torch
from torch.utils.data import DataLoader, Dataset

from maskfold.datasets.hand_over import HandOver, HandOverLoader
from maskfold.errors import StorageError

PREFETCH = 2


class Numbers(Dataset):
    """Item ``i`` has two tensors full of ``i``, larger ones from ``grown`` on."""

    def __init__(self, grown: int = 1000) -> None:
        self.grown = grown

    def __len__(self) -> int:
        return 90

    def __getitem__(self, index: int) -> dict:
        side = 3 if index < self.grown else 70
        image = torch.full((3, side, side + 1), index, dtype=torch.uint8)
        return {"image": image, "inner": {"odd": torch.full((5,), index % 2 == 1)}, "id": f"{index:03}"}


def collate(items, stack):
    inner = {"odd": stack([item["inner"]["odd"] for item in items]), "share": stack([torch.tensor(0.25)] * len(items))}
    return {"image": stack([item["image"] for item in items]), "inner": inner, "id": [item["id"] for item in items]}


def loader_of(dataset=None, workers=2, **options):
    hand_over = HandOver(collate, workers=workers, prefetch=PREFETCH)
    options |= {"prefetch_factor": PREFETCH, "persistent_workers": True}
    return HandOverLoader(dataset or Numbers(), batch_size=3, num_workers=workers, collate_fn=hand_over, **options)


def check(batches, dataset=None):
    """How many there are, each as one process would make it."""
    dataset = dataset or Numbers()
    for number, batch in enumerate(batches):
        members = range(3 * number, 3 * number + 3)
        assert batch["id"] == [f"{index:03}" for index in members]
        assert torch.equal(batch["image"], torch.stack([dataset[index]["image"] for index in members]))
        assert batch["inner"]["odd"].tolist() == [[index % 2 == 1] * 5 for index in members]
        assert batch["inner"]["share"].tolist() == [0.25] * 3
    return len(batches)


@pytest.mark.parametrize("workers", [1, 2])
def test_batches_that_are_kept_stay_what_they_are(workers):
    loader = loader_of(workers=workers)
    passes = [list(loader) for _ in range(3)]
    assert [check(batches) for batches in passes] == [30] * 3
    passes[0][0]["image"].zero_()
    assert all(batches[0]["image"].any() for batches in passes[1:])


def test_a_buffer_is_not_written_to_before_it_was_read():
    """As slow as a reader may be: workers make what they may in the meantime."""
    found = []
    for handed in DataLoader.__iter__(loader_of()):
        time.sleep(0.02)
        found.append(handed.read(torch.clone))
    assert check(found) == 30


def test_after_a_pass_that_was_left_early():
    loader = loader_of()
    for seen in (1, 2, 5):
        passing = iter(loader)
        check([next(passing) for _ in range(seen)])
        time.sleep(0.05)  # more is on its way, and thrown away
    assert check(list(loader)) == 30


def test_workers_that_are_started_again_bring_buffers_of_their_own():
    loader = loader_of()
    for _ in range(3):
        assert check(list(loader)) == 30
        loader._iterator = None


def test_a_buffer_grows_with_its_batches():
    dataset = Numbers(grown=39)
    batches = list(loader_of(dataset))
    assert check(batches, dataset) == 30
    assert [tuple(batch["image"].shape) for batch in batches[12:14]] == [(3, 3, 3, 4), (3, 3, 70, 71)]


def test_where_memory_has_a_name(monkeypatch):
    """As on macOS and Windows."""
    monkeypatch.delattr(os, "memfd_create", raising=False)
    loader = loader_of()
    assert [check(list(loader)) for _ in range(2)] == [30, 30]


def test_workers_that_are_spawned():
    loader = loader_of(workers=1, multiprocessing_context="spawn")
    assert [check(list(loader)) for _ in range(2)] == [30, 30]


def test_pinned_memory_is_the_only_copy(monkeypatch):
    """The thread that pins memory for a GPU asks each batch for itself, as it was sent."""
    pinned = []

    def pin(tensor):
        pinned.append(tensor.clone())
        return pinned[-1]

    monkeypatch.setattr(torch.Tensor, "pin_memory", pin)
    monkeypatch.setattr(torch.accelerator, "is_available", lambda: True)
    monkeypatch.setattr(torch.accelerator, "current_accelerator", lambda: torch.device("cuda"))
    monkeypatch.setattr(torch.accelerator, "current_device_index", lambda: 0)
    monkeypatch.setattr(torch.accelerator, "set_device_index", lambda index: None)
    loader = loader_of(pin_memory=True)
    batches = [batch for _ in range(2) for batch in loader]
    assert check(batches[:30]) == check(batches[30:]) == 30
    assert len(pinned) == 2 * 3 * 30
    given = {id(tensor) for tensor in pinned}
    assert all(id(tensor) in given for batch in batches for tensor in (batch["image"], *batch["inner"].values()))


@pytest.mark.skipif(not hasattr(os, "memfd_create"), reason="memory without a name is Linux's")
def test_the_reader_maps_each_buffer_once():
    loader = loader_of()
    before = buffers()
    list(loader)
    kept, files = dict(loader.collate_fn._buffers), len(os.listdir("/proc/self/fd"))
    assert buffers() - before == len(kept) == 2 * (PREFETCH + 1)
    for _ in range(3):
        list(loader)
    assert all(loader.collate_fn._buffers[number] is buffer for number, buffer in kept.items()), "none was sent again"
    assert (buffers() - before, len(os.listdir("/proc/self/fd"))) == (len(kept), files)
    del loader, kept
    assert buffers() <= before, "nothing is left of a loader that is gone"


def buffers() -> int:
    return Path("/proc/self/maps").read_text().count("memfd:maskfold")


def test_items_that_do_not_fit_together_are_an_error():
    with pytest.raises(RuntimeError, match="equal size"):
        list(loader_of(Numbers(grown=40)))


@pytest.mark.skipif(not hasattr(os, "memfd_create"), reason="memory without a name is Linux's")
def test_where_there_is_no_memory_the_message_says_what_to_do():
    loader = loader_of(Numbers(grown=0), worker_init_fn=small_files)
    with pytest.raises(StorageError, match=r"allocate 44,\d+ bytes of shared memory .*File too large.*workers to 0"):
        list(loader)


def small_files(worker: int) -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, 40_000))


@pytest.mark.skipif(not hasattr(os, "memfd_create"), reason="memory without a name is Linux's")
@pytest.mark.timeout(60)
@pytest.mark.parametrize("files", [1, 2])
def test_where_there_is_no_descriptor_to_send_a_buffer_the_reader_is_told(files):
    loader = loader_of(worker_init_fn=partial(few_files, files))
    with pytest.raises(StorageError, match=r"could not hand over .*too many open files.*ulimit -n"):
        list(loader)


def few_files(free: int, worker: int) -> None:
    used = {int(name) for name in os.listdir("/proc/self/fd")}
    unused = [number for number in range(max(used) + free + 2) if number not in used]
    limit = unused[free] if free < len(unused) else max(used) + 1 + free
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
