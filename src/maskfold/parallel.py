"""Work side by side: processes, each with a GPU of its own or its share of the processor's cores."""

import logging
import multiprocessing
import os
import signal
import traceback
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from threading import Thread
from typing import Any

from maskfold.errors import TrainingError

logger = logging.getLogger(__name__)

Task = tuple[Any, ...]


def side_by_side(work: Callable[..., object], tasks: Iterable[Task], processes: int) -> None:
    """Call ``work(*task)`` for every task, ``processes`` at a time; the first error ends all of them.

    Args:
        work: see `finished_tasks`.
        tasks: arguments that can be pickled.
        processes: see `finished_tasks`.

    Raises:
        TrainingError: the system ended a process.
        Exception: whatever ``work`` raised.
    """
    for _ in finished_tasks(work, tasks, processes):
        pass


def finished_tasks(
    work: Callable[..., object], tasks: Iterable[Task], processes: int, *, deaths: int = 0
) -> Iterator[Task]:
    """Call ``work(*task)`` for every task, ``processes`` at a time, and yield each task when it is done.

    Each process serves several tasks. It ends with this one, however this one ends: a killed parent leaves none behind.
    The first error ends all of them.

    Args:
        work: what can be pickled: a function of a module, or an object, which every process gets once.
        tasks: arguments that can be pickled.
        processes: at least 1. Several GPUs are dealt out in turn; the cores are shared out, unless the environment
            sets OMP_NUM_THREADS.
        deaths: how often the system may end a process; what that one worked on is done again by another.

    Raises:
        TrainingError: the system ended a process once more.
        Exception: whatever ``work`` raised.
    """
    # What a process that is ended at once leaves open is closed by Python's resource tracker, which warns of it.
    os.environ.setdefault("PYTHONWARNINGS", "ignore:resource_tracker")
    pool = _Pool(work, processes)
    waiting = deque(tasks)
    try:
        while waiting or pool.busy:
            while waiting and pool.give(waiting[0]):
                waiting.popleft()
            done, lost = pool.collect()
            yield from done
            deaths -= len(lost)
            if deaths < 0:
                raise TrainingError(
                    f"the system ended one of the {processes} processes, most likely for want of memory: the same "
                    "command goes on where they stopped; with --parallel 1 it needs less memory"
                )
            for task in lost:
                logger.warning("the system ended a process: what it worked on, and nothing else, is done again")
                waiting.appendleft(task)
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


@dataclass
class _Worker:
    """A process, this end of the pipe to it, and what it works on."""

    process: BaseProcess
    pipe: Connection
    place: int
    task: Task | None = None


class _Pool:
    """Processes that are started when there is work for them."""

    def __init__(self, work: Callable[..., object], processes: int) -> None:
        self._context = multiprocessing.get_context("spawn")
        self._reader, self._writer = self._context.Pipe(duplex=False)
        level = logging.getLogger("maskfold").getEffectiveLevel()
        self._work = work
        self._given = (processes, gpus(), level, self._reader)
        self._free = list(range(processes))
        self._workers: list[_Worker] = []

    @property
    def busy(self) -> bool:
        return any(worker.task is not None for worker in self._workers)

    def give(self, task: Task) -> bool:
        """Hand a task to a process that has none; whether there was one."""
        worker = next((worker for worker in self._workers if worker.task is None), None)
        if worker is None and not self._free:
            return False
        if worker is None or self._free:  # as many processes as are allowed, before any gets a second task
            worker = self._start(self._free.pop(0)) if self._free else worker
        assert worker is not None
        worker.task = task
        with suppress(OSError):  # one that was ended meanwhile is found by `collect`
            worker.pipe.send(task)
        return True

    def collect(self) -> tuple[list[Task], list[Task]]:
        """Wait, and return the tasks that are done and those whose process the system ended.

        Raises:
            Exception: what ``work`` raised.
        """
        pipes = {worker.pipe: worker for worker in self._workers if worker.task is not None}
        done, lost = [], []
        for pipe in wait(list(pipes)):
            worker = pipes[pipe]  # type: ignore[index]
            try:
                error = worker.pipe.recv()
            except (EOFError, OSError):
                lost.append(worker.task)
                self._workers.remove(worker)
                self._free.append(worker.place)
                worker.pipe.close()
                worker.process.join()
                continue
            if error is not None:
                raise error
            done.append(worker.task)
            worker.task = None
        return done, lost

    def dismiss(self) -> None:
        """Let processes without work come to their end."""
        for worker in self._workers:
            worker.pipe.send(None)
        for worker in self._workers:
            worker.process.join()

    def close(self) -> None:
        """End processes that still work."""
        self._writer.close()
        for worker in self._workers:
            worker.pipe.close()
            worker.process.join()
        self._reader.close()

    def _start(self, place: int) -> _Worker:
        ours, theirs = self._context.Pipe()
        process = self._context.Process(target=_serve, args=(theirs, place, *self._given))
        process.start()
        theirs.close()  # so that this end sees the process go
        with suppress(OSError):
            ours.send(self._work)
        worker = _Worker(process, ours, place)
        self._workers.append(worker)
        return worker


def _serve(
    pipe: Connection, place: int, processes: int, devices: Sequence[str], level: int, parent: Connection
) -> None:
    """What a process does: one task after the other, and after each it sends None or what went wrong."""
    _begin(place, processes, devices, level, parent)
    work = pipe.recv()  # imports what it needs, torch above all: not before the process is prepared
    while (task := pipe.recv()) is not None:
        error = None
        try:
            work(*task)
        except Exception as raised:
            raised.add_note("".join(traceback.format_exception(raised)))
            error = raised
        pipe.send(error)


def _begin(place: int, processes: int, devices: Sequence[str], level: int, parent: Connection) -> None:
    """Prepare a process, before torch is imported in it."""
    logging.basicConfig(format="%(message)s")
    logging.getLogger("maskfold").setLevel(level)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent hears it too, and ends this process
    Thread(target=_end_with, args=(parent,), daemon=True).start()
    os.environ["TQDM_POSITION"] = str(place)
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
