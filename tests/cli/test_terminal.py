"""What is printed shows and never obeys; failures of the machine say what to do."""

import errno
import io
import logging
import sys

import numpy as np
import pytest

from maskfold.cli.script import describe_error, run_script
from maskfold.cli.terminal import PlainStream, printable
from maskfold.errors import RunError


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b]0;owned\x07a\x1b[31m", r"\x1b]0;owned\x07a\x1b[31m"),
        ("safe\rEVIL", r"safe\rEVIL"),
        ("a\u202egnp.exe", r"a\u202egnp.exe"),
        ("\x9b2J", r"\x9b2J"),
        ("name-\udcff", r"name-\udcff"),
        ("\ufeff3\u200b2\u2060", r"\ufeff3\u200b2\u2060"),
        ("图 é 🛰 a\tb\n", "图 é 🛰 a\tb\n"),
    ],
)
def test_escapes_are_shown(text, shown):
    assert printable(text) == shown


def test_nothing_that_a_command_says_reaches_the_terminal_as_an_order(capsys):
    def main():
        print("run \x1b[2Jmine")
        logging.getLogger("maskfold.x").warning("note \x1b[2J of %s", "a\rb")
        raise RunError("there is no \x1b[31mrun")

    with pytest.raises(SystemExit):
        run_script(main)
    said = capsys.readouterr()
    assert said.out == "run \\x1b[2Jmine\n"
    assert said.err == "note \\x1b[2J of a\\rb\nerror: there is no \\x1b[31mrun\n"
    assert not isinstance(sys.stdout, PlainStream), "given back afterwards"


def test_a_terminal_without_utf8_gets_escapes_instead_of_an_error(monkeypatch):
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", stream)
    run_script(lambda: print("50 ± 3 …"))
    stream.flush()
    assert stream.buffer.getvalue() == b"50 \\xb1 3 \\u2026\n"


FAILURES = [
    (PermissionError(errno.EACCES, "Permission denied", "runs/x.csv"), "runs/x.csv: permission denied; give yourself"),
    (OSError(errno.EROFS, "Read-only file system", "runs"), "runs: read-only file system; work in a folder that"),
    (OSError(errno.ENOSPC, "No space left on device", "runs/x"), "runs/x: no space left on device; make room"),
    (FileNotFoundError(errno.ENOENT, "No such file or directory", "sub.csv"), "sub.csv: no such file or directory; is"),
    (IsADirectoryError(errno.EISDIR, "Is a directory", "a"), "a: is a directory; name a file in it"),
    (OSError(errno.EMFILE, "Too many open files", "a"), "a: too many open files; raise the limit (ulimit -n)"),
    (OSError(errno.EIO, "Input/output error", "train/a.jpg"), "train/a.jpg: input/output error; the disk fails: save"),
    (OSError(errno.ENOSPC, "No space left on device"), "the disk or /dev/shm: no space left on device; make room"),
    (OSError(errno.EMFILE, "Too many open files"), "this process: too many open files; raise the limit (ulimit -n)"),
    (MemoryError(), "the machine ran out of memory: lower data.workers"),
    (np._core._exceptions._ArrayMemoryError((9, 9), np.dtype("u1")), "the machine ran out of memory"),
    (RuntimeError("[enforce] DefaultCPUAllocator: can't allocate memory: you tried"), "the machine ran out of memory"),
    (RuntimeError("DataLoader worker (pid 7) is killed by signal: Bus error. It is possible"), "--shm-size 4g"),
    (RuntimeError("DataLoader worker (pid 7) is killed by signal: Killed. "), "ended a data worker, most likely"),
    (RuntimeError("DataLoader worker (pid(s) 7, 8) exited unexpectedly"), "memory ran out: lower data.workers, set"),
    (RuntimeError("Too many open files. Communication with the workers is no longer"), "raise the limit (ulimit -n)"),
    (RuntimeError("unable to open shared memory object </torch_1> in read-write mode"), "set data.workers to 0"),
    (OSError("No space left on device: '/torch_1_2_3'"), "--shm-size 4g"),
    (RuntimeError("unable to resize file </torch_1_2_0> to the right size: File too large (27)"), "data.workers to 0"),
]  # fmt: skip


@pytest.mark.parametrize(("error", "text"), FAILURES, ids=[type(error).__name__ for error, _ in FAILURES])
def test_what_the_machine_refuses(error, text):
    said = describe_error(error)
    assert text in said
    assert "Errno" not in said
    assert "MASKFOLD_DEBUG" not in said


def test_other_errors_keep_their_kind():
    assert describe_error(KeyError("a")).startswith("KeyError: 'a' (set MASKFOLD_DEBUG=1")
    assert describe_error(OSError("no file here")).startswith("OSError: no file here")
    triton = "out of resource: shared memory, Required: 131072, Hardware limit: 101376. Reducing block sizes may help."
    assert "--shm-size" not in describe_error(RuntimeError(triton)), "that is the GPU's"
