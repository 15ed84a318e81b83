"""What of a study is ready, done and still to come, by what is finished; and statistics that are those of its runs."""

from pathlib import Path
from types import SimpleNamespace

import pytest
from tests.studies.test_plan import plan

from maskfold.studies import run as module
from maskfold.studies import scores
from maskfold.studies.plan import Job
from maskfold.studies.run import forecast, ready, trained


@pytest.fixture
def finished(monkeypatch):
    """Jobs that are done."""
    found = set()
    monkeypatch.setattr(module, "done", lambda plan, job: job in found)
    return found


def test_a_job_waits_for_all_folds_of_what_it_needs_and_for_its_labels(finished):
    study = plan(seeds=(7, 8))
    student = Job("student", 7, 0)
    assert ready(study, Job("large", 7, 0))
    finished |= {Job("large", 7, 0), Job("large", 8, 0), Job("large", 8, 1)}
    assert not ready(study, student)
    finished.add(Job("large", 7, 1))
    assert ready(study, student)
    finished |= {Job("student", 7, 0), Job("student", 7, 1)}
    assert ready(study, Job("again", 7, None))
    assert not ready(study, Job("again", 7, 0)), "its labels are missing"
    assert not ready(study, Job("again", 8, None)), "the other seed's student is missing"
    finished.add(Job("again", 7, None))
    assert ready(study, Job("again", 7, 0))


def test_a_variant_is_trained_once_all_its_folds_and_seeds_are(finished):
    study = plan(seeds=(7, 8))
    finished |= {Job("student", 7, 0), Job("student", 7, 1), Job("student", 8, 0)}
    assert not trained(study, "student")
    assert not trained(study, "flips")
    finished.add(Job("student", 8, 1))
    assert trained(study, "student")
    assert trained(study, "flips"), "which predicts with its networks"


def test_what_is_to_come_takes_the_mean_of_what_is_done(finished, monkeypatch):
    study = plan({"a": {}, "b": {"options": {"train.epochs": 3}}})
    assert "4 trainings; how long they take is known once one is done" in forecast(study)
    finished |= {Job("a", 7, 0), Job("a", 7, 1)}
    fold = SimpleNamespace(summary=iter([{"seconds": 200}, {"seconds": 400}]).__next__)
    monkeypatch.setattr(study, "run", lambda name, seed: SimpleNamespace(fold=lambda number: fold))
    lines = forecast(study).splitlines()
    assert lines[:3] == ["1. a, seed 7, fold 1: done", "1. a, seed 7, fold 0: done", "1. b, seed 7, fold 1: to do"]
    assert lines[-1] == "2 trainings, some 10 min one after the other (5 min each, the mean of 2 that are done)."
    finished |= {Job("b", 7, 0), Job("b", 7, 1)}
    fold.summary = lambda: {"seconds": 1}
    assert forecast(study).endswith("Everything is trained.")


def test_statistics_are_made_again_of_other_weights_views_decoding_and_judges(monkeypatch):
    now = {}
    metric = SimpleNamespace(model_dump=lambda mode: now["metric"])
    competition = SimpleNamespace(profile=SimpleNamespace(metric=metric), root=Path())
    fold = SimpleNamespace(checkpoints=lambda: ["best"], digest=lambda checkpoint: now["weights"])
    run = SimpleNamespace(competition=lambda: competition, fold=lambda number: fold)
    predicts = [{}, {"tta.views": "d4"}, {"post.threshold": 0.3}]
    studies = [plan({"a": {"predict": each}}) for each in predicts]
    studies += [plan({"a": {}}, folds=(1,)), plan({"a": {}}, columns=("iou",))]
    keys = []
    for weights, metric_name in (("w1", "dice"), ("w2", "dice"), ("w1", "iou")):
        now |= {"weights": weights, "metric": metric_name}
        for study in studies:
            monkeypatch.setattr(study, "run", lambda name, seed: run)
            keys.append(scores._key(study, "a", 7))
            assert scores._key(study, "a", 7) == keys[-1]
    assert len(set(keys)) == 3 * 5
