"""Tasks that several processes of a cluster do together, as torchrun would start them, on one machine or several."""

import os
import socket
import sys
import time
from collections.abc import Iterable, Iterator, Mapping

from maskfold.cluster.workers import DEATHS, PATIENCE, end_tasks, enter, gone
from maskfold.errors import BusyError, ClusterError, MaskfoldError
from maskfold.parallel import PROCESSES, Executor, Task, Work


class Groups(Executor):
    """Calls work in groups of processes; `maskfold.cluster.workers.cluster_workers` makes it.

    A group begins when there is room for all of it. Where the machine of one of its processes goes, all of them end,
    and the group begins again.
    """

    def __init__(self, gpus: float, processes: int) -> None:
        self._needs = [{"CPU": 1.0, **({"GPU": gpus} if gpus else {})}] * processes

    def finished(self, work: Work, tasks: Iterable[Task]) -> Iterator[Task]:
        """Call ``work(*task)`` for every task in all processes of a group; as many groups at a time as have room.

        Raises:
            ClusterError: the whole cluster is too small for a group.
            TrainingError: machines of a task went more often than allowed.
            Exception: whatever was raised in a process.
        """
        import ray  # pyright: ignore[reportMissingImports]

        refuse_too_large(self._needs, ray.cluster_resources())
        groups = [_Group(self._needs, work, task) for task in tasks]
        try:
            for group in groups:
                group.begin()
            while groups:
                ray.wait([process for group in groups for process in group.running], timeout=1)
                for group in [each for each in groups if each.done()]:
                    groups.remove(group)
                    group.end()
                    yield group.task
        finally:
            for group in groups:
                group.end()


def refuse_too_large(needs: list[dict[str, float]], there: Mapping[str, float]) -> None:
    """Refuse a group for which the cluster will never have room.

    Args:
        needs: of each process: resource -> how much.
        there: resource -> how much all machines have together.

    Raises:
        ClusterError: it is too large.
    """
    asked = {name: sum(need.get(name, 0) for need in needs) for name in ("CPU", "GPU")}
    if any(count > there.get(name, 0) for name, count in asked.items()):
        asked_text, there_text = (
            f"{one.get('CPU', 0):g} cores and {one.get('GPU', 0):g} GPUs" for one in (asked, there)
        )
        raise ClusterError(
            f"a fold's {len(needs)} processes need {asked_text}, the cluster has {there_text}: lower "
            "--workers-per-fold, or add machines"
        )


class _Group:
    """The processes of one task."""

    def __init__(self, needs: list[dict[str, float]], work: Work, task: Task) -> None:
        self.task = task
        self.running: list = []
        self._needs, self._work = needs, work
        self._deaths, self._error, self._until = 0, None, 0.0
        self._patience: float | None = None  # until when a fold may be held; it begins when it first is
        self._room = None

    def begin(self) -> None:
        """Ask for room for all processes; they start when there is."""
        import ray  # pyright: ignore[reportMissingImports]
        from ray.util.placement_group import placement_group  # pyright: ignore[reportMissingImports]
        from ray.util.scheduling_strategies import (  # pyright: ignore[reportMissingImports]
            PlacementGroupSchedulingStrategy,
        )

        self._error = None
        self._room = placement_group(self._needs, strategy="PACK")
        options = [
            {
                "num_cpus": need["CPU"],
                "num_gpus": need.get("GPU", 0),
                "max_retries": 0,
                "runtime_env": {"env_vars": {"MASKFOLD_GROUP": "1"}},  # no process that did anything else before
                "scheduling_strategy": PlacementGroupSchedulingStrategy(self._room, placement_group_bundle_index=rank),
            }
            for rank, need in enumerate(self._needs)
        ]
        member = ray.remote(max_calls=1)(_member)  # its process ends with it: what joined a group stays in it
        address = ray.remote(_address).options(**{**options[0], "num_gpus": 0}).remote()
        self.running = [
            member.options(**each).remote(address, rank, len(options), os.getcwd(), self._work, self.task)
            for rank, each in enumerate(options)
        ]

    def done(self) -> bool:
        """Whether all processes came to their end; begins again where a machine went.

        Raises:
            TrainingError, Exception: see `Groups.finished`.
        """
        import ray  # pyright: ignore[reportMissingImports]
        from ray.exceptions import RayError, RayTaskError  # pyright: ignore[reportMissingImports]

        ended, _ = ray.wait(self.running, num_returns=len(self.running), timeout=0)
        for process in ended:
            self.running.remove(process)
            try:
                ray.get(process)
            except RayTaskError as error:
                self._went_wrong(error.cause if isinstance(error.cause, Exception) else error)
            except RayError as error:
                self._deaths += 1
                if self._deaths > DEATHS:
                    raise gone(error) from None
                self._patience = None
                return self._again()
        if self._error is None or (self.running and time.monotonic() < self._until):
            return self._error is None and not self.running
        if not isinstance(self._error, BusyError):
            raise self._error
        self._patience = self._patience or time.monotonic() + PATIENCE
        if time.monotonic() > self._patience:
            raise self._error
        time.sleep(1)  # a process of a machine that is gone may hold the fold until it notices
        return self._again()

    def end(self) -> None:
        """End what still runs, and free its room."""
        from ray.util.placement_group import remove_placement_group  # pyright: ignore[reportMissingImports]

        end_tasks(self.running)
        if self._room is not None:
            remove_placement_group(self._room)

    def _went_wrong(self, error: Exception) -> None:
        """Remember the first error; one that a lost partner leaves behind is told from others by waiting for it."""
        if isinstance(error, MaskfoldError) and not isinstance(error, BusyError):
            raise error
        if self._error is None:
            self._error, self._until = error, time.monotonic() + PATIENCE

    def _again(self) -> bool:
        self.end()
        self.begin()
        return False


def _address() -> tuple[str, int]:
    """Where the processes of a group meet: this machine, and a port that is free."""
    import ray  # pyright: ignore[reportMissingImports]

    with socket.socket() as free:
        free.bind(("", 0))
        return ray.util.get_node_ip_address(), free.getsockname()[1]


def _member(address: tuple[str, int], rank: int, size: int, folder: str, work: Work, task: Task) -> None:
    """What a process of a group does. The first one speaks, as of torchrun's."""
    names = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT", PROCESSES)
    # Ray shows each process its own GPUs only, so that its first one is the first, and puts a group on few machines.
    os.environ |= dict(zip(names, map(str, (rank, 0, size, *address, size)), strict=True))
    if rank:
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115
    enter(folder)
    work(*task)
