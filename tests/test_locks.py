"""A lock keeps others off, names its holder, and goes with it."""

import errno
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from maskfold import locks
from maskfold.errors import BusyError, RunError
from maskfold.locks import exclusive, notice_at
from maskfold.storage import LocalStorage

SRC = str(Path(locks.__file__).parents[1])
# Holds the lock, has a child that outlives it as data workers do for five seconds, and says when it is so far.
HOLDER = """
import multiprocessing, os, sys, time
from pathlib import Path
from maskfold.locks import exclusive
def live_on():
    print(os.getpid(), flush=True)
    time.sleep(30)
with exclusive(Path(sys.argv[1]), "fold 1"):
    multiprocessing.get_context("fork").Process(target=live_on).start()
    time.sleep(30)
"""


def test_a_lock_names_its_holder_and_goes_with_it_though_its_children_live_on(tmp_path):
    file = tmp_path / ".fold_1.lock"
    command, environment = [sys.executable, "-c", HOLDER, str(file)], {**os.environ, "PYTHONPATH": SRC}
    holder = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
    child = int(holder.stdout.readline())
    try:
        named = rf"another process is working on fold 1 \(-c {file}: process {holder.pid} on \S+, since 20\S+\): wait"
        with pytest.raises(BusyError, match=named), exclusive(file, "fold 1"):
            pass
        holder.send_signal(signal.SIGKILL)
        holder.wait()
        os.kill(child, 0)  # is alive
        with exclusive(file, "fold 1"):
            assert json.loads(file.read_bytes())["pid"] == os.getpid()
    finally:
        os.kill(child, signal.SIGKILL)
        holder.stdout.close()
    assert not file.exists()


def test_the_same_process_does_not_get_it_twice_and_who_waits_gets_it_in_the_end(tmp_path):
    file, order = tmp_path / "x.lock", []

    def wait():
        with exclusive(file, "x", wait=True):
            order.append("second")

    with exclusive(file, "x"):
        with pytest.raises(BusyError), exclusive(file, "x"):
            pass
        thread = threading.Thread(target=wait)
        thread.start()
        time.sleep(0.3)
        order.append("first")
    thread.join(10)
    assert order == ["first", "second"]
    assert not file.exists()


def test_a_file_that_lost_its_name_meanwhile_is_no_lock(tmp_path, monkeypatch):
    """Between opening and locking it, who held it before removed it: others would lock a new file of that name."""
    file, found, lock = tmp_path / "x.lock", [], locks._lock

    def lock_what_is_removed(opened):
        found.append(lock(opened))
        if len(found) == 1:
            file.unlink()
        return found[-1]

    monkeypatch.setattr(locks, "_lock", lock_what_is_removed)
    with exclusive(file, "x"), pytest.raises(BusyError), exclusive(file, "x"):
        pass
    assert found == [True, True, False]


def test_a_planted_link_is_not_followed(tmp_path):
    (tmp_path / "precious").write_text("as it was")
    (tmp_path / "x.lock").symlink_to(tmp_path / "precious")
    with pytest.raises(RunError, match=r"x\.lock is a link"), exclusive(tmp_path / "x.lock", "x"):
        pass
    assert (tmp_path / "precious").read_text() == "as it was"


@pytest.mark.parametrize("place", ["file", "storage"])
def test_another_machine_is_respected_while_it_gives_signs_of_life(tmp_path, monkeypatch, place):
    """Where locks of the file system do not reach the other machine, its notice does."""
    monkeypatch.setattr(locks, "SILENCE", 0.5)
    monkeypatch.setattr(locks, "SETTLE", 0.1)
    file, storage = tmp_path / "x.lock", LocalStorage(tmp_path / "shared")
    shared = notice_at(storage, "fold_0.lock") if place == "storage" else None
    facts = {"host": "a\x1b[31mway", "pid": 7, "command": "train", "since": "noon", "machine": "another", "token": "t"}

    def write(beat):
        content = json.dumps({**facts, "beat": beat}).encode()
        if shared:
            storage.publish("fold_0.lock", content)
        else:  # in place, as a holder does
            opened = os.open(file, os.O_WRONLY | os.O_CREAT)
            os.write(opened, content)
            os.close(opened)

    done = threading.Event()

    def beat():
        number = 0
        while not done.wait(0.05):
            number += 1
            write(number)

    write(0)
    alive = threading.Thread(target=beat)
    alive.start()
    with pytest.raises(BusyError, match=r"process 7 on a\[31mway, since noon"), exclusive(file, "x", shared=shared):
        pass
    done.set()
    alive.join()
    started = time.monotonic()
    with exclusive(file, "x", shared=shared):
        assert time.monotonic() - started > 0.5, "it was silent for so long"
        holder = json.loads(storage.read("fold_0.lock") if shared else file.read_bytes())
        assert holder["pid"] == os.getpid()
    assert not storage.exists("fold_0.lock")


def test_of_two_that_begin_at_once_far_apart_one_gives_way(tmp_path, monkeypatch):
    monkeypatch.setattr(locks, "SETTLE", 0.2)
    storage = LocalStorage(tmp_path / "shared")
    shared = notice_at(storage, "fold_0.lock")
    taker = threading.Timer(0.1, storage.publish, ["fold_0.lock", json.dumps({"token": "later", "pid": 9}).encode()])
    taker.start()
    with pytest.raises(BusyError, match="process 9"), exclusive(tmp_path / "x.lock", "x", shared=shared):
        pass
    taker.join()


def test_a_holder_elsewhere_that_ends_while_it_is_looked_at_is_none(tmp_path, monkeypatch):
    monkeypatch.setattr(locks, "SETTLE", 0.05)
    storage = LocalStorage(tmp_path / "shared")
    shared = notice_at(storage, "fold_0.lock")
    storage.publish("fold_0.lock", json.dumps({"machine": "another", "token": "t", "pid": 9}).encode())
    ending = threading.Timer(0.2, storage.remove, ["fold_0.lock"])
    ending.start()
    with exclusive(tmp_path / "x.lock", "x", shared=shared):
        assert json.loads(storage.read("fold_0.lock"))["pid"] == os.getpid()
    ending.join()


def test_two_places_of_locks_on_one_machine_are_as_far_apart_as_two_machines(tmp_path, monkeypatch):
    """Users, containers and other TMPDIRs share the machine, not the folder in which a URL's locks are."""
    monkeypatch.setattr(locks, "BEAT", 0.05)
    monkeypatch.setattr(locks, "SETTLE", 0.1)
    shared = notice_at(LocalStorage(tmp_path / "shared"), "fold_0.lock")
    with (
        exclusive(tmp_path / "a/x.lock", "x", shared=shared),
        pytest.raises(BusyError, match=rf"process {os.getpid()} on .*: choose another$"),
        exclusive(tmp_path / "b/x.lock", "x", shared=shared, advice="choose another"),
    ):
        pass


def test_a_storage_that_fails_now_and_then_does_not_end_the_signs_of_life(tmp_path, monkeypatch):
    monkeypatch.setattr(locks, "BEAT", 0.05)
    monkeypatch.setattr(locks, "SETTLE", 0.01)
    storage, fails = LocalStorage(tmp_path / "shared"), []

    def failing(original):
        def ask(*given):
            if fails and fails.pop():
                raise RuntimeError("the network is away")
            return original(*given)

        return ask

    for name in ("read", "publish", "remove"):
        monkeypatch.setattr(storage, name, failing(getattr(storage, name)))
    with exclusive(tmp_path / "x.lock", "x", shared=notice_at(storage, "fold_0.lock")):
        fails += [True] * 7  # more than one sign of life
        while fails:
            time.sleep(0.01)
        before = json.loads(storage.read("fold_0.lock"))["beat"]
        time.sleep(0.3)
        assert json.loads(storage.read("fold_0.lock"))["beat"] > before
        fails.append(True)
    assert not storage.exists("fold_0.lock")


def test_without_locks_of_the_file_system_one_of_two_that_begin_at_once_gives_way(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(errno.ENOTSUP, "no locks here")

    monkeypatch.setattr(locks, "SETTLE", 0.2)
    monkeypatch.setattr("fcntl.flock", refuse)
    file, later = tmp_path / "x.lock", json.dumps({"token": "later", "pid": 9}).encode()
    taker = threading.Timer(0.1, file.write_bytes, [later])
    taker.start()
    with pytest.raises(BusyError, match="process 9"), exclusive(file, "x"):
        pass
    taker.join()
    assert file.read_bytes() == later, "the other's notice stays"


def test_who_is_waited_for_is_said_once_and_an_interrupted_wait_holds_nothing(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(locks, "SETTLE", 0.05)
    monkeypatch.setattr(locks, "SILENCE", 0.3)
    monkeypatch.setattr(locks, "PATIENCE", 0)
    caplog.set_level("INFO", logger="maskfold")
    file = tmp_path / "x.lock"
    with exclusive(file, "x"):
        threading.Timer(0.4, lambda: monkeypatch.setattr(locks, "WAIT", "interrupted")).start()
        with pytest.raises(TypeError), exclusive(file, "x", wait=True):
            pass
        assert caplog.messages == [f"waiting for x{locks._named(json.loads(file.read_bytes()))}"]
    file.write_text(json.dumps({"pid": 7, "host": "away", "machine": "another"}))
    monkeypatch.setattr(locks, "SETTLE", "interrupted")
    with pytest.raises(TypeError), exclusive(file, "x"):
        pass
    assert "whether the process working on x (None: process 7 on away" in caplog.messages[1]
    monkeypatch.setattr(locks, "SETTLE", 0.05)
    with exclusive(file, "x"):
        pass
    assert not locks._held


def test_a_holder_shows_that_it_lives(tmp_path, monkeypatch):
    monkeypatch.setattr(locks, "BEAT", 0.05)
    file = tmp_path / "x.lock"
    with exclusive(file, "x"):
        time.sleep(0.4)
        assert json.loads(file.read_bytes())["beat"] >= 2
