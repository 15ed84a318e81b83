"""Workers of a cluster and groups of its processes, as far as no cluster is needed."""

import pytest

from maskfold.cluster import workers
from maskfold.cluster.groups import _Group, refuse_too_large
from maskfold.cluster.workers import PASSED_ON
from maskfold.errors import ClusterError

NEEDS = [{"CPU": 1.0, "GPU": 1.0}] * 8


def test_a_group_that_can_never_begin_is_refused():
    refuse_too_large(NEEDS, {"CPU": 8.0, "GPU": 8.0, "memory": 1.0})
    with pytest.raises(ClusterError, match=r"8 processes need 8 cores and 8 GPUs, the cluster has 64 cores and 4 GPUs"):
        refuse_too_large(NEEDS, {"CPU": 64.0, "GPU": 4.0})
    with pytest.raises(ClusterError, match=r"the cluster has 2 cores and 0 GPUs: lower --workers-per-fold"):
        refuse_too_large([{"CPU": 1.0}] * 3, {"CPU": 2.0})


def test_a_group_that_never_began_can_be_ended():
    pytest.importorskip("ray", reason="ray is not installed: pip install -r requirements-cluster.txt")
    _Group(NEEDS, print, ()).end()


def test_a_worker_keeps_the_object_of_its_last_call(here):
    calls: list[tuple[str, int]] = []

    def named(name):
        return lambda task: calls.append((name, task))

    for key, name, task in [("a", "one", 1), ("a", "the same, sent again", 2), ("b", "two", 3)]:
        workers._work(str(here), key, named(name), (task,))
    assert calls == [("one", 1), ("one", 2), ("two", 3)]
    assert list(workers._kept) == ["b"], "networks of earlier calls would fill the memory"


def test_workers_learn_where_the_cache_is():
    assert "MASKFOLD_CACHE" in PASSED_ON
