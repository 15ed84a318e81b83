"""Failures that are none of maskfold's own: what happened, and what to do, in one message."""

import errno
import re

OUT_OF_MEMORY = (
    "the GPU ran out of memory: in training lower train.batch_size (train.accumulate makes up for it) or "
    "data.crop; in validation and prediction lower inference.batch_size, or set tta.window"
)
LESS = "lower data.workers, set data.cache to none, lower train.batch_size or inference.batch_size, or set tta.window"
MAIN_MEMORY = f"the machine ran out of memory: {LESS}"
WORKER_GONE = f"the system ended a data worker, most likely because memory ran out: {LESS}"
SHARED_MEMORY = (
    "shared memory ran out: lower train.batch_size or inference.batch_size, or set "
    "data.workers to 0; where /dev/shm is full, in Docker of 64 MiB, start the container with --shm-size 4g"
)
# "Shared memory" alone is none: Triton means what is on the GPU.
SHARED_MEMORY_SIGNS = (
    "bus error",
    "insufficient shared memory",
    "shared memory object",
    "/dev/shm",
    "'/torch_",
    "</torch_",
)
# What can be done about what the system says of a file.
_ADVICE = {
    errno.EACCES: "give yourself the right to it, or name another place",
    errno.EPERM: "give yourself the right to it, or name another place",
    errno.EROFS: "work in a folder that can be written to",
    errno.ENOSPC: "make room, then give the same command again",
    errno.EDQUOT: "make room, then give the same command again",
    errno.ENAMETOOLONG: "give a shorter one; most disks take 255 bytes",
    errno.ELOOP: "its links lead in a circle, remove one of them",
    errno.EISDIR: "name a file in it",
    errno.ENOTDIR: "a part of the path is a file, name a folder",
    errno.ENOENT: "is the name right, and the current folder?",
    errno.EIO: "the disk fails: save what it still reads, and restore this from a copy",
    errno.EMFILE: "raise the limit (ulimit -n), or lower data.workers",
}
# What is meant where the system names no file.
_NAMELESS = {
    errno.ENOSPC: "the disk or /dev/shm",
    errno.EDQUOT: "the disk",
    errno.EIO: "a file",
    errno.EMFILE: "this process",
}


def memory_message(kind: str, text: str) -> str | None:
    """The message of an exception of this type and text that tells of a lack of memory or files; None for others."""
    first = text.splitlines()[0] if text else kind
    if kind == "OutOfMemoryError":
        return f"{OUT_OF_MEMORY} ({first})"
    if any(sign in text.lower() for sign in SHARED_MEMORY_SIGNS):
        return f"{SHARED_MEMORY} ({first})"
    if re.search(r"DataLoader worker .*(killed by signal: Killed|exited unexpectedly)", text):
        return f"{WORKER_GONE} ({first})"
    if kind == "RuntimeError" and "Too many open files" in text:  # torch's own advice is of no use in a command
        return f"{_NAMELESS[errno.EMFILE]}: too many open files; {_ADVICE[errno.EMFILE]}"
    if kind in ("MemoryError", "_ArrayMemoryError") or re.search(r"DefaultCPUAllocator: .*memory", text):
        return f"{MAIN_MEMORY} ({first})"
    return None


def file_message(error: OSError) -> str | None:
    """The message of what the system says of a file; None where nobody can tell what it is about."""
    named = _NAMELESS.get(error.errno or 0) if error.filename is None else error.filename
    if named is None or error.errno is None:
        return None
    name = named if isinstance(named, str) else repr(named)
    shown = name if len(name) <= 300 else f"{name[:150]}…{name[-100:]}"
    advice = _ADVICE.get(error.errno)
    return f"{shown}: {(error.strerror or 'it cannot be used').lower()}" + (f"; {advice}" if advice else "")
