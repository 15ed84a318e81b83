"""A connection to a Ray cluster, and work as its tasks: of one process each; see `groups` for several."""

import logging
import os
import re
import socket
import sys
import time
import uuid
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any

from maskfold.errors import BusyError, ClusterError, TrainingError
from maskfold.parallel import Executor, Task, Work, worker_pool

# What workers are told of this process's environment, where it is set.
PASSED_ON = (
    "MASKFOLD_RUNS",
    "MASKFOLD_WEIGHTS",
    "MASKFOLD_CACHE",
    "MASKFOLD_DEBUG",
    "OMP_NUM_THREADS",
    "NO_ALBUMENTATIONS_UPDATE",
    "AWS_ENDPOINT_URL",
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_DEFAULT_REGION",
)
# Lines that differ in numbers alone are the same to Ray, which shows one of them: the epochs of other folds would be
# missing. It looks at this when it is imported.
os.environ.setdefault("RAY_DEDUP_LOGS", "0")
# Seconds: a process of a machine that is gone may hold a fold until it notices.
PATIENCE = 120.0
# How often the machine or process of a task may go; it is done again elsewhere.
DEATHS = 3


@dataclass(frozen=True)
class Cluster:
    """A Ray cluster that is running.

    Attributes:
        address: of its head, ``auto`` for the one that this machine belongs to.
        gpus: of a GPU that each task, or each process of it, gets, such as 0.5; None: a whole one where the cluster has
            any.
        together: processes that do a task together, as torchrun starts them, each on whatever machine has room.
    """

    address: str = "auto"
    gpus: float | None = None
    together: int = 1


def workers_of(cluster: Cluster | None, processes: int, *, deaths: int = 0) -> AbstractContextManager[Executor]:
    """The workers of a cluster; None: so many processes of this machine, of which the system may end ``deaths``."""
    return worker_pool(processes, deaths=deaths) if cluster is None else cluster_workers(cluster)


@contextmanager
def cluster_workers(cluster: Cluster) -> Iterator[Executor]:
    """Connect to a cluster, and disconnect in the end; a connection that this process has already is used, and stays.

    Raises:
        ClusterError: Ray is not installed, or there is no such cluster.
        TrainingError: a task's machines went more often than allowed.
        Exception: whatever was raised in a task.
    """
    try:
        import ray  # pyright: ignore[reportMissingImports]
    except ImportError:
        raise ClusterError(
            "Ray is not installed: pip install -r requirements-cluster.txt on every machine, or leave out --engine ray"
        ) from None
    if ray.is_initialized():
        yield _workers(cluster)
        return
    given = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
    paths = os.pathsep.join(path for path in sys.path if path)
    environment = {"env_vars": {**given, "PYTHONPATH": paths}}
    try:
        _refuse_silent(cluster.address)
        ray.init(address=cluster.address, runtime_env=environment, log_to_driver=True, logging_level=logging.WARNING)
    except (OSError, RuntimeError, ValueError) as error:
        reason = " ".join(str(error).split())[:200]
        raise ClusterError(
            f"there is no Ray cluster at {cluster.address} ({reason}): start one with ray start --head, or "
            "give --address"
        ) from None
    try:
        yield _workers(cluster)
    finally:
        ray.shutdown()


def _workers(cluster: Cluster) -> Executor:
    import ray  # pyright: ignore[reportMissingImports]

    from maskfold.cluster.groups import Groups

    gpus = (1 if ray.cluster_resources().get("GPU") else 0) if cluster.gpus is None else cluster.gpus
    if cluster.together > 1 and 0 < gpus < 1:
        raise ClusterError(
            f"--gpus-per-fold {gpus:g} is less than a whole GPU, which each process needs where several train a "
            "fold together: give 1, or leave out --workers-per-fold"
        )
    return ClusterWorkers(gpus) if cluster.together == 1 else Groups(gpus, cluster.together)


def _refuse_silent(address: str) -> None:
    """Raise an OSError where nobody listens at ``host:port``: Ray itself would try for minutes."""
    if found := re.fullmatch(r"(?:ray://)?([^:/]+):(\d+)", address):
        socket.create_connection((found[1], int(found[2])), timeout=10).close()


class ClusterWorkers(Executor):
    """Calls work as Ray tasks; `cluster_workers` makes it."""

    def __init__(self, gpus: float) -> None:
        import ray  # pyright: ignore[reportMissingImports]

        self._task = ray.remote(_work).options(num_cpus=1, num_gpus=gpus, max_retries=DEATHS)

    def finished(self, work: Work, tasks: Iterable[Task]) -> Iterator[Task]:
        """Call ``work(*task)`` for every task, as many at a time as the cluster has room for; yield each when done.

        The first error ends the others. An object that works is kept by the processes that serve several tasks.
        """
        import ray  # pyright: ignore[reportMissingImports]
        from ray.exceptions import RayError, RayTaskError  # pyright: ignore[reportMissingImports]

        key, sent = uuid.uuid4().hex, ray.put(work)
        running = {self._task.remote(os.getcwd(), key, sent, task): task for task in tasks}
        try:
            while running:
                (done,), _ = ray.wait(list(running), num_returns=1)
                task = running.pop(done)
                try:
                    ray.get(done)
                except RayTaskError as error:
                    raise (error.cause if isinstance(error.cause, Exception) else error) from None
                except RayError as error:
                    raise gone(error) from None
                yield task
        finally:
            end_tasks(list(running))


def end_tasks(references: list) -> None:
    """End the tasks that still run; Ray aborts a process that cancels a task whose result has just come."""
    import ray  # pyright: ignore[reportMissingImports]

    if references:
        for reference in ray.wait(references, num_returns=len(references), timeout=0)[1]:
            ray.cancel(reference, force=True)


def gone(error: Exception) -> TrainingError:
    """What is raised when a task's machines went too often."""
    reason = " ".join(str(error).split())[:200]
    return TrainingError(
        f"the machine or process of a task was lost {DEATHS + 1} times ({reason}): the same command goes on where it "
        "stopped"
    )


def enter(folder: str) -> None:
    """Go to the folder that the command was given in, where this machine sees it too."""
    if os.path.isdir(folder):
        os.chdir(folder)


_kept: dict[str, Any] = {}  # the object of the last call alone: an ensemble holds its networks


def _work(folder: str, key: str, work: Work, task: Task) -> None:
    """What a worker does: in the folder that the command was given in, with the object that it has already."""
    enter(folder)
    if key not in _kept:
        _kept.clear()
        _kept[key] = work
    work = _kept[key]
    until = time.monotonic() + PATIENCE
    while True:
        try:
            work(*task)
            return
        except BusyError:
            if time.monotonic() > until:
                raise
            time.sleep(1)
