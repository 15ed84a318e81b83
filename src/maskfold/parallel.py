"""Work side by side: processes, each with a GPU of its own or its share of the processor's cores."""

import logging
import multiprocessing
import os
import signal
import time
import traceback
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from threading import Thread
from typing import Any, cast

from maskfold.errors import TrainingError
from maskfold.imports import quick_imports

logger = logging.getLogger(__name__)

LEAVING = 60.0  # seconds that a process without work may take to end, which drivers and libraries can keep it from
HEARING = 10.0  # and one whose parent has gone
KILLED = -9  # the exit code after SIGKILL, a name that Windows does not have
PROCESSES = "MASKFOLD_PROCESSES"  # tells those of a pool or group how many they are

Task = tuple[Any, ...]
Work = Callable[..., object]


@contextmanager
def worker_pool(processes: int, *, deaths: int = 0) -> Iterator["Workers"]:
    """Processes that work through tasks, of one call of `Workers` after the other; the first error ends all.

    Each process serves several tasks, of several calls. It ends with this one, however this one ends: a killed parent
    leaves none behind.

    Args:
        processes: at least 1; they are started when they are needed. Several GPUs are dealt out in turn; the cores are
            shared out, unless the environment sets OMP_NUM_THREADS.
        deaths: how often the system may end a process; what that one worked on is done again by another.

    Raises:
        TrainingError: the system ended a process once more.
        Exception: whatever was raised in one.
    """
    # What a process that is ended at once leaves open is closed by Python's resource tracker, which warns of it.
    os.environ.setdefault("PYTHONWARNINGS", "ignore:resource_tracker")
    pool = Workers(processes, deaths)
    try:
        yield pool
        pool.dismiss()
    finally:
        pool.close()


def gpus() -> list[str]:
    """The names of this machine's GPUs in CUDA_VISIBLE_DEVICES."""
    import torch

    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    return visible.split(",") if visible else [str(number) for number in range(torch.cuda.device_count())]


def default_processes() -> int:
    """A process for each GPU; one where there is none."""
    return max(1, len(gpus()))


def processes_here() -> int:
    """How many processes share this machine, as far as is known: those of a pool, or torchrun's; 1: this one alone."""
    return int(os.environ.get(PROCESSES) or os.environ.get("LOCAL_WORLD_SIZE") or 1)


@dataclass
class _Process:
    """A process, this end of the pipe to it, the work that it was told last, and the task that it is at."""

    process: BaseProcess
    pipe: Connection
    place: int
    work: Work | None = None
    task: Task | None = None

    def begin(self, work: Work, task: Task) -> None:
        with suppress(OSError):  # one that was ended meanwhile is found when its end is waited for
            if work is not self.work:
                self.pipe.send(work)
            self.pipe.send(task)
        self.work, self.task = work, task


class Executor(ABC):
    """Calls work for tasks, wherever that is done."""

    def __call__(self, work: Work, tasks: Iterable[Task]) -> None:
        """Call ``work(*task)`` for every task, and wait until all are done; see `finished`."""
        for _ in self.finished(work, tasks):
            pass

    @abstractmethod
    def finished(self, work: Work, tasks: Iterable[Task]) -> Iterator[Task]:
        """Call ``work(*task)`` for every task, and yield each when it is done."""


class Workers(Executor):
    """Processes that are started when there is work for them; `worker_pool` makes and ends them."""

    def __init__(self, processes: int, deaths: int) -> None:
        self._processes, self._deaths = processes, deaths
        self._context = multiprocessing.get_context("spawn")
        self._reader, self._writer = self._context.Pipe(duplex=False)
        level = logging.getLogger("maskfold").getEffectiveLevel()
        self._given = (processes, gpus(), level, self._reader)
        self._free = list(range(processes))
        self._started: list[_Process] = []

    def finished(self, work: Work, tasks: Iterable[Task]) -> Iterator[Task]:
        """Call ``work(*task)`` for every task, and yield each when it is done.

        Args:
            work: what can be pickled: a function of a module, or an object, which every process gets once.
            tasks: arguments that can be pickled.
        """
        waiting = deque(tasks)
        while waiting or self._busy():
            while waiting and (process := self._idle()) is not None:
                process.begin(work, waiting.popleft())
            done, lost = self._collect()
            yield from done
            for task in lost:
                logger.warning("the system ended a process: what it worked on, and nothing else, is done again")
                waiting.appendleft(task)

    def dismiss(self) -> None:
        """Let all processes, whose work is done, come to their end; `close` ends those that take too long for it."""
        for process in self._started:
            with suppress(OSError):
                process.pipe.send(None)
        self._wait(LEAVING)

    def close(self) -> None:
        """End processes that still work: they hear that this one has gone, and one that does not is killed."""
        self._writer.close()
        for process in self._started:
            process.pipe.close()
        self._wait(HEARING)
        for process in self._started:
            process.process.kill()
            process.process.join()
        self._reader.close()

    def _wait(self, seconds: float) -> None:
        """Until all processes are gone, so many seconds at most."""
        until = time.monotonic() + seconds
        for process in self._started:
            process.process.join(max(0.0, until - time.monotonic()))

    def _busy(self) -> dict[Connection, _Process]:
        return {process.pipe: process for process in self._started if process.task is not None}

    def _idle(self) -> _Process | None:
        """A process without a task: a new one while there are fewer than allowed."""
        if self._free:
            return self._start(self._free.pop(0))
        return next((process for process in self._started if process.task is None), None)

    def _collect(self) -> tuple[list[Task], list[Task]]:
        """Wait, and return the tasks that are done and those whose process the system ended."""
        busy = self._busy()
        done: list[Task] = []
        lost: list[Task] = []
        for pipe in wait(list(busy)):
            process = busy[cast("Connection", pipe)]
            task = cast("Task", process.task)
            try:
                error = process.pipe.recv()
            except (EOFError, OSError):
                lost.append(task)
                self._forget(process)
                continue
            if error is not None:
                raise error
            done.append(task)
            process.task = None
        return done, lost

    def _forget(self, process: _Process) -> None:
        """A process that is gone leaves its place to another, unless too many went."""
        self._started.remove(process)
        self._free.append(process.place)
        process.pipe.close()
        process.process.join()
        self._deaths -= 1
        if self._deaths < 0:
            raise TrainingError(
                f"one of the {self._processes} processes {_ended(process.process.exitcode)}: the same command goes on "
                "where they stopped; with --parallel 1 it needs less memory"
            )

    def _start(self, place: int) -> _Process:
        ours, theirs = self._context.Pipe()
        process = self._context.Process(target=_serve, args=(theirs, place, *self._given))
        process.start()
        theirs.close()  # so that this end sees the process go
        self._started.append(_Process(process, ours, place))
        return self._started[-1]


def _ended(code: int | None) -> str:
    """How a process came to its end, by its exit code: less than 0, the number of a signal."""
    if code == KILLED:
        return "was killed by the system, most likely because memory ran out"
    if code is not None and code < 0:
        return f"was ended by signal {-code} ({signal.strsignal(-code)})"
    return f"ended without a message (exit status {code})"


def _serve(
    pipe: Connection, place: int, processes: int, devices: Sequence[str], level: int, parent: Connection
) -> None:
    """What a process does: one task after the other, and after each it sends None or what went wrong."""
    _begin(place, processes, devices, level, parent)
    # Only now, since what works imports what it needs, torch above all.
    with suppress(EOFError, ConnectionError):  # the parent has gone, or ends this process: see `_end_with`
        _work_through(pipe)


def _work_through(pipe: Connection) -> None:
    work: Work | None = None
    with quick_imports():
        received = pipe.recv()  # what works, and with it torch
    while received is not None:
        if callable(received):
            work = received
        else:
            assert work is not None  # it comes before the first task
            pipe.send(_error_of(work, received))
        received = pipe.recv()


def _error_of(work: Work, task: Task) -> Exception | None:
    try:
        work(*task)
    except Exception as raised:
        raised.add_note("".join(traceback.format_exception(raised)))
        return raised
    return None


def _begin(place: int, processes: int, devices: Sequence[str], level: int, parent: Connection) -> None:
    """Prepare a process, before torch is imported in it."""
    logging.basicConfig(format="%(message)s")
    logging.getLogger("maskfold").setLevel(level)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent hears it too, and ends this process
    Thread(target=_end_with, args=(parent,), daemon=True).start()
    os.environ["TQDM_POSITION"] = str(place)
    os.environ[PROCESSES] = str(processes)
    if len(devices) > 1:
        os.environ["CUDA_VISIBLE_DEVICES"] = devices[place % len(devices)]
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, _cores() // processes)))


def _end_with(parent: Connection) -> None:
    """End this process at once when the other end of ``parent`` is closed, or its process is gone."""
    try:
        parent.recv()
    except (EOFError, OSError):
        os._exit(1)


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
