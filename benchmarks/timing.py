"""Fair timings: candidates take turns, so that a busy machine slows all of them alike."""

import gc
import os
import platform
import statistics
import time
from collections.abc import Callable, Iterable
from datetime import date
from importlib.metadata import version
from pathlib import Path
from typing import TypeVar

import psutil

Result = TypeVar("Result")


def interleave(
    candidates: dict[str, Callable[[], object]],
    repeats: int,
    block: int = 1,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, float]:
    """Median seconds per call of every candidate, over `repeats` rounds of `block` calls each, as ``clock`` has them.

    Blocks are for calls of microseconds: what the candidate before left in caches and in the heap is then not measured.
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
                for _ in range(block):
                    began = clock()
                    call()
                    seconds[name].append(clock() - began)
    finally:
        gc.enable()
    return {name: statistics.median(values) for name, values in seconds.items()}


def processor_seconds() -> float:
    """Processor time so far of this process, of its data workers that are alive, and of those that it waited for."""
    children = [child.cpu_times() for child in psutil.Process().children(recursive=True)]
    ended = psutil.Process().cpu_times()
    alive = sum(times.user + times.system for times in children)
    return time.process_time() + alive + ended.children_user + ended.children_system


def spent(call: Callable[[], object]) -> float:
    """`processor_seconds` of a call, without those that looking for data workers takes."""
    others = processor_seconds() - time.process_time()
    began = time.process_time()
    call()
    own = time.process_time() - began
    return own + processor_seconds() - time.process_time() - others


def clock_of(busy: bool) -> Callable[[], float]:
    """The clock on the wall; where others are ``busy`` on the machine, `processor_seconds`."""
    return processor_seconds if busy else time.perf_counter


def convolutions(call: Callable[[], object]) -> float:
    """Share of a call's processor time that torch spends in convolutions, forward and backward."""
    from torch.profiler import ProfilerActivity, profile

    with profile(activities=[ProfilerActivity.CPU]) as seen:
        call()
    spans = {event.key: event.self_cpu_time_total for event in seen.key_averages()}
    return sum(span for name, span in spans.items() if "conv" in name) / sum(spans.values())


class Stopwatches:
    """Processor seconds spent in calls, summed up by name, for ways that take turns on the same input.

    With `warm` the first call of each name is made twice and timed once: compilation and caches are not counted.
    """

    def __init__(self, *, warm: bool = True) -> None:
        self.warm = warm
        self.seconds: dict[str, float] = {}

    def call(self, name: str, function: Callable[..., Result], *arguments: object) -> Result:
        """What the function returns."""
        if self.warm and name not in self.seconds:
            function(*arguments)
        began = time.process_time()
        result = function(*arguments)
        self.seconds[name] = self.seconds.get(name, 0.0) + time.process_time() - began
        return result


def print_row(what: str, *cells: str, head: bool = False) -> None:
    """A row of a table for RESULTS.md."""
    print(f"| {what} | {' | '.join(cells)} |", flush=True)
    if head:
        print("| --- " + "| ---: " * len(cells) + "|")


def print_rows(rows: Iterable[tuple[str, float, float, float | None]], scale: float = 1.0) -> None:
    """Rows (what, ours, theirs, limit of the ratio theirs / ours or None), the numbers multiplied by `scale`."""
    for what, ours, theirs, limit in rows:
        ratio, bound = theirs / ours, "" if limit is None else f">= {limit:g}"
        verdict = "" if limit is None or ratio >= limit else " (not reached)"
        print_row(what, f"{ours * scale:.4g}", f"{theirs * scale:.4g}", f"{ratio:.1f}", bound + verdict)


def machine(*packages: str) -> str:
    """Lines for RESULTS.md: date, processor, its instruction sets, cores, load, Python, versions of `packages`."""
    versions = ", ".join(f"{name} {version(name)}" for name in packages)
    python = f"Python {platform.python_version()}"
    processor = _cpuinfo("model name") or platform.processor() or platform.machine()
    load = f"load {os.getloadavg()[0]:.1f} at the start" if hasattr(os, "getloadavg") else "load unknown"
    return (
        f"{date.today()}: {processor}, {os.cpu_count()} cores, {load}; {python}, {versions}\n"
        f"instruction sets: {_instruction_sets()}"
    )


def _instruction_sets() -> str:
    flags = set(_cpuinfo("flags").split())
    found = [name for name in ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_bf16") if name in flags]
    return ", ".join(found) or "unknown"


def _cpuinfo(name: str) -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    return next((line.partition(":")[2].strip() for line in lines if line.startswith(name)), "")
