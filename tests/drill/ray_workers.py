"""(a): the processes of a Ray cluster that do a task are killed; Ray starts the task again.

As a program it is the cluster: it prints its address, and ends with its standard input.
"""

import contextlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import psutil
from tests.drill.commands import start
from tests.drill.ends import end_of
from tests.drill.lane import Diverged, Lane

TRAIN_ALL = ("train-all", "--config", "x.yaml", "--name", "r", "--folds", "1", "--engine", "ray", "--address")
TASK = "ray::_work"  # what Ray calls a process that does one


def ray_is_there() -> bool:
    """Whether Ray is installed."""
    return find_spec("ray") is not None


def kill_a_worker(lane: Lane) -> int:
    """Kill the process that trains, at a random instant; the command itself goes on and ends as ever.

    Ray's processes are not forked from the drill, and convolve with oneDNN: they are compared with Ray undisturbed.
    """
    with _cluster() as (address, cluster):
        if "ray" not in lane.wanted:
            whole = lane.case("train")
            done = start(whole, [*TRAIN_ALL, address])
            done.wait(600)  # its processes import all anew
            if done.ended() != 0:
                raise RuntimeError(f"Ray does not train: {done.code}: {done.said[-900:]}")
            lane.wanted["ray"] = end_of(whole)
            shutil.rmtree(whole)
        folder = lane.case("train")
        done = start(folder, [*TRAIN_ALL, address])
        worker = _worker(cluster)
        begun = time.monotonic()
        while not list(folder.glob("runs/r/.fold_1.lock")) and time.monotonic() - begun < 60:
            time.sleep(0.02)
        time.sleep(lane.chance.uniform(0, 1.5 * lane.seconds["train"]))
        with contextlib.suppress(psutil.NoSuchProcess):
            worker.kill()
        done.wait(600)
        if done.ended() != 0:
            raise Diverged(f"with Ray: {done.code}: {done.said[-900:]}")
    lane.compare(folder, "ray")
    shutil.rmtree(folder)
    return 1


@contextlib.contextmanager
def _cluster() -> Iterator[tuple[str, int]]:
    """A cluster's address and its process."""
    cluster = subprocess.Popen(
        [sys.executable, "-m", "tests.drill.ray_workers"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "RAY_USAGE_STATS_ENABLED": "0"},
        cwd=Path(__file__).parents[2],
    )
    assert cluster.stdin is not None
    assert cluster.stdout is not None
    try:
        yield cluster.stdout.readline().strip(), cluster.pid
    finally:
        cluster.stdin.close()
        cluster.wait()
        cluster.stdout.close()


def _worker(cluster: int) -> psutil.Process:
    until = time.monotonic() + 120
    while time.monotonic() < until:
        for process in psutil.Process(cluster).children(recursive=True):
            with contextlib.suppress(psutil.Error):
                if (process.cmdline() or [""])[0].startswith(TASK):
                    return process
        time.sleep(0.05)
    raise RuntimeError("no process of Ray's works")


def main() -> None:
    """Be a cluster of one node."""
    from ray.cluster_utils import Cluster  # pyright: ignore[reportMissingImports]

    head = {"num_cpus": 1, "object_store_memory": 80 * 2**20, "include_dashboard": False}
    cluster = Cluster(initialize_head=True, head_node_args=head)
    print(cluster.address, flush=True)
    sys.stdin.read()
    cluster.shutdown()


if __name__ == "__main__":
    main()
