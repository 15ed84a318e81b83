"""What is written below ``submissions/``, after kills and for places that are taken."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from tests.children import die, killed
from tests.drawn_runs import competition, config, make_run, truth  # noqa: F401 (fixtures)

from maskfold.competitions import Samples
from maskfold.competitions.encoded import MaskEncoder
from maskfold.ensembling.ensemble import Ensemble
from maskfold.ensembling.shards import Shards
from maskfold.ensembling.submit import Decoded, default_choice
from maskfold.ensembling.submit import test_samples as to_predict
from maskfold.errors import SubmissionError
from maskfold.files import file_digest
from maskfold.runs import MapStore, Run
from maskfold.runs.maps import MapWriter
from maskfold.scoring.submission_log import read_log
from maskfold.steps import submissions
from maskfold.steps.places import LOG
from maskfold.steps.predict import _made_of, predict
from maskfold.steps.submissions import note_score, reserved
from maskfold.storage import LocalStorage


@pytest.fixture
def run(config, truth, tmp_path, monkeypatch):  # noqa: F811
    monkeypatch.chdir(tmp_path)
    names = sorted(truth)
    maps = {fold: {name: truth[name][None] * 0.9 for name in names[fold::2]} for fold in (0, 1)}
    return make_run(Path("runs"), "mine", config, {"best": maps}, {fold: names[fold::2] for fold in (0, 1)})


@pytest.fixture
def passes(competition, monkeypatch):  # noqa: F811
    """An item for each pass over the test images; no network is there, all masks are full."""
    passes = []

    def stream(shards, shard=0):
        passes.append(1)
        encode = MaskEncoder(competition)
        for sample, size in zip(shards.samples, competition.sizes(shards.samples), strict=True):
            yield Decoded(encode(sample.id, np.ones(size, np.uint8)), np.full((1, *size), 0.8, np.float32))

    monkeypatch.setattr(Shards, "stream", stream)
    return passes


def test_other_weights_folds_or_images_make_another_submission(run, competition):  # noqa: F811
    def made_of(run, folds=None, most=99):
        samples = Samples(list(to_predict(competition))[:most])
        ensemble = Ensemble(default_choice([run]), competition, folds, batch_size=1, runs=[run])
        return _made_of(Shards(ensemble, samples, False))

    before = made_of(run)
    assert made_of(Run(run.path)) == made_of(run, [0, 1]) == before
    assert made_of(run, [1]) != before
    assert made_of(run, most=2) != before
    run.fold(1).save_checkpoint("best", {"a": torch.tensor([7.0])})
    assert made_of(run) != before
    assert made_of(run, [0]) == made_of(Run(run.path), [0])


@pytest.mark.slow
def test_killed_between_submission_and_maps_the_same_command_makes_the_maps(run, passes, monkeypatch):
    out, maps = Path("mine.csv"), Path("mine_probabilities")
    out.write_text("of earlier weights")
    with MapStore(LocalStorage(maps), "").replace(default_choice([run]).model_dump(mode="json")):
        pass
    with monkeypatch.context() as patch:
        patch.setattr(MapWriter, "close", die)
        assert killed(lambda: predict(run, out, save_probabilities=True, overwrite=True, parallel=1))
    assert len(out.read_text()) > 20
    (left := maps / "0123456789abcdef.pngs").write_bytes(b"a shard that no list names")
    assert MapStore(LocalStorage(maps), "").made_with() is None, "those of the former one are not this one's"
    predict(run, out, save_probabilities=True, overwrite=True, parallel=1)
    assert passes == [1]
    assert MapStore(LocalStorage(maps), "").ids() == sorted(to_predict(run.competition()).ids)
    assert not left.exists()
    assert read_log(LOG)["sha256"].tolist() == [file_digest(out)]


def test_a_place_that_is_taken_is_refused_before_anything_is_computed(run, competition, monkeypatch):  # noqa: F811
    Path("mine.csv").write_text("there")
    monkeypatch.setattr("maskfold.steps.predict.submission_row", lambda *_: pytest.fail("computed"))
    with pytest.raises(SubmissionError, match=r"mine\.csv exists"):
        predict(run, Path("mine.csv"))
    folder = Path("photos")
    folder.mkdir()
    (folder / "x.jpg").write_text("")
    monkeypatch.setattr(submissions, "file_digest", lambda _: pytest.fail("read"))
    files = SimpleNamespace(submission_suffix=".zip")
    with (
        pytest.raises(SubmissionError, match=r"photos is not the folder of an earlier submission"),
        reserved("mine", files, folder, overwrite=True, made_of={}, row=dict),
    ):
        pass


def test_the_leaderboard_is_noted_under_the_lock_of_the_log(run, passes, monkeypatch):
    predict(run, Path("mine.csv"), parallel=1)
    original = submissions.note_leaderboard

    def held(*given):
        assert list(LOG.parent.glob(".*.lock"))
        return original(*given)

    monkeypatch.setattr(submissions, "note_leaderboard", held)
    assert note_score(0.5, None) == "mine.csv"
    assert read_log(LOG)["leaderboard"].tolist() == ["0.5"]
