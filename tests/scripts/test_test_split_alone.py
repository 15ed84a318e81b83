"""Predicting where only the test images are: a run brings along all else, its profile too."""

import shutil
from pathlib import Path

import pytest
from tests.drawn_rasters import LOCAL, random_run, tile_config

from maskfold.config import load_config
from maskfold.errors import CompetitionError
from maskfold.runs import Run
from maskfold.steps.predict import predict


@pytest.fixture
def trained(kidneys, tmp_path, monkeypatch):
    """The run ``runs/own``, that was trained with a profile of one's own in another folder, which is gone."""
    there, here = shutil.copytree(kidneys, tmp_path / "there"), tmp_path / "here"
    monkeypatch.chdir(there)
    places = {"competition.profile": "profile.yaml", "competition.root": "data", "folds.count": 2}
    random_run(load_config(None, {**places, **LOCAL, "tta.views": "none"}, name="own"), Path("runs"))
    here.mkdir()
    shutil.move(there / "runs", here)
    shutil.rmtree(there)
    monkeypatch.chdir(here)
    return Path("runs/own")


def test_the_profile_and_the_training_images_may_be_gone(trained, kidneys):
    shutil.copytree(kidneys / "data", "data")
    whole = predict(Run.open(trained), Path("whole.csv")).read_bytes()
    shutil.rmtree("data/train")
    Path("data/train.csv").unlink()
    assert predict(Run.open(trained), Path("only.csv")).read_bytes() == whole
    assert Run.open(trained).config.competition.profile == "runs/own/profile.yaml"
    with pytest.raises(CompetitionError, match=r"data does not fit the profile profile: it lacks train\.csv, train/"):
        Run.open(trained).competition()


def test_other_training_images_are_none_of_predictions_business(trained, kidneys, capsys):
    shutil.copytree(kidneys / "data", "data")
    whole = predict(Run.open(trained), Path("whole.csv")).read_bytes()
    rows = Path("data/train.csv").read_text().splitlines()
    Path("data/train.csv").write_text("\n".join(rows[:2]) + "\n")
    assert predict(Run.open(trained), Path("fewer.csv")).read_bytes() == whole
    assert capsys.readouterr().out.count("Folds: 0; without 1 (not trained to the end, or not asked for)") == 2


def test_a_run_that_was_trained_on_tiles_predicts_where_there_are_none(cut_kidneys, tmp_path, monkeypatch):
    own = shutil.copytree(cut_kidneys, tmp_path / "kidneys")
    run = random_run(tile_config(own, "tiles", **LOCAL), tmp_path / "runs")
    monkeypatch.chdir(tmp_path)
    whole = predict(run, Path("whole.csv")).read_bytes()
    (own / "data/train.csv").unlink()
    for folder in ("tiles", "train"):
        shutil.rmtree(own / "data" / folder)
    run = Run.open(tmp_path / "runs/tiles")
    assert predict(run, Path("only.csv")).read_bytes() == whole
    assert run.config.competition.profile.endswith("runs/tiles/profile.yaml")


def test_submissions_are_judged_where_the_test_split_is_alone(trained, kidneys, script):
    shutil.copytree(kidneys / "data/test", "data/test")
    for name in ("sample_submission.csv", "truth.csv"):
        shutil.copy(kidneys / "data" / name, "data")
    path = str(predict(Run.open(trained), Path("a.csv")))
    done = script("evaluate", "--runs", trained, "--submission", path, "--truth", "data/truth.csv")
    assert (done.code, "a.csv: dice " in done.out) == (0, True)
    Path("own.yaml").write_text("competition: {profile: runs/own/profile.yaml, root: data}\n")
    assert script("compare", path, "data/truth.csv", "--config", "own.yaml").code == 0
    shutil.copy(path, "b.csv")
    assert script("vote", path, "b.csv", "data/truth.csv", "--config", "own.yaml").code == 0
    done = script("evaluate", "--runs", trained, "--submission", path)
    assert "Valid submission: a.csv" in done.out
