"""One process at a time: a lock that names its holder and goes with it."""

import errno
import json
import logging
import os
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from datetime import datetime
from functools import cache, partial
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from maskfold.errors import BusyError, RunError
from maskfold.files import make_folder, writable
from maskfold.storage import Storage

logger = logging.getLogger(__name__)

BEAT = 10.0  # seconds between two signs of life
SILENCE = 3 * BEAT  # after which a holder on another machine counts as gone
WAIT = 0.1  # seconds between two tries of who waits
SETTLE = 0.5  # seconds after which, of two that wrote at once, the later one is to be read
PATIENCE = 1.0  # seconds of waiting after which it is said
TRIES = 3  # of a storage that does not answer
TAKEN = (errno.EAGAIN, errno.EWOULDBLOCK, errno.EACCES, errno.EDEADLK)  # by another; else there are no locks
PLACE = 2**40  # Windows locks bytes, which nobody can read then: one that no file has

T = TypeVar("T")
_held: set[int] = set()


class Notice(NamedTuple):
    """Where a holder says who it is: the lock file itself, or a key of a storage that several machines see."""

    read: Callable[[], bytes]
    write: Callable[[bytes], object]
    settle: float = 0.0


@contextmanager
def exclusive(
    file: Path, what: object, *, shared: Notice | None = None, wait: bool = False, advice: str = "wait for it"
) -> Iterator[None]:
    """Hold the lock ``file``; the system frees it when the process ends, however it ends.

    Processes that this one forks do not hold it. The file names its holder and shows every `BEAT` seconds that it is
    alive. So a holder on another machine is respected even where the network's file system keeps the locks of its
    machines apart, until it was silent for `SILENCE` seconds.

    Args:
        file: is made; a link is refused.
        what: is worked on, for the message.
        shared: where the holder is named if ``file`` is of this machine only.
        wait: until the holder is done, instead of an error.
        advice: what the user may do where it is held, for the message.

    Raises:
        BusyError: another process holds it, and so is working on ``what``.
        RunError: ``file`` is a link.
    """
    opened, notice, facts = _take(file, what, shared, wait=wait, advice=advice)
    try:
        with _beating(notice, facts):
            yield
    finally:
        with suppress(OSError):  # where a file that is open cannot be removed it stays
            os.unlink(file)
        _held.discard(opened)
        os.close(opened)


def notice_at(storage: Storage, key: str) -> Notice:
    """A notice below a key of a storage, which may fail to answer now and then."""

    def read() -> bytes:
        try:
            return storage.read(key)
        except FileNotFoundError:
            return b""

    def write(text: bytes) -> None:
        storage.publish(key, text) if text else storage.remove(key)

    return Notice(lambda: _patiently(read), lambda text: _patiently(partial(write, text)), SETTLE)


def _patiently(ask: Callable[[], T]) -> T:
    for _ in range(TRIES - 1):
        with suppress(Exception):  # every kind of storage has errors of its own
            return ask()
        time.sleep(SETTLE)
    return ask()


def _open(file: Path) -> int:
    with writable(file):
        make_folder(file.parent)
        try:
            return os.open(file, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o666)
        except OSError as error:
            if error.errno != errno.ELOOP:
                raise
    raise RunError(f"{file} is a link, expected a file that maskfold made: remove it")


def _take(
    file: Path, what: object, shared: Notice | None, *, wait: bool, advice: str
) -> tuple[int, Notice, dict[str, Any]]:
    """The lock file, opened and locked, where its holder is named, and what is said there."""
    tell, begun = cache(logger.info), time.monotonic()
    while True:
        with ExitStack() as stack:
            opened = _open(file)
            stack.callback(os.close, opened)
            _held.add(opened)
            stack.callback(_held.discard, opened)
            notice = shared or Notice(partial(_content, opened), partial(_rewrite, opened))
            try:
                if facts := _claim(opened, file, what, notice, tell):
                    stack.pop_all()
                    return opened, notice, facts
            except _HeldError as held:
                named = _named(held.holder)
                if not wait:
                    raise BusyError(f"another process is working on {what}{named}: {advice}") from None
                if time.monotonic() - begun > PATIENCE:
                    tell("waiting for %s%s", what, named)
        time.sleep(WAIT)


class _HeldError(Exception):
    def __init__(self, holder: dict[str, Any] | None) -> None:
        self.holder = holder


def _claim(opened: int, file: Path, what: object, notice: Notice, tell: Callable[..., object]) -> dict[str, Any] | None:
    """Lock the file and name this process; what it says, or None: the file lost its name meanwhile.

    Raises:
        _HeldError: another process has it.
    """
    taken, machine = _lock(opened), _machine(opened, file)
    if taken is False or _lives(notice, machine if taken else None, what, tell):
        raise _HeldError(_holder(notice))
    if not _still(opened, file):
        return None
    facts = _facts(machine)
    _say(notice, facts, 0)
    # Where nothing but the notice keeps two apart that begin at once, the one whose notice was replaced gives way.
    if pause := notice.settle if taken else SETTLE:
        time.sleep(pause)
        if (now := _holder(notice)) is not None and now.get("token") != facts["token"]:
            raise _HeldError(now)
    return facts


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
        return False if error.errno in TAKEN else None
    return True


def _lives(notice: Notice, gone: str | None, what: object, tell: Callable[..., object]) -> bool:
    """Whether a holder is named and gives signs of life.

    Args:
        notice: where it is named.
        gone: the machine of which the lock, which we have, tells that no holder is left; None: of none.
        what: is worked on.
        tell: notes once what is waited for.
    """
    said, holder = notice.read(), _holder(notice)
    if not said or (gone is not None and holder is not None and holder.get("machine") == gone):
        return False
    tell(
        "waiting to see whether the process working on %s%s is still alive, up to %.0f seconds",
        what,
        _named(holder),
        SILENCE,
    )
    until = time.monotonic() + SILENCE
    while time.monotonic() < until:
        time.sleep(SETTLE)
        if (now := notice.read()) != said:
            return bool(now)  # nothing: it was taken back
    return False


def _facts(machine: str) -> dict[str, Any]:
    return {
        "host": socket.gethostname(),
        "pid": os.getpid(),
        "command": " ".join(sys.argv)[:500],
        "since": datetime.now().astimezone().isoformat(timespec="seconds"),
        "machine": machine,
        "token": os.urandom(6).hex(),
    }


def _say(notice: Notice, facts: dict[str, Any], number: int) -> None:
    with suppress(Exception):  # a full disk, a network that is away: the next one may come through
        notice.write(json.dumps({**facts, "beat": number}).encode())


@contextmanager
def _beating(notice: Notice, facts: dict[str, Any]) -> Iterator[None]:
    """Name this process again and again while it lives."""
    done = threading.Event()

    def go_on() -> None:
        number = 0
        while not done.wait(BEAT):
            number += 1
            _say(notice, facts, number)

    thread = threading.Thread(target=go_on, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
        with suppress(Exception):
            notice.write(b"")


def _holder(notice: Notice) -> dict[str, Any] | None:
    """Who is named, None: nobody."""
    try:
        found = json.loads(notice.read())
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def _named(holder: dict[str, Any] | None) -> str:
    if holder is None:
        return ""
    facts = {key: "".join(filter(str.isprintable, str(value))) for key, value in holder.items()}
    named = f" ({facts.get('command')}: process {facts.get('pid')} on {facts.get('host')}, since "
    return f"{named}{facts.get('since')})"


def _machine(opened: int, file: Path) -> str:
    """How processes are called that the lock keeps apart: of this machine, until it starts again, and of this place.

    Containers, users and those with another ``TMPDIR`` share the machine, but not the folder of a lock in it.
    """
    machine = socket.gethostname()
    with suppress(OSError):
        machine = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return f"{machine} {os.fstat(opened).st_dev} {os.stat(file.parent).st_ino}"


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
