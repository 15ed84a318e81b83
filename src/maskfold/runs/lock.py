"""One process at a time: a lock that names its holder and goes with it."""

import errno
import json
import os
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from maskfold.errors import BusyError, RunError
from maskfold.files import make_folder, writable
from maskfold.storage import Storage

BEAT = 10.0  # seconds between two signs of life
SILENCE = 3 * BEAT  # after which a holder on another machine counts as gone
WAIT = 0.1  # seconds between two tries of who waits
SETTLE = 0.5  # seconds after which, of two that wrote at once, the later one is to be read
NO_LOCKS = (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL)
PLACE = 2**40  # Windows locks bytes, which nobody can read then: one that no file has

_held: set[int] = set()


class Notice(NamedTuple):
    """Where a holder says who it is: the lock file itself, or a key of a storage that several machines see."""

    read: Callable[[], bytes]
    write: Callable[[bytes], object]
    settle: float = 0.0


@contextmanager
def exclusive(file: Path, what: object, *, shared: Notice | None = None, wait: bool = False) -> Iterator[None]:
    """Hold the lock ``file``; the system frees it when the process ends, however it ends.

    Processes that this one forks do not hold it. The file names its holder and shows every `BEAT` seconds that it is
    alive. So a holder on another machine is respected even where the network's file system keeps the locks of its
    machines apart, until it was silent for `SILENCE` seconds.

    Args:
        file: is made; a link is refused.
        what: is worked on, for the message.
        shared: where the holder is named if ``file`` is of this machine only.
        wait: until the holder is done, instead of an error.

    Raises:
        BusyError: another process holds it, and so is working on ``what``.
        RunError: ``file`` is a link.
    """
    opened, notice = _take(file, what, shared, wait=wait)
    _held.add(opened)
    try:
        with _beating(notice, what):
            yield
    finally:
        with suppress(OSError):  # where a file that is open cannot be removed it stays
            os.unlink(file)
        _held.discard(opened)
        os.close(opened)


def notice_at(storage: Storage, key: str) -> Notice:
    """A notice below a key of a storage."""

    def read() -> bytes:
        try:
            return storage.read(key)
        except FileNotFoundError:
            return b""

    def write(text: bytes) -> None:
        storage.publish(key, text) if text else storage.remove(key)

    return Notice(read, write, SETTLE)


def _open(file: Path) -> int:
    with writable(file):
        make_folder(file.parent)
        try:
            return os.open(file, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o666)
        except OSError as error:
            if error.errno != errno.ELOOP:
                raise
    raise RunError(f"{file} is a link, expected a file that maskfold made: remove it")


def _take(file: Path, what: object, shared: Notice | None, *, wait: bool) -> tuple[int, Notice]:
    """The lock file, opened and locked, and where its holder is named."""
    while True:
        opened = _open(file)
        notice = shared or Notice(partial(_content, opened), partial(_rewrite, opened))
        taken = _lock(opened)
        busy = taken is False or _lives(notice, sure=bool(taken))
        if not busy and _still(opened, file):
            return opened, notice
        error = _busy(what, _holder(notice))
        os.close(opened)
        if busy and not wait:
            raise error
        time.sleep(WAIT)


def _still(opened: int, file: Path) -> bool:
    """Whether the file that was opened still has its name: who held it before may have removed it meanwhile."""
    try:
        return os.path.samestat(os.fstat(opened), os.stat(file, follow_symlinks=False))
    except FileNotFoundError:
        return False


def _lock(opened: int) -> bool | None:
    """True: it is ours; False: another process has it; None: this file system cannot lock."""
    try:
        if sys.platform == "win32":
            import msvcrt

            os.lseek(opened, PLACE, os.SEEK_SET)
            msvcrt.locking(opened, msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        return None if error.errno in NO_LOCKS else False
    return True


def _lives(notice: Notice, *, sure: bool) -> bool:
    """Whether a holder on another machine is named and gives signs of life; ``sure``: the lock tells of ours."""
    said, holder = notice.read(), _holder(notice)
    if not said or (sure and holder is not None and holder.get("machine") == _machine()):
        return False
    until = time.monotonic() + SILENCE
    while time.monotonic() < until:
        time.sleep(SETTLE)
        if (now := notice.read()) != said:
            return bool(now)  # nothing: it was taken back
    return False


@contextmanager
def _beating(notice: Notice, what: object) -> Iterator[None]:
    """Name this process, and again and again while it lives."""
    facts = {
        "host": socket.gethostname(),
        "pid": os.getpid(),
        "command": " ".join(sys.argv)[:500],
        "since": datetime.now().astimezone().isoformat(timespec="seconds"),
        "machine": _machine(),
        "token": os.urandom(6).hex(),
    }
    done = threading.Event()

    def beat(number: int = 0) -> None:
        with suppress(OSError, ValueError):  # a full disk, a network that is away: the next one may come through
            notice.write(json.dumps({**facts, "beat": number}).encode())

    def go_on() -> None:
        number = 0
        while not done.wait(BEAT):
            number += 1
            beat(number)

    beat()
    if notice.settle:
        time.sleep(notice.settle)
        if (now := _holder(notice)) is not None and now.get("token") != facts["token"]:
            raise _busy(what, now)
    thread = threading.Thread(target=go_on, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
        with suppress(OSError, ValueError):
            notice.write(b"")


def _holder(notice: Notice) -> dict[str, Any] | None:
    """Who is named, None: nobody."""
    try:
        found = json.loads(notice.read())
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def _busy(what: object, holder: dict[str, Any] | None) -> BusyError:
    named = ""
    if holder is not None:
        facts = {key: "".join(filter(str.isprintable, str(value))) for key, value in holder.items()}
        named = f" ({facts.get('command')}: process {facts.get('pid')} on {facts.get('host')}, since "
        named += f"{facts.get('since')})"
    return BusyError(f"another process is working on {what}{named}: wait for it, or choose another fold or --name")


def _machine() -> str:
    """What this machine is called until it is started again."""
    with suppress(OSError):
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return socket.gethostname()


def _content(opened: int) -> bytes:
    os.lseek(opened, 0, os.SEEK_SET)
    return os.read(opened, 4096)


def _rewrite(opened: int, text: bytes) -> None:
    os.lseek(opened, 0, os.SEEK_SET)
    os.write(opened, text)
    os.ftruncate(opened, len(text))
    os.fsync(opened)


def _forget() -> None:
    """A forked process, a data worker above all, must not keep a lock when the one that took it is gone."""
    for opened in _held:
        with suppress(OSError):
            os.close(opened)
    _held.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
