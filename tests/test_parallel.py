"""Folds side by side: the files of folds trained one after the other, and no process is left behind."""

import atexit
import ctypes
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

import maskfold
from maskfold import parallel
from maskfold.errors import ConfigError, TrainingError
from maskfold.parallel import _serve, default_processes, gpus, processes_here, worker_pool

SRC = Path(__file__).parents[1] / "src"


def side_by_side(work, tasks, processes: int) -> None:
    with worker_pool(processes) as workers:
        workers(work, tasks)


def note(folder: str, task: int) -> None:
    Path(folder, f"{task}_{os.getpid()}").write_text(
        f"{os.environ['OMP_NUM_THREADS']} {os.environ['CUDA_VISIBLE_DEVICES']} {processes_here()}"
    )
    time.sleep(0.3)


def fail(task: int) -> None:
    if task == 1:
        raise ConfigError("task 1 is wrong")
    time.sleep(60)


def wait(folder: str, task: int) -> None:
    Path(folder, str(os.getpid())).touch()
    time.sleep(60)


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_every_task_is_done_once_by_few_processes_that_share_the_cores(tmp_path, monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,5")
    assert (gpus(), default_processes()) == (["3", "5"], 2)
    side_by_side(note, [(str(tmp_path), task) for task in range(5)], 2)
    names = [path.name.split("_") for path in tmp_path.iterdir()]
    assert sorted(int(task) for task, _ in names) == [0, 1, 2, 3, 4]
    assert len({process for _, process in names}) == 2
    cores = len(os.sched_getaffinity(0))
    assert {path.read_text() for path in tmp_path.iterdir()} == {f"{max(1, cores // 2)} {gpu} 2" for gpu in (3, 5)}


def test_the_first_error_ends_the_others_at_once():
    began = time.monotonic()
    with pytest.raises(ConfigError, match="task 1 is wrong"):
        side_by_side(fail, [(0,), (1,)], 2)
    assert time.monotonic() - began < 30


def leave(how: int) -> None:
    if how < 0:
        os.kill(os.getpid(), -how)
    os._exit(how)


@pytest.mark.parametrize(
    ("how", "said"),
    [
        (-signal.SIGKILL, r"killed by the system, most likely because memory ran out: .*--parallel 1"),
        (-signal.SIGTERM, r"ended by signal 15 \(Terminated\): the same command goes on"),
        (3, r"ended without a message \(exit status 3\)"),
    ],
)
def test_a_process_that_is_gone_is_told_with_its_end(how, said):
    with pytest.raises(TrainingError, match=said):
        side_by_side(leave, [(how,)], 1)


def never_end(task: int) -> None:
    atexit.register(ctypes.PyDLL(None).sleep, 60)  # no other thread of the process runs meanwhile


def test_a_process_that_does_not_come_to_its_end_is_killed(monkeypatch):
    monkeypatch.setattr(parallel, "LEAVING", 0.2)
    monkeypatch.setattr(parallel, "HEARING", 0.2)
    began = time.monotonic()
    side_by_side(never_end, [(0,)], 1)
    assert time.monotonic() - began < 30
    assert multiprocessing.active_children() == []


@pytest.mark.parametrize("ending", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_processes_end_with_their_parent(ending, tmp_path):
    code = (
        "import signal\n"
        "from tests.test_parallel import side_by_side, wait\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # ignored where tests run in the background
        f"if __name__ == '__main__': side_by_side(wait, [({str(tmp_path)!r}, 0), ({str(tmp_path)!r}, 1)], 2)"
    )
    environment = {**os.environ, "PYTHONPATH": f"{SRC}{os.pathsep}{SRC.parent}"}
    parent = subprocess.Popen([sys.executable, "-c", code], env=environment, start_new_session=True)
    deadline = time.monotonic() + 50
    while len(children := [int(path.name) for path in tmp_path.iterdir()]) < 2:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    if ending == signal.SIGINT:  # as a terminal sends it: to all of them
        os.killpg(parent.pid, ending)
    else:
        parent.send_signal(ending)
    parent.wait(timeout=deadline - time.monotonic())
    while any(alive(pid) for pid in children):
        assert time.monotonic() < deadline
        time.sleep(0.1)


@pytest.mark.slow
def test_folds_side_by_side_are_the_folds_one_after_the_other(tiny, tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    torch.set_num_threads(1)
    one = maskfold.train(tiny.model_copy(update={"name": "one"}))
    both = maskfold.train(tiny.model_copy(update={"name": "both"}), parallel=2)
    assert one.finished_folds() == both.finished_folds() == [0, 1, 2]
    for fold in range(3):
        for name in ("best.safetensors", "metrics.csv", "folds.csv"):
            where = Path(f"fold_{fold}", name) if name != "folds.csv" else Path(name)
            assert (one.path / where).read_bytes() == (both.path / where).read_bytes(), where
    told = capfd.readouterr().out
    assert told.count("epoch 1/2") == 6
    for fold in range(3):
        assert f"fold {fold} of runs/both done: dice" in told
    maskfold.train(both, parallel=2)
    assert capfd.readouterr().out.count("is trained") == 3


def die_once(folder: str, task: int) -> None:
    Path(folder, f"begun_{task}_{os.getpid()}").touch()
    if task == 1:
        try:
            Path(folder, "died").touch(exist_ok=False)
        except FileExistsError:
            return
        os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(0.2)


@pytest.mark.slow
def test_a_killed_process_loses_its_task_only(tmp_path, caplog):
    with worker_pool(2, deaths=1) as workers:
        done = list(workers.finished(die_once, [(str(tmp_path), task) for task in range(4)]))
    assert sorted(task for _, task in done) == [0, 1, 2, 3]
    begun = [path.name.split("_")[1] for path in tmp_path.glob("begun_*")]
    assert sorted(begun) == ["0", "1", "1", "2", "3"]
    assert caplog.text.count("is done again") == 1


class Counter:
    """Work that has a state of its own: an object is sent to each process once."""

    def __init__(self, folder):
        self.folder, self.calls = folder, 0

    def __call__(self, task):
        self.calls += 1
        Path(self.folder, f"{os.getpid()}_{self.calls}").touch()


@pytest.mark.slow
def test_an_object_that_works_lives_as_long_as_its_process(tmp_path):
    side_by_side(Counter(str(tmp_path)), [(task,) for task in range(5)], 1)
    assert sorted(path.name.split("_")[1] for path in tmp_path.iterdir()) == ["1", "2", "3", "4", "5"]


@pytest.mark.parametrize("moment", ["waiting", "done"])
def test_a_process_whose_parent_has_gone_ends_without_a_traceback(monkeypatch, moment):
    monkeypatch.setattr(parallel, "_begin", lambda *_: None)
    ours, theirs = multiprocessing.Pipe()
    if moment == "done":
        received = [lambda: ours.close(), ()]
        monkeypatch.setattr(theirs.__class__, "recv", lambda _: received.pop(0))
    else:
        ours.close()
    _serve(theirs, 0, 2, [], 0, theirs)
    theirs.close()
