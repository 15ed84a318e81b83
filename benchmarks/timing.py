"""Fair timings: candidates take turns, so that a busy machine slows all of them alike."""

import gc
import os
import platform
import statistics
import time
from collections.abc import Callable
from datetime import date
from importlib.metadata import version
from pathlib import Path


def interleave(candidates: dict[str, Callable[[], object]], repeats: int) -> dict[str, float]:
    """Median seconds per call of every candidate, over `repeats` rounds of one call each.

    Each is called once beforehand (compilation, caches); garbage is collected before and not during.
    A candidate that leaves work behind on a GPU must wait for it itself.
    """
    seconds: dict[str, list[float]] = {name: [] for name in candidates}
    for call in candidates.values():
        call()
    gc.collect()
    gc.disable()
    try:
        for _ in range(repeats):
            for name, call in candidates.items():
                began = time.perf_counter()
                call()
                seconds[name].append(time.perf_counter() - began)
    finally:
        gc.enable()
    return {name: statistics.median(values) for name, values in seconds.items()}


def machine(*packages: str) -> str:
    """One line for RESULTS.md: date, processor, cores, Python and the versions of `packages`."""
    versions = ", ".join(f"{name} {version(name)}" for name in packages)
    python = f"Python {platform.python_version()}"
    return f"{date.today()}: {_processor()}, {os.cpu_count()} cores; {python}, {versions}"


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
