"""Memory: how much is free, how much a process had at most, and a process that may not take all there is."""

import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import psutil

from maskfold.errors import TrainingError

# Where Linux says what a container may use and what it uses: version 2 of control groups, and version 1.
CONTAINERS = (
    ("memory.max", "memory.current", "memory.stat", "inactive_file"),
    ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes", "memory/memory.stat", "total_inactive_file"),
)
PATIENCE = 600.0  # seconds after which a watched process is stopped


def free_memory(groups: Path = Path("/sys/fs/cgroup")) -> int:
    """Bytes that may still be taken without taking from others: of the machine, and of the container around us."""
    free = psutil.virtual_memory().available
    for limit, used, details, copies in CONTAINERS:
        try:
            most, now = int((groups / limit).read_text()), int((groups / used).read_text())
            # Copies of files, which give way, count as used.
            cached = re.search(rf"^{copies} (\d+)$", (groups / details).read_text(), re.MULTILINE)
        except (OSError, ValueError):  # not in a container, or in one without a limit
            continue
        free = min(free, max(0, most - now + (int(cached[1]) if cached else 0)))
    return free


def reserve() -> int:
    """Bytes that are left alone: a twentieth of the machine's, half a GiB at least."""
    return max(psutil.virtual_memory().total // 20, 2**29)


def forget_peak() -> None:
    """Let `peak_memory` count from now on, where the system can."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return


def peak_memory() -> int:
    """The most bytes that this process held in memory so far."""
    info = psutil.Process().memory_info()
    if (windows := getattr(info, "peak_wset", None)) is not None:
        return windows
    status = Path("/proc/self/status")
    if status.exists() and (found := re.search(r"^VmHWM:\s+(\d+) kB$", status.read_text(), re.MULTILINE)):
        return int(found[1]) * 1024
    import resource

    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024


def workers_memory() -> int:
    """Bytes that the processes begun by this one have for themselves."""
    found = 0
    for child in psutil.Process().children(recursive=True):
        try:
            found += child.memory_full_info().uss
        except psutil.Error:
            continue  # it has just ended
    return found


Stop = Literal["memory", "time"]
"""What ran out."""


class Watched(NamedTuple):
    """What a process said, an object per line of JSON, and what it was stopped for (None: it came to its end)."""

    said: list[dict[str, Any]]
    stopped: Stop | None


def run_watched(module: str, arguments: Sequence[str], *, keep: int, patience: float = PATIENCE) -> Watched:
    """Run ``python -m module arguments``, until less than ``keep`` bytes are free or ``patience`` seconds have passed.

    Raises:
        TrainingError: it failed; the message is its last line.
    """
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        command = [sys.executable, "-m", module, *arguments]
        process = subprocess.Popen(command, stdout=out, stderr=err, env=environment)
        try:
            stopped = _watch(process, keep, patience)
        finally:
            process.kill()
            process.wait()
        out.seek(0)
        err.seek(0)
        said = [json.loads(line) for line in out if line.startswith("{") and line.endswith("}\n")]
        if stopped is None and process.returncode == -9:
            stopped = "memory"  # the system was faster
        if stopped is None and process.returncode != 0:
            lines = err.read().strip().splitlines() or [f"exit code {process.returncode}"]
            raise TrainingError(f"what fits could not be measured: {lines[-1]}")
    return Watched(said, stopped)


def _watch(process: subprocess.Popen, keep: int, patience: float) -> Stop | None:
    """Wait for a process; what runs out before its end, if anything does."""
    started = time.monotonic()
    while process.poll() is None:
        if free_memory() < keep:
            return "memory"
        if time.monotonic() - started > patience:
            return "time"
        time.sleep(0.05)
    return None
