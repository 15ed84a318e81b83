"""Two machines of a Ray cluster, as two nodes of this one: one is killed, and every file is as of one process."""

import sys
import threading
import time
from pathlib import Path

import pytest

from maskfold.cluster import Cluster, cluster_workers
from maskfold.config import override
from maskfold.errors import ClusterError, ConfigError
from maskfold.runs import Run
from maskfold.steps.predict import predict
from maskfold.steps.train import train

pytestmark = pytest.mark.slow


@pytest.fixture
def nodes(monkeypatch):
    """A cluster of two nodes with a core each."""
    pytest.importorskip("ray", reason="ray is not installed: pip install -r requirements-cluster.txt")
    from ray.cluster_utils import Cluster as Nodes

    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    sizes = {"num_cpus": 1, "object_store_memory": 80 * 2**20, "include_dashboard": False}
    nodes = Nodes(initialize_head=True, head_node_args=sizes)
    yield nodes, nodes.add_node(num_cpus=1, object_store_memory=80 * 2**20)
    nodes.shutdown()


def begun(run: Run) -> int:
    return sum(run.fold(fold).has_state() for fold in range(3))


def results(run: Run) -> dict[str, bytes]:
    names = ("best.safetensors", "ema.safetensors", "metrics.csv", "manifest.json", "folds.csv", "best.npz")
    return {key: run.storage.read(key) for key in run.storage.list() if key.endswith(names)}


def wrong(task: int) -> None:
    raise ConfigError(f"task {task} is wrong")


def test_a_killed_node_changes_nothing(nodes, tiny, tmp_path, monkeypatch, capfd):
    cluster, other = nodes
    monkeypatch.chdir(tmp_path)
    config = override(tiny, {"train.epochs": 4, "averaging.ema": 0.8})
    run = Run(Path("runs/ray"))

    def kill():
        deadline = time.monotonic() + 120
        while begun(run) < 2 and time.monotonic() < deadline:
            time.sleep(0.05)
        cluster.remove_node(other, allow_graceful=False)

    killer = threading.Thread(target=kill)
    killer.start()
    there = Cluster(cluster.address)
    ray = train(config.model_copy(update={"name": "ray"}), cluster=there)
    killer.join()
    local = train(config.model_copy(update={"name": "local"}))
    assert ray.finished_folds() == local.finished_folds() == [0, 1, 2]
    assert len(results(local)) == 3 * 5 + 1
    assert results(ray) == results(local)
    assert "epoch 4/4" in capfd.readouterr().out
    one = predict(ray, Path("one.csv"), save_probabilities=True)
    two = predict(ray, Path("two.csv"), save_probabilities=True, cluster=there)
    assert one.read_bytes() == two.read_bytes()
    with pytest.raises(ConfigError, match="task 1 is wrong"), cluster_workers(there) as workers:
        workers(wrong, [(1,)])


def test_no_cluster_is_one_message():
    pytest.importorskip("ray", reason="ray is not installed: pip install -r requirements-cluster.txt")
    message = r"there is no Ray cluster at 127\.0\.0\.1:1 .*ray start --head"
    with pytest.raises(ClusterError, match=message), cluster_workers(Cluster("127.0.0.1:1")):
        pass


def test_without_ray_it_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ClusterError, match=r"pip install -r requirements-cluster\.txt"), cluster_workers(Cluster()):
        pass
