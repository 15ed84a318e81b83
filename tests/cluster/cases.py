"""Two machines of a Ray cluster, as two nodes of this one: one is killed, and every file is as of one process.

`test_cluster` runs these in a process of their own, which Ray ends where the first node fails.
"""

import os
import re
import socket
import threading
import time
from contextlib import ExitStack
from pathlib import Path

import pandas as pd
import pytest
import yaml
from tests.conftest import TINY

from maskfold.cluster import Cluster, cluster_workers
from maskfold.config import override
from maskfold.errors import ConfigError
from maskfold.runs import Run
from maskfold.runs.history import read_epochs
from maskfold.steps.predict import predict, predict_out_of_fold
from maskfold.steps.train import train
from maskfold.steps.tune import tune
from maskfold.storage import Storage
from maskfold.studies.plan import Plan
from maskfold.studies.run import run_study
from maskfold.studies.study import load_study

# Read when ray is imported: beside other tests a node may take long to start, and its processes are not to wait.
os.environ |= {"RAY_raylet_start_wait_time_s": "120", "RAY_worker_niceness": "0"}


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """The working folder of all of them."""
    folder = tmp_path_factory.mktemp("cluster")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv("OMP_NUM_THREADS", "1")
        yield folder


def node() -> dict[str, int]:
    """A small node. Of ports that it chose itself it waits no more than some seconds for its own processes to tell."""
    names = ("metrics_agent_port", "metrics_export_port", "dashboard_agent_listen_port", "runtime_env_agent_port")
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in names]
        for each in sockets:
            each.bind(("", 0))
        ports = {name: each.getsockname()[1] for name, each in zip(names, sockets, strict=True)}
    return {"num_cpus": 1, "object_store_memory": 80 * 2**20, **ports}


@pytest.fixture(scope="module")
def nodes(place):
    """A cluster of two nodes with a core each, the second of them, and what names the cluster; we are connected."""
    from ray.cluster_utils import Cluster as Nodes

    nodes = Nodes(initialize_head=True, head_node_args={**node(), "include_dashboard": False})
    other = nodes.add_node(**node())
    there = Cluster(nodes.address)
    with cluster_workers(there):
        yield nodes, other, there
    nodes.shutdown()


def results(storage: Storage) -> dict[str, bytes]:
    """The files that two trainings must share; the names of maps have a part that is drawn."""
    names = ("best.safetensors", "ema.safetensors", "metrics.csv", "folds.csv", ".npz", ".pngs")
    kept = [key for key in storage.list() if key.endswith(names)]
    return {re.sub(r"\b[0-9a-f]{12}-", "", key): storage.read(key) for key in kept}


def wrong(task: int) -> None:
    raise ConfigError(f"task {task} is wrong")


def test_two_processes_train_a_fold_of_which_one_is_killed(nodes, place, tiny, capfd):
    """As one process with the same images in a step."""
    import ray

    changes = {
        "train.batch_size": 2,
        "averaging.ema": 0.8,
        "model.architecture": "tests.own_parts:Plain",
        "model.options": {},
        "loss": [{"name": "tests.own_parts:DeadlyLoss"}],
    }
    config = override(tiny, {**changes, "name": "group"})
    together = train(config, [1], cluster=Cluster(nodes[2].address, together=2)).fold(1)
    assert Path("killed_rank").exists()
    deadline = time.monotonic() + 30
    while ray.available_resources().get("CPU") != 2:
        assert time.monotonic() < deadline, "its room is not free for others"
        time.sleep(0.2)
    assert capfd.readouterr().out.count("going on after epoch 1 of 2") == 1
    alone = train(override(config, {"train.batch_size": 4, "name": "alone"}), 1).fold(1)
    assert (together.summary()["processes"], alone.summary()["processes"]) == (2, 1)
    pd.testing.assert_frame_equal(read_epochs(together), read_epochs(alone), rtol=1e-4)


def test_a_killed_node_changes_nothing(nodes, place, tiny, capfd, monkeypatch):
    cluster, other, there = nodes
    config = override(tiny, {"train.epochs": 3, "averaging.ema": 0.8, "post.steps": {"tests.own_parts:DeadlyStep": {}}})
    run = Run(Path("runs/ray"))

    def kill():
        deadline = time.monotonic() + 120
        while sum(run.fold(fold).has_state() for fold in range(3)) < 2 and time.monotonic() < deadline:
            time.sleep(0.05)
        cluster.remove_node(other, allow_graceful=False)

    killer = threading.Thread(target=kill)
    killer.start()
    ray = train(config.model_copy(update={"name": "ray"}), cluster=there)
    killer.join()
    shown = capfd.readouterr().out
    assert "epoch 3/3" in shown
    assert len(set(re.findall(r"fold (\d) epoch", shown))) >= 2
    local = train(config.model_copy(update={"name": "local"}))
    assert ray.finished_folds() == local.finished_folds() == [0, 1, 2]
    views = {"tta.views": "d4"}
    assert tune(ray, overrides=views, cluster=there).scores == tune(local, overrides=views).scores
    predict_out_of_fold(ray, overrides={"tta.views": "none"}, untuned=True, cluster=there)
    predict_out_of_fold(local, overrides={"tta.views": "none"}, untuned=True)
    assert len(results(local.storage)) >= 3 * 7 + 1
    assert results(ray.storage) == results(local.storage)
    one = predict(local, Path("one.csv"), save_probabilities=True, overrides={"inference.batch_size": 2})
    two = predict(ray, Path("two.csv"), save_probabilities=True, overrides={"inference.batch_size": 2}, cluster=there)
    assert Path("killed_shard").exists()
    assert one.read_bytes() == two.read_bytes()
    cancelled = []
    monkeypatch.setattr("ray.cancel", lambda reference, **options: cancelled.append(reference))
    with pytest.raises(ConfigError, match="task 1 is wrong"), cluster_workers(there) as workers:
        workers(wrong, [(1,)])
    assert not cancelled, "Ray would abort this process: its task ended by itself"


def test_a_study_on_a_cluster_is_that_of_this_machine(nodes, place, drawn):
    folds = {"folds.kind": "kfold", "folds.group": None}
    options = {**TINY, **folds, "competition.root": str(drawn), "train.epochs": 1}
    teacher = {"targets.teacher": {"runs": [{"run": "plain"}]}}
    variants = {"plain": {}, "taught": {"options": teacher}}
    tree = {"about": "x", "config": "demo", "options": options, "variants": variants}
    Path("s.yaml").write_text(yaml.safe_dump(tree))
    study = load_study("s.yaml")
    ray = run_study(Plan(study, Path("runs/studies/ray")), cluster=nodes[2])
    local = run_study(Plan(study, Path("runs/studies/local")))
    assert [row.figures for row in ray.rows] == [row.figures for row in local.rows]
    for name in ("plain_seed0", "taught_seed0"):
        one, two = (results(Run(Path("runs/studies", place, name)).storage) for place in ("ray", "local"))
        assert len(one) >= 4
        assert one == two
