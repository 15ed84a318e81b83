"""A run in another place than a folder of this machine: killed, continued, tuned, and all files as of a local one."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from tests.scripts.conftest import write_config

from maskfold.config import load_config
from maskfold.runs import Run
from maskfold.steps.predict import predict
from maskfold.steps.train import train
from maskfold.steps.tune import tune
from maskfold.storage import open_storage

SRC = Path(__file__).parents[2] / "src"
# The script itself; the process is killed when the fold's third batch is learned.
KILLED = """
import os, runpy, signal, sys
from maskfold.training.step import Supervised
calls = 0
def dying(*arguments):
    global calls
    calls += 1
    if calls == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return original(*arguments)
original, Supervised.__call__ = Supervised.__call__, dying
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def call(folder: Path, name: str, *words: str, runs: str | None = None, killed=False) -> subprocess.CompletedProcess:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(SRC), *sys.path]), "OMP_NUM_THREADS": "1"}
    environment |= {} if runs is None else {"MASKFOLD_RUNS": runs}
    script = [str(SRC / f"{name}.py"), *words]
    command = [sys.executable, *(["-c", KILLED] if killed else []), *script]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def kept(storage, prefix: str) -> dict[str, bytes]:
    keys = storage.list(prefix)
    names = ("best.safetensors", "ema.safetensors", "metrics.csv", "folds.csv", "best.npz")
    return {key: storage.read(key) for key in keys if key.endswith(names)}


@pytest.mark.slow
def test_killed_and_continued_in_a_bucket_it_ends_with_the_files_of_a_local_run(tmp_path, drawn, bucket, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config = write_config(
        tmp_path / "tiny.yaml", competition__root=str(drawn), folds__count=2, train__epochs=2, averaging__ema=0.8
    )
    place = f"{bucket}/{tmp_path.name}"
    fold = ("train_fold", "--config", "tiny.yaml", "--fold", "1")
    done = call(tmp_path, "make_folds", "--config", "tiny.yaml", runs=place)
    assert done.returncode == 0, done.stderr
    remote = open_storage(Path(place))
    assert sorted(remote.list()) == ["tiny/config.yaml", "tiny/folds.csv"]
    done = call(tmp_path, *fold, runs=place, killed=True)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert "tiny/fold_1/last.pt" in remote.list()
    for words in (fold, ("tune",), ("predict", "--out", "remote.csv")):
        done = call(tmp_path, *words, runs=place)
        assert done.returncode == 0, done.stderr
    assert not (tmp_path / "runs").exists()
    assert f"Run: s3:/maskfold/{tmp_path.name}/tiny (the only one)" in done.stdout
    run = train(load_config(config), 1)
    tune(run)
    assert (tmp_path / "remote.csv").read_bytes() == predict(run, Path("local.csv")).read_bytes()
    files = kept(open_storage(tmp_path / "runs"), "tiny")
    assert len(files) == 5
    assert files == kept(remote, "tiny")
    assert not (tmp_path / "s3:").exists(), "nothing is taken for a folder"


@pytest.mark.slow
def test_a_run_in_memory_is_trained_and_tuned(tiny, tmp_path, monkeypatch):
    pytest.importorskip("fsspec", reason="fsspec is not installed")
    monkeypatch.chdir(tmp_path)
    run = Run(Path("memory://runs/tiny"))
    run.adopt(tiny)
    train(run, 0)
    choice = tune(run)
    assert run.storage.exists("ensemble.yaml")
    assert choice.runs[0].run == "memory:/runs/tiny"
    assert predict(run).read_text().count("\n") == 5
    assert sorted(path.name for path in tmp_path.iterdir()) == ["submissions"]
