"""What prediction of many test images on many GPUs takes: a discrete model, without maskfold and without a GPU.

The first process looks at the header of every image. Then every GPU is a process that starts and predicts one shard
after the other. In a shard reading, networks and writing overlap, so that it goes as fast as the slowest of them; what
all processes read from is shared out equally among those that still predict. When the last shard is there, the first
process puts them together in the order of the table, and writes the submission. `simulate` goes from event to event (a
process has ended a shard), between which nothing changes its pace.
"""

import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

MOST_SHARDS, SHARDS_EACH, SHARD_IMAGES = 256, 8, 512  # as in maskfold.ensembling.shards


@dataclass(frozen=True)
class Costs:
    """Seconds and bytes of an image of 512 x 512 pixels; of one core, but for the networks.

    ``decode`` makes run lengths of a map; ``merge`` puts them together with the others and validates them. Measured
    by ``bench_scale.py --measure`` (docs/scale.md says where and when), except for ``forward``: a third of a training
    image's time on an H100 (492 images/s, bf16, benchmarks/RESULTS.md), as a step is a forward and a backward pass, of
    which the latter takes twice as long.
    """

    header: float = 0.0
    read: float = 0.0
    decode: float = 0.0
    write_shard: float = 0.0
    merge: float = 0.0
    image_bytes: float = 0.0
    shard_bytes: float = 0.0
    row_bytes: float = 0.0
    network_bytes: float = 0.0
    start: float = 0.0  # of a process
    forward: float = 1 / (3 * 492)  # of a network and view, on a GPU


MEASURED = Costs(
    header=5.5e-05,
    read=0.00151,
    decode=0.00019,
    write_shard=0.00023,
    merge=0.00029,
    image_bytes=70_073,
    shard_bytes=5_479,
    row_bytes=11_470,
    network_bytes=98e6,  # U-Net resnet34, float32
    start=15.0,
)


@dataclass(frozen=True)
class Machines:
    """What is rented.

    Attributes:
        gpus: one process each.
        cores: of each GPU, that read, decode and write.
        storage: bytes a second that all machines together get.
        opens: files a second that the storage opens for all of them.
        latency: seconds of such an opening, which the first process waits for with every header.
        spread: standard deviation of the GPUs' speeds.
        price: of a GPU with its cores for an hour, in dollars.
    """

    gpus: int = 64
    cores: int = 8
    storage: float = 5e9
    opens: float = 50_000.0
    latency: float = 0.0005
    spread: float = 0.05
    price: float = 3.0


@dataclass(frozen=True)
class Work:
    """A prediction: images, networks (members) and views of each."""

    images: int = 1_000_000
    members: int = 5
    views: int = 4


@dataclass(frozen=True)
class Outcome:
    """Seconds until the processes begin to predict, until the last shard is there, and to put them together.

    ``limits`` is the share of the processes' predicting time in which each of the four was the slowest.
    """

    begin: float
    predict: float
    merge: float
    limits: dict[str, float]
    machines: Machines

    @property
    def total(self) -> float:
        return self.begin + self.predict + self.merge

    @property
    def bottleneck(self) -> str:
        """What takes most of the time."""
        slowest = max(self.limits, key=lambda name: self.limits[name])
        parts = {"headers": self.begin, slowest: self.predict, "putting together": self.merge}
        return max(parts, key=lambda name: parts[name])

    @property
    def dollars(self) -> float:
        """All GPUs are paid for until the submission is there."""
        return self.total / 3600 * self.machines.gpus * self.machines.price


@dataclass
class _Process:
    """A GPU: its speed, and how many images of its shard are left."""

    speed: float
    left: float


def shard_sizes(images: int, processes: int) -> list[int]:
    """Images of each shard, as maskfold deals them out, in batches of 8."""
    batches = -(-images // 8)
    count = max(1, min(batches, MOST_SHARDS, max(SHARDS_EACH * processes, -(-images // SHARD_IMAGES))))
    return [images // count + (place < images % count) for place in range(count)]


def paces(costs: Costs, machines: Machines, work: Work, reading: int, speed: float = 1.0) -> dict[str, float]:
    """Images a second of one of ``reading`` processes that predict, as each of four things alone would allow it."""
    cores = costs.read + costs.decode + costs.write_shard
    return {
        "networks": speed / (costs.forward * work.members * work.views),
        "cores": machines.cores / cores if cores else math.inf,
        "storage": machines.storage / reading / (costs.image_bytes + costs.shard_bytes),
        "opening files": machines.opens / reading,
    }


def simulate(work: Work, machines: Machines, costs: Costs) -> Outcome:
    """How long a prediction takes, and what holds it up."""
    rng = np.random.default_rng(0)
    waiting = shard_sizes(work.images, machines.gpus)
    speeds = 1 / (1 + machines.spread * np.abs(rng.normal(size=min(machines.gpus, len(waiting)))))
    running = [_Process(speed, waiting.pop()) for speed in speeds]
    seconds, limits = 0.0, Counter[str]()
    while running:
        found = [paces(costs, machines, work, len(running), process.speed) for process in running]
        step = min(process.left / min(each.values()) for process, each in zip(running, found, strict=True))
        for process, each in zip(running, found, strict=True):
            process.left -= step * min(each.values())
            limits[min(each, key=lambda name: each[name])] += step
        seconds += step
        for process in [each for each in running if each.left < 1e-6]:
            if waiting:
                process.left = waiting.pop()
            else:
                running.remove(process)
    begin = work.images * (costs.header + machines.latency) + costs.start
    begin += machines.gpus * work.members * costs.network_bytes / machines.storage
    merge = work.images * max(costs.merge, costs.shard_bytes / machines.storage)
    shares = {name: limits[name] / limits.total() for name in limits}
    return Outcome(begin, seconds, merge, shares, machines)


def tables(costs: Costs) -> Iterator[str]:
    """The simulation's tables of docs/scale.md, line by line."""
    base, work = Machines(), Work()
    yield _head("GPUs")
    for gpus in (1, 8, 64, 256):
        yield _row(str(gpus), simulate(work, replace(base, gpus=gpus), costs))
    yield ""
    yield _head("test images, 64 GPUs")
    for images in (10_000, 100_000, 1_000_000):
        yield _row(f"{images:,}", simulate(replace(work, images=images), base, costs))
    yield ""
    yield _head("1,000,000 images, 64 GPUs")
    little, local = replace(work, members=1, views=1), replace(base, latency=5e-5, opens=math.inf)
    for name, each, machines, own in (
        ("as above", work, base, costs),
        ("one network, no views", little, base, costs),
        ("the same, two cores for each GPU", little, replace(base, cores=2), costs),
        ("the same, storage of 0.5 GB/s", little, replace(base, storage=5e8), costs),
        ("object store: 20 ms to open a file, 5500 a second", work, replace(base, latency=0.02, opens=5500.0), costs),
        ("files on each machine's own disk", work, local, costs),
    ):
        yield _row(name, simulate(each, machines, own))


def _head(what: str) -> str:
    titles = "headers and start, s | predicting, s | putting together, s | together | what takes longest | cost, $"
    return f"| {what} | {titles} |\n| --- | ---: | ---: | ---: | ---: | --- | ---: |"


def _row(name: str, found: Outcome) -> str:
    minutes = f"{found.total / 60:.0f} min" if found.total < 7200 else f"{found.total / 3600:.1f} h"
    cells = (f"{found.begin:.0f}", f"{found.predict:.0f}", f"{found.merge:.0f}", minutes, found.bottleneck)
    return f"| {name} | {' | '.join(cells)} | {found.dollars:.2f} |"
