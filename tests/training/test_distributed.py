"""One fold trained by two processes on the CPU: the files of one, every validation image scored once."""

import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from tests.scripts.conftest import write_config

from maskfold.config import load_config
from maskfold.runs import Run
from maskfold.runs.history import read_epochs
from maskfold.steps.train import train

SRC = Path(__file__).parents[2] / "src"


# The command itself, of which the second process is killed in its fifth step.
KILLED = """
import os, runpy, signal, sys
from maskfold.training.step import Supervised
calls = 0
def dying(*arguments):
    global calls
    calls += 1
    if calls == 5 and os.environ["RANK"] == "1":
        os.kill(os.getpid(), signal.SIGKILL)
    return original(*arguments)
original, Supervised.__call__ = Supervised.__call__, dying
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""

# How many seconds one of the processes waits for another at most.
PATIENT = """
import torch
from maskfold.training.processes import processes
found = processes()
print(torch.distributed.group.WORLD._get_backend(torch.device("cpu")).options._timeout.total_seconds(), flush=True)
found.destroy_process_group()
"""


def torchrun(folder: Path, *words, script: Path | None = None) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": f"{SRC}{os.pathsep}{SRC.parent}"}
    scripts = [str(path) for path in (script, SRC / "train_fold.py") if path is not None]
    return subprocess.run(
        [*command, *scripts, "--config", "tiny.yaml", *map(str, words)],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=140,
        check=False,
    )


@pytest.fixture
def here(tmp_path, drawn):
    """A working folder with a config of the tiny competition; batch norm and averages make processes differ."""
    write_config(
        tmp_path / "tiny.yaml",
        competition__root=str(drawn),
        train__batch_size=2,
        train__epochs=3,
        averaging__ema=0.8,
        adversarial={"weight": 0.1, "from_epoch": 2, "width": 4},
        inference__batch_size=2,
        train__max_hours=1.0,
        model__presence=True,
    )
    return tmp_path


@pytest.mark.slow
def test_two_processes_leave_one_fold_and_resume(here):
    done = torchrun(here, "--fold", 1)
    assert done.returncode == 0, done.stderr[-3000:]
    run = Run(here / "runs/tiny")
    fold, folds = run.fold(1), pd.read_csv(run.folds_path)
    assert run.finished_folds() == [1]
    assert sorted(path.name for path in run.path.glob("fold_*")) == ["fold_1"]

    # Only the first process speaks: one line per epoch, one for the end, one next command.
    assert done.stdout.count("epoch 2/3") == 1
    assert done.stdout.count("fold 1 of runs/tiny done: dice") == 1
    assert done.stdout.count("Next: ") == 1

    # 12 images in batches of 2 on each of 2 processes are 3 steps.
    summary, table = fold.summary(), read_epochs(fold)
    assert summary["steps"] == 9
    assert list(table["epoch"]) == [1, 2, 3]
    assert summary["valid_images"] == 6
    # The second network joins in later, with an optimiser of its own; it began at a loss of ln 2.
    assert table["discriminator"].isna().tolist() == [True, False, False]
    assert table["discriminator"].iloc[1] == pytest.approx(0.69, abs=0.05)
    assert [state["step"] for state in fold.load_state()["optimizers"]["discriminator"]["state"].values()] == [6] * 10

    # The score that both processes found together, each on its share, is that of the stored weights on all images.
    assert summary["candidates"]["best"] == pytest.approx(table["valid_dice"].max(), abs=1e-9)
    valid = sorted(folds.query("fold == 1 and split == 'valid'")["id"])
    for checkpoint in summary["oof"]:
        store = fold.oof(checkpoint)
        assert store.ids() == valid
        assert all(store.read(image_id).std() > 0 for image_id in valid)
        assert all(0 < store.presence(image_id)[0] < 1 for image_id in valid)
    assert {"best.safetensors", "ema.safetensors", "last.pt"} <= set(fold.manifest.names())

    # Killed while candidates were scored, the same command ends where the first one did, bit for bit.
    wanted = {path: path.read_bytes() for path in fold.path.glob("*.safetensors")}
    (fold.path / "summary.json").unlink()
    fold.checkpoint_path("ema").unlink()
    again = torchrun(here, "--fold", 1)
    assert again.returncode == 0, again.stderr[-3000:]
    assert "going on after epoch 3 of 3" in again.stdout
    assert fold.finished()
    assert [path for path, content in wanted.items() if path.read_bytes() != content] == []


@pytest.mark.slow
def test_processes_wait_for_the_main_one_for_hours(tmp_path):
    """It computes teachers' maps and scores candidates alone, for longer than what backends wait by default."""
    (tmp_path / "patient.py").write_text(PATIENT)
    done = torchrun(tmp_path, script=Path("patient.py"))
    # Both write to one pipe, and the end of a line may come after the other's text.
    assert done.stdout.count("86400.0") == 2, done.stdout + done.stderr[-3000:]


@pytest.mark.slow
def test_two_processes_learn_the_same_from_images_without_labels(here):
    """Each has its own; the two backward passes of a step leave the same gradients, so the same weights, in both."""
    semi = ["--semi.weight", 2, "--semi.ramp_epochs", 0, "--semi.threshold", 0.55, "--semi.unlabelled_per_batch", 2]
    done = torchrun(here, "--fold", 1, "--adversarial", "null", "--train.epochs", 2, *semi)
    assert done.returncode == 0, done.stderr[-3000:]
    fold = Run(here / "runs/tiny").fold(1)
    summary, table = fold.summary(), read_epochs(fold)
    assert (summary["steps"], summary["unlabelled_images"]) == (6, 5)
    assert (table["consistency"] > 0).all()
    # Each process scored its share of the images with its own weights, one of them all images with those stored.
    assert summary["candidates"]["best"] == pytest.approx(table["valid_dice"].max(), abs=1e-9)


@pytest.mark.slow
def test_a_fold_begun_alone_goes_on_with_two_processes_to_the_end_of_its_schedule(here):
    alone = subprocess.run(
        [
            sys.executable,
            str(SRC / "train_fold.py"),
            "--config",
            "tiny.yaml",
            "--fold",
            "1",
            "--train.max_hours",
            "1e-9",
        ],
        cwd=here,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(SRC)},
        capture_output=True,
        text=True,
        timeout=140,
        check=False,
    )
    assert alone.returncode == 0, alone.stderr[-3000:]
    fold = Run(here / "runs/tiny").fold(1)
    assert (fold.summary()["epochs"], fold.summary()["steps"]) == (1, 6)
    together = torchrun(here, "--fold", 1)
    assert together.returncode == 0, together.stderr[-3000:]
    table = read_epochs(fold)
    assert list(table["step"]) == [6, 6, 9], "an epoch is 6 steps alone, 3 with two processes"
    assert table["lr"].iloc[-1] == pytest.approx(0.01 * 0.01)
    assert fold.summary()["epochs"] == 3


@pytest.mark.slow
def test_a_killed_process_ends_all_and_the_same_command_ends_as_one_process_would(tmp_path, drawn, monkeypatch):
    """The metrics are those of one process with the same images in a step; 12 images are 3 steps, and 6 validate."""
    monkeypatch.chdir(tmp_path)
    Path("killed.py").write_text(KILLED)
    common = {
        "competition__root": str(drawn),
        "model__architecture": "tests.own_parts:Plain",
        "model__options": {},
        "train__epochs": 3,
        "inference__batch_size": 4,
        "averaging__ema": 0.8,
    }
    write_config(tmp_path / "tiny.yaml", train__batch_size=2, **common)
    ended = torchrun(tmp_path, "--fold", 1, script=Path("killed.py"))
    assert ended.returncode != 0
    errors = [line for line in ended.stderr.splitlines() if line.startswith("error:")]
    assert len(errors) == 1, ended.stderr[-3000:]  # the rest is torchrun's own
    # Whichever comes first: the broken connection, or torchrun's SIGTERM to those that are left.
    gone = "error: another of the 2 processes that train this fold together is gone: all of them"
    assert errors[0].startswith((gone, "error: ended by SIGTERM: what is stored stays, the same command goes on"))
    done = torchrun(tmp_path, "--fold", 1)
    assert done.returncode == 0, done.stderr[-3000:]
    assert "going on after epoch 1 of 3" in done.stdout
    together = Run(Path("runs/tiny")).fold(1)
    alone = train(load_config(write_config(tmp_path / "one.yaml", train__batch_size=4, **common)), 1).fold(1)
    pd.testing.assert_frame_equal(read_epochs(together), read_epochs(alone), rtol=1e-4)
    assert together.summary()["candidates"] == pytest.approx(alone.summary()["candidates"], abs=1e-4)
