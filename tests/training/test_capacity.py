"""What fits: batches that grow until one does not, a line through two of them, a process that is watched."""

import time
from types import SimpleNamespace

import psutil
import pytest
import torch

from maskfold.config import override
from maskfold.errors import ModelError, TrainingError
from maskfold.runs import Run
from maskfold.training import memory, probe
from maskfold.training.capacity import Load, along_the_line, largest_batch, learnt, tried
from maskfold.training.forecast import Pace
from maskfold.training.memory import Watched, free_memory, run_watched
from maskfold.training.trial import Trial, repeated

GIB = 2**30


@pytest.mark.parametrize("first", [1, 3, 8, 200])
@pytest.mark.parametrize(("limit", "most"), [(0, 90), (1, 90), (2, 90), (7, 90), (41, 90), (89, 90), (500, 90)])
def test_the_largest_batch_is_found_to_within_an_eighth(first, limit, most):
    asked = []

    def fits(images):
        assert 1 <= images <= most
        asked.append(images)
        return images <= limit

    found = largest_batch(fits, first, most)
    true = min(limit, most)
    assert found <= true
    assert true - found <= max(0, true // 8)
    assert len(asked) == len(set(asked)) <= 14, "no size is tried twice"


def test_memory_is_taken_to_grow_along_a_line():
    # 1 GiB for the process, a quarter for each image; the first size is not on the line any more.
    said = [(1, 2 * GIB), (4, 2 * GIB), (8, 3 * GIB)]
    assert along_the_line(said, 10 * GIB, 1000) == 36
    assert along_the_line(said, 10 * GIB - 1, 1000) == 35
    assert along_the_line(said, 10 * GIB, 20) == 20
    assert along_the_line([(2, GIB), (8, GIB)], 3 * GIB, 20) == 20, "images that take no memory"
    assert along_the_line(said, GIB // 2, 1000) == 0


LOAD = Load(8, 500)
SIZES = [{"images": 2, "memory": 2 * GIB}, {"images": 8, "memory": 5 * GIB}]


def test_a_probe_that_came_to_its_end():
    found = learnt(LOAD, Watched([*SIZES, {"pace": {"batch": 0.25}, "workers": GIB}], None), 11 * GIB)
    # The workers' GiB is there in any case: ten are left, the eighth image reaches five, each takes a half.
    assert found == Load(8, 500, memory=6 * GIB, largest=18, pace=Pace(batch=0.25))


def test_a_probe_that_ran_out_of_memory():
    assert learnt(LOAD, Watched(SIZES[:1], "memory"), 4 * GIB) == Load(8, 500, largest=2, stopped="memory")
    assert learnt(LOAD, Watched([], "memory"), GIB) == Load(8, 500, largest=0, stopped="memory")
    both = learnt(LOAD, Watched(SIZES, "memory"), 5 * GIB)
    assert (both.memory, both.largest, both.pace) == (5 * GIB, 8, None)


def test_a_probe_that_took_too_long_tells_nothing_of_memory():
    assert learnt(LOAD, Watched(SIZES[:1], "time"), GIB) == Load(8, 500, stopped="time")


class Gpu:
    """A device with room for so many images, which notes what is given back to it."""

    device = torch.device("cpu")

    def __init__(self, room):
        self.room, self.held, self.freed = room, 0, 0

    def attempt(self, images):
        self.held += images
        if self.held > self.room:
            raise torch.OutOfMemoryError("CUDA out of memory")

    def settle(self):
        pass

    def free(self):
        self.held, self.freed = 0, self.freed + 1


@pytest.fixture
def statistics(monkeypatch):
    monkeypatch.setattr(torch.cuda, "reset_peak_memory_stats", lambda device: None)
    monkeypatch.setattr(torch.cuda, "max_memory_reserved", lambda device: 3 * GIB)


@pytest.mark.parametrize(
    ("room", "expected"),
    [
        (37, Load(8, 500, memory=3 * GIB, largest=36, pace=Pace(batch=0.5))),
        (900, Load(8, 500, memory=3 * GIB, largest=500, pace=Pace(batch=0.5))),
        (8, Load(8, 500, memory=3 * GIB, largest=8, pace=Pace(batch=0.5))),
        (5, Load(8, 500, largest=5, stopped="memory")),
        (0, Load(8, 500, largest=0, stopped="memory")),
    ],
)
def test_a_gpu_is_tried_until_a_batch_does_not_fit(statistics, room, expected):
    gpu = Gpu(room)
    found = tried(LOAD, gpu, gpu.attempt, lambda: Pace(batch=0.5))
    assert found == expected
    assert gpu.held == 0


def test_other_errors_on_a_gpu_are_not_hidden(statistics):
    def broken(images):
        raise RuntimeError("an illegal memory access")

    with pytest.raises(RuntimeError, match="illegal"):
        tried(LOAD, Gpu(9), broken, lambda: Pace(batch=0.5))


def test_networks_that_cannot_be_trained_on_one_image(statistics):
    gpu = Gpu(1)

    def attempt(images):
        if images == 1:
            raise ModelError("this architecture cannot be trained on one image")
        gpu.attempt(images)

    assert tried(LOAD, gpu, attempt, lambda: Pace(batch=0.5)) == Load(8, 500, largest=0, stopped="memory")
    with pytest.raises(ModelError):
        tried(Load(1, 500), gpu, attempt, lambda: Pace(batch=0.5))


def test_batches_are_copied_together():
    batch = {
        "image": torch.arange(3)[:, None] * torch.ones(3, 2),
        "targets": {"mask": torch.arange(3)},
        "id": ["a", "b", "c"],
    }
    found = repeated(batch, 7)
    assert found["image"].tolist() == [[i % 3, i % 3] for i in range(7)]
    assert found["targets"]["mask"].tolist() == [0, 1, 2, 0, 1, 2, 0]
    assert found["id"] == list("abcabca")
    assert repeated(batch, 2)["id"] == ["a", "b"]


def test_sizes_that_are_measured():
    assert list(probe.sizes(8, 100, least=2)) == [2, 8, 32, 100]
    assert list(probe.sizes(1, 3, least=2)) == [1, 2, 3]
    assert list(probe.sizes(16, 12, least=1)) == [1, 16]


def test_a_containers_limit_counts(tmp_path, monkeypatch):
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=50 * GIB, total=64 * GIB))
    assert free_memory(tmp_path) == 50 * GIB
    (tmp_path / "memory.max").write_text("max\n")
    (tmp_path / "memory.current").write_text(f"{5 * GIB}\n")
    (tmp_path / "memory.stat").write_text(f"anon 7\ninactive_file {GIB}\n")
    assert free_memory(tmp_path) == 50 * GIB, "no limit"
    (tmp_path / "memory.max").write_text(f"{8 * GIB}\n")
    assert free_memory(tmp_path) == 4 * GIB, "copies of files give way"
    (tmp_path / "memory").mkdir()
    (tmp_path / "memory/memory.limit_in_bytes").write_text(f"{6 * GIB}\n")
    (tmp_path / "memory/memory.usage_in_bytes").write_text(f"{4 * GIB}\n")
    (tmp_path / "memory/memory.stat").write_text("inactive_file 5\ntotal_inactive_file 0\n")
    assert free_memory(tmp_path) == 2 * GIB


TALKER = """
import json, sys, time
print("noise")
print(json.dumps({"images": 1}), flush=True)
{rest}
print(json.dumps({"images": 2}), flush=True)
"""


@pytest.fixture
def talker(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(tmp_path))

    def write(rest):
        (tmp_path / "talker.py").write_text(TALKER.replace("{rest}", rest))

    return write


def test_a_process_that_ends_by_itself(talker):
    talker("")
    assert run_watched("talker", [], keep=0) == Watched([{"images": 1}, {"images": 2}], None)


def test_a_process_is_stopped_before_memory_runs_out(talker, monkeypatch):
    talker("time.sleep(60)")
    started = time.monotonic()
    free = iter([10, 10, 10, 10, 10, 10, 10, 10])
    monkeypatch.setattr(memory, "free_memory", lambda: next(free, 4) if time.monotonic() - started < 1.5 else 4)
    found = run_watched("talker", [], keep=5)
    assert found.stopped == "memory"
    assert time.monotonic() - started < 20


def test_a_process_is_stopped_when_it_takes_too_long(talker):
    talker("time.sleep(60)")
    found = run_watched("talker", [], keep=0, patience=1.5)
    assert found == Watched([{"images": 1}], "time")


def test_what_the_system_ends_ran_out_of_memory(talker):
    talker("import os, signal; os.kill(os.getpid(), signal.SIGKILL)")
    assert run_watched("talker", [], keep=0) == Watched([{"images": 1}], "memory")


def test_a_process_that_fails_says_why(talker):
    talker("sys.exit('the encoder is missing')")
    with pytest.raises(TrainingError, match="what fits could not be measured: the encoder is missing"):
        run_watched("talker", [], keep=0)


def test_memory_at_its_peak_is_noticed():
    memory.forget_peak()
    before = memory.peak_memory()
    block = bytearray(200 * 2**20)
    del block
    assert 150 * 2**20 < memory.peak_memory() - before < 260 * 2**20


@pytest.fixture
def trial(tiny, tmp_path):
    return Trial(Run.create(override(tiny, {"train.accumulate": 3, "train.batch_size": 2}), tmp_path))


def test_a_trial_trains_and_predicts_batches_of_any_size(trial, monkeypatch):
    seen = []
    forward = type(trial.session.network).forward

    def watched(network, images):
        seen.append((network.training, tuple(images.shape)))
        return forward(network, images)

    monkeypatch.setattr(type(trial.session.network), "forward", watched)
    trial.train(5)
    assert seen == [(True, (5, 3, 32, 32))] * 4, "until the optimiser has its state, and once more"
    assert trial.session.step == 1
    seen.clear()
    trial.predict(3)
    # The largest test images are 40 x 56 and 48 x 40; each is seen in four views.
    assert seen == [(False, (3, 3, 40, 56))] * 4
    trial.free()
    assert all(parameter.grad is None for parameter in trial.session.network.parameters())


def test_a_trial_takes_the_time(trial):
    assert 0 < trial.time_training() < 5
    assert 0 < trial.time_prediction() < 5
    assert 0 < trial.time_prediction(views=False) < 5


def test_a_trial_is_of_the_end_of_a_training(tiny, tmp_path):
    frozen = Run.create(override(tiny, {"optim.freeze_encoder_epochs": 1}), tmp_path)
    assert all(parameter.requires_grad for parameter in Trial(frozen).session.network.parameters())
