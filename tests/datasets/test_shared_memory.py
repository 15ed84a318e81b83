import logging
from collections import namedtuple

import pytest

from maskfold.datasets import shared_memory
from maskfold.datasets.shared_memory import check_shared_memory
from maskfold.errors import SamplerError

Room = namedtuple("Room", "total used free")


@pytest.fixture
def room(monkeypatch, tmp_path):
    def set_to(total, free):
        monkeypatch.setattr(shared_memory, "PLACE", tmp_path)
        monkeypatch.setattr("shutil.disk_usage", lambda place: Room(total, total - free, free))

    shared_memory._warn.cache_clear()
    return set_to


def test_dockers_default_is_told_once(room, caplog):
    room(64 << 20, 60 << 20)
    with caplog.at_level(logging.WARNING):
        check_shared_memory(0)
        assert not caplog.records, "without workers nobody needs it"
        for _ in range(3):
            check_shared_memory(2)
    (record,) = caplog.records
    assert "has only 64 MiB (Docker's default is 64)" in record.getMessage()
    assert "--shm-size 4g" in record.getMessage()
    assert "data.workers to 0" in record.getMessage()


def test_a_full_one_is_refused_instead_of_waiting_for_ever(room):
    room(64 << 20, 9 << 10)
    with pytest.raises(SamplerError, match=r"has 9 KiB left of 65536: start the container with --shm-size 4g"):
        check_shared_memory(1)
    check_shared_memory(0)


def test_a_usual_machine_says_nothing(room, caplog, monkeypatch, tmp_path):
    room(8 << 30, 4 << 30)
    check_shared_memory(4)
    monkeypatch.setattr(shared_memory, "PLACE", tmp_path / "no such place")
    check_shared_memory(4)
    assert not caplog.records
