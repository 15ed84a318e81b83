"""Prediction by several processes: the files of one, whatever happens to a process."""

import pickle
import shutil
import sys
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from tests.drawn_runs import random_run

from maskfold.competitions import open_competition, stored_images
from maskfold.config import override
from maskfold.ensembling import ensemble
from maskfold.ensembling.ensemble import Ensemble
from maskfold.ensembling.shards import Shards, shard_count
from maskfold.ensembling.submit import default_choice
from maskfold.errors import CompetitionError, InferenceError
from maskfold.runs import MapStore, Run
from maskfold.scoring import read_log
from maskfold.steps.predict import predict
from maskfold.storage import LocalStorage

# A decoding step that ends the first process of a pool in which it is called.
DEADLY = """
import multiprocessing, os, signal
from pathlib import Path
from maskfold.inference import Step

class Deadly(Step):
    stage = "mask"
    tried = {}

    def __call__(self, layers, image):
        if multiprocessing.parent_process() is not None:
            try:
                Path("killed").touch(exist_ok=False)
                os.kill(os.getpid(), signal.SIGKILL)
            except FileExistsError:
                pass
        return layers
"""


@pytest.fixture
def run(tmp_path, monkeypatch, drawn, tiny):
    """A run of two folds with random networks; five test images of two sizes in batches of one."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "deadly_step", raising=False)
    (tmp_path / "deadly_step.py").write_text(DEADLY)
    keys = {"inference.batch_size": 1, "tta.views": "flips", "post.steps": {"deadly_step:Deadly": {}}}
    return random_run(tmp_path / "runs", override(tiny, keys), folds=(0, 1))


def maps(folder: Path):
    store = MapStore(LocalStorage(folder), "")
    return [(image_id, store.read(image_id).tobytes()) for image_id in store.ids()]


@pytest.mark.slow
def test_two_processes_of_which_one_is_killed_write_what_one_writes(run, monkeypatch, caplog):
    one = predict(run, Path("one.csv"), save_probabilities=True, parallel=1)
    assert not Path("killed").exists()
    two = predict(run, Path("two.csv"), save_probabilities=True, parallel=2)
    assert Path("killed").exists()
    assert caplog.text.count("the system ended a process") == 1
    assert one.read_bytes() == two.read_bytes()
    assert len(set(one.read_text().split())) > 5, "there are masks"
    assert maps(Path("one_probabilities")) == maps(Path("two_probabilities"))
    log = read_log(Path("submissions/log.csv")).drop(columns=["time", "file"])
    assert log.iloc[0].tolist() == log.iloc[1].tolist()
    assert [path.name for path in Path().glob(".*")] == [], "no shard is left"


def shards_of(run: Run, folder: Path, count: int) -> Shards:
    competition = open_competition(run.config.competition)
    samples = competition.samples("test")
    return Shards(Ensemble(default_choice([run]), competition, batch_size=2, runs=[run]), samples, True, folder, count)


def test_shards_hold_every_image_once_in_the_order_of_one_pass(run, tmp_path):
    whole = list(shards_of(run, tmp_path, 1).stream())
    shards = shards_of(run, tmp_path, 2)
    for number in (1, 0):
        shards(number)
    merged = list(shards.merged())
    assert [each.mask for each in merged] == [each.mask for each in whole]
    assert any(each.mask.there for each in merged)
    assert all(abs(a.probability - b.probability).max() <= 0.5 / 255 + 1e-6 for a, b in zip(merged, whole, strict=True))
    (tmp_path / "00000.zip").write_bytes((tmp_path / "00001.zip").read_bytes())
    with pytest.raises(InferenceError, match=r"00000\.zip lacks"):
        list(shards.merged())


def test_sizes_that_were_sent_are_not_read_again(run, tmp_path, monkeypatch):
    shards = shards_of(run, tmp_path, 2)
    competition, samples = shards.ensemble.competition, shards.samples
    sent = pickle.loads(pickle.dumps(replace(shards, sizes=competition.sizes(samples))))
    monkeypatch.setattr(stored_images, "image_size", lambda *_: pytest.fail("a header is read again"))
    sent(0)
    assert [place.name for place in tmp_path.glob("*.zip")] == ["00000.zip"]


def test_all_gpus_predict_unless_said_otherwise(run, monkeypatch):
    """Two GPUs, as the environment names them; in the place of their processes this one, with the last shard first."""
    started = []

    @contextmanager
    def workers(cluster, processes, *, deaths):
        started.append((cluster, processes))
        yield SimpleNamespace(finished=lambda work, tasks: [work(*task) for task in reversed(tasks)])

    monkeypatch.setattr("maskfold.steps.predict.workers_of", workers)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    by_default = predict(run, Path("two.csv"))
    assert started == [(None, 2)]
    assert by_default.read_bytes() == predict(run, Path("one.csv"), parallel=1).read_bytes()
    assert len(started) == 1


@pytest.mark.parametrize("parallel", [1, 2])
def test_an_image_that_was_cut_off_is_told_before_the_networks_run(run, drawn, tmp_path, monkeypatch, parallel):
    last = shutil.copytree(drawn, tmp_path / "data") / "test_a" / "T004.jpg"
    last.write_bytes(last.read_bytes()[:-500])
    monkeypatch.setattr(Ensemble, "predict", lambda *_, **__: pytest.fail("the networks run"))
    monkeypatch.setattr("maskfold.steps.predict.workers_of", lambda *_, **__: pytest.fail("processes are started"))
    with pytest.raises(CompetitionError, match=r"T004\.jpg is not an image"):
        predict(run, Path("one.csv"), overrides={"competition.root": tmp_path / "data"}, parallel=parallel)


def test_networks_are_loaded_once_for_all_shards(run, tmp_path, monkeypatch):
    loaded = []
    original = ensemble.run_networks
    monkeypatch.setattr(ensemble, "run_networks", lambda *given: loaded.append(1) or original(*given))
    shards = shards_of(run, tmp_path, 3)
    for number in range(3):
        shards(number)
    assert loaded == [1]


@pytest.mark.parametrize(
    ("images", "batch", "processes", "expected"),
    [(5, 2, 2, 3), (1000, 1, 2, 16), (100_000, 8, 2, 196), (10**6, 8, 64, 256), (1, 8, 4, 1)],
)
def test_number_of_shards(images, batch, processes, expected):
    assert shard_count(images, batch, processes) == expected
