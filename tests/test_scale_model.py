"""The simulation of docs/scale.md against what can be worked out by hand, and the document against the simulation."""

from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.scale_model import MEASURED, Costs, Machines, Work, shard_sizes, simulate, tables
from maskfold.ensembling.shards import shard_count

PLAIN = Costs(
    header=0.001, read=0.004, decode=0.0, write_shard=0.0, merge=0.002, image_bytes=5e4, start=7.0, forward=0.01
)
ALONE = Machines(gpus=1, cores=8, storage=1e12, opens=1e9, latency=0.0, spread=0.0, price=36.0)


def test_one_gpu_by_hand():
    found = simulate(Work(images=1000, members=2, views=4), ALONE, PLAIN)
    assert (found.begin, found.merge) == (pytest.approx(8.0), pytest.approx(2.0))
    assert found.predict == pytest.approx(1000 * 8 * 0.01)
    assert found.dollars == pytest.approx((8 + 80 + 2) / 100)
    assert found.limits == {"networks": pytest.approx(1.0)}


def test_what_all_share_is_not_faster_with_more_gpus():
    slow = replace(ALONE, storage=1e6)
    for gpus in (4, 16):
        found = simulate(Work(images=4096, members=1, views=1), replace(slow, gpus=gpus), PLAIN)
        assert found.predict == pytest.approx(4096 * 5e4 / 1e6, rel=0.02)
        assert found.bottleneck == "storage"


def test_cores_and_openings_can_be_the_slowest():
    work = Work(images=4000, members=1, views=1)
    found = simulate(work, replace(ALONE, cores=0.2), PLAIN)
    assert (found.predict, found.bottleneck) == (pytest.approx(4000 * 0.004 / 0.2), "cores")
    found = simulate(work, replace(ALONE, gpus=2, opens=50.0), PLAIN)
    assert (found.predict, found.bottleneck) == (pytest.approx(4000 / 50, rel=0.02), "opening files")


def test_twice_the_gpus_take_half_and_slow_ones_hold_up():
    work = Work(images=65536, members=1, views=1)
    seconds = [simulate(work, replace(ALONE, gpus=gpus), PLAIN).predict for gpus in (1, 2, 8)]
    assert seconds == pytest.approx([seconds[0], seconds[0] / 2, seconds[0] / 8])
    uneven = simulate(work, replace(ALONE, gpus=8, spread=0.3), PLAIN).predict
    assert seconds[2] < uneven < 1.6 * seconds[2]


@pytest.mark.parametrize("images", [1, 7, 100, 5000, 1_000_000])
@pytest.mark.parametrize("processes", [1, 3, 64])
def test_shards_are_those_of_maskfold(images, processes):
    sizes = shard_sizes(images, processes)
    assert len(sizes) == shard_count(images, 8, processes)
    assert sum(sizes) == images
    assert max(sizes) - min(sizes) <= 1


def test_the_document_shows_what_the_script_prints():
    text = (Path(__file__).parents[1] / "docs/scale.md").read_text()
    lines = [line for line in "\n".join(tables(MEASURED)).splitlines() if line]
    assert len(lines) == 19
    assert [line for line in lines if line not in text.splitlines()] == []
