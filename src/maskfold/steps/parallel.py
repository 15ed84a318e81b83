"""Work side by side: a pool of processes, each with a GPU of its own or its share of the processor's cores."""

import logging
import multiprocessing
import os
import signal
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing.connection import Connection
from multiprocessing.queues import Queue
from threading import Thread
from typing import Any

from maskfold.errors import TrainingError

# Calls a function of a module with the arguments of every task, as many at a time as there are processes.
Workers = Callable[[Callable[..., None], Iterable[tuple[Any, ...]]], None]


def side_by_side(work: Callable[..., None], tasks: Iterable[tuple[Any, ...]], processes: int) -> None:
    """Call ``work(*task)`` for every task, ``processes`` at a time, see `worker_pool`."""
    with worker_pool(processes) as workers:
        workers(work, tasks)


@contextmanager
def worker_pool(processes: int) -> Iterator[Workers]:
    """Processes that work through tasks; each call waits until all of its tasks are done, the first error ends all.

    Each process serves several tasks, of several calls. It ends with this one, however this one ends: a killed parent
    leaves none behind. What is called is imported again in every process, and its arguments are pickled.

    Args:
        processes: at least 1; they are started when they are needed. Several GPUs are dealt out in turn; the cores are
            shared out, unless the environment sets OMP_NUM_THREADS.

    Raises:
        TrainingError: the system ended a process.
        Exception: whatever was raised in one.
    """
    # What a process that is ended at once leaves open is closed by Python's resource tracker, which warns of it.
    os.environ.setdefault("PYTHONWARNINGS", "ignore:resource_tracker")
    context = multiprocessing.get_context("spawn")
    reader, writer = context.Pipe(duplex=False)
    places: Queue[int] = context.Queue()
    for place in range(processes):
        places.put(place)
    level = logging.getLogger("maskfold").getEffectiveLevel()
    given = (places, processes, _gpus(), level, reader)
    pool = ProcessPoolExecutor(processes, context, initializer=_begin, initargs=given)

    def work_through(work: Callable[..., None], tasks: Iterable[tuple[Any, ...]]) -> None:
        for done in as_completed([pool.submit(work, *task) for task in tasks]):
            done.result()

    try:
        yield work_through
        pool.shutdown()
    except BrokenProcessPool:
        raise TrainingError(
            f"the system ended one of the {processes} processes, most likely for want of memory: the same command goes "
            "on where they stopped; with --parallel 1 it needs less memory"
        ) from None
    finally:
        writer.close()  # ends processes that still work
        pool.shutdown(cancel_futures=True)


def _gpus() -> list[str]:
    """The names of this machine's GPUs in CUDA_VISIBLE_DEVICES."""
    import torch

    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    return visible.split(",") if visible else [str(number) for number in range(torch.cuda.device_count())]


def _begin(places: "Queue[int]", processes: int, gpus: list[str], level: int, parent: Connection) -> None:
    """Prepare a process, before torch is imported in it."""
    logging.basicConfig(format="%(message)s")
    logging.getLogger("maskfold").setLevel(level)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent hears it too, and ends this process
    Thread(target=_end_with, args=(parent,), daemon=True).start()
    place = places.get()
    os.environ["TQDM_POSITION"] = str(place)
    if len(gpus) > 1:
        os.environ["CUDA_VISIBLE_DEVICES"] = gpus[place % len(gpus)]
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, _cores() // processes)))


def _end_with(parent: Connection) -> None:
    """End this process at once when the other end of ``parent`` is closed, or its process is gone."""
    try:
        parent.recv()
    except (EOFError, OSError):
        os._exit(1)


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
