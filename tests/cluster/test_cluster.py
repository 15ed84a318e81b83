"""A Ray cluster that is not there, and one of two nodes in a process of its own."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from maskfold.cluster import Cluster, cluster_workers
from maskfold.errors import ClusterError

NO_RAY = "ray is not installed: pip install -r requirements-cluster.txt"
CASES = Path(__file__).with_name("cases.py")


def test_no_cluster_is_one_message():
    pytest.importorskip("ray", reason=NO_RAY)
    message = r"there is no Ray cluster at 127\.0\.0\.1:1 .*ray start --head"
    with pytest.raises(ClusterError, match=message), cluster_workers(Cluster("127.0.0.1:1")):
        pass


def test_without_ray_it_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ClusterError, match=r"pip install -r requirements-cluster\.txt"), cluster_workers(Cluster()):
        pass


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_two_nodes_of_which_one_is_killed(tmp_path):
    pytest.importorskip("ray", reason=NO_RAY)
    done = run_cases(tmp_path / "cases")
    if re.search(r"^=+ 1 error in ", done.stdout, re.MULTILINE):  # of Ray's own start, late on a busy machine
        done = run_cases(tmp_path / "cases")
    assert done.returncode == 0, f"{done.stdout[-5000:]}\n{done.stderr[-3000:]}"
    assert "3 passed" in done.stdout


def run_cases(place: Path) -> subprocess.CompletedProcess[str]:
    """What pytest says of them; ``place`` is emptied before."""
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-x", "-p", "no:cacheprovider", f"--basetemp={place}", CASES],
        cwd=Path(__file__).parents[2],
        env={key: value for key, value in os.environ.items() if not key.startswith("PYTEST_")},
        capture_output=True,
        text=True,
        check=False,
    )
