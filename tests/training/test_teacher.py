"""Distillation: which networks teach which images, what they say at a temperature, and how it enters the target."""

import math
import pickle

import numpy as np
import pytest
import torch
from tests.drawn_runs import constant_run, write_folds_csv

from maskfold.config import override
from maskfold.datasets import Draw, fold_splits
from maskfold.errors import FoldsError, MaskfoldError, RunError, TrainingError
from maskfold.labels import Label, LabelSpec
from maskfold.runs import MapStore, Run
from maskfold.steps.predict import predict
from maskfold.storage import LocalStorage
from maskfold.training import Callback, fit
from maskfold.training import teacher as module
from maskfold.training.data import fold_data
from maskfold.training.teacher import TeacherMaps

BINARY = LabelSpec("binary", ("roof",))
CLASSES = LabelSpec("multiclass", ("sky", "road", "car"))
LOGITS = {0: -2.0, 1: 0.5, 2: 3.0}


@pytest.fixture
def student(tiny, tmp_path):
    """``student(teachers, …)``: a run that they teach."""

    def make(*teachers, name="student", **changes):
        taught = {"name": name, "targets.teacher": {"runs": [str(run.path) for run in teachers], **changes}}
        return Run.create(override(tiny, {**taught, "tta.views": "none"}), tmp_path / "runs")

    return make


@pytest.fixture
def teacher(tiny, tmp_path):
    """``teacher(name, logits)``: networks that see the same logit everywhere."""

    def make(name="teacher", logits=None, **changes):
        config = override(tiny, {"tta.views": "none", **changes})
        return constant_run(tmp_path / "runs", name, config, logits or LOGITS)

    return make


def sigmoid(logit):
    return 1 / (1 + math.exp(-logit))


def test_the_target_is_a_mixture_over_what_counts(tmp_path):
    mask = np.array([[0, 2, 1], [1, 0, 2]], np.uint8)
    valid = np.array([[True, True, False], [True, True, True]])
    seen = np.random.default_rng(1).dirichlet([1, 1, 1], (2, 3)).transpose(2, 0, 1)
    store = MapStore(LocalStorage(tmp_path), "")
    with store.replace({}) as new:
        new.write("x", seen)
    source = pickle.loads(pickle.dumps(TeacherMaps(store, CLASSES, 0.3)))
    sample = type("Sample", (), {"id": "x"})()
    found = source(sample, Label(mask * valid, valid), Draw(0, 0))
    expected = 0.7 * np.eye(3)[mask].transpose(2, 0, 1) + 0.3 * seen
    np.testing.assert_allclose(found.values[:, valid], expected[:, valid], atol=0.3 / 255)
    np.testing.assert_allclose(found.values.sum(0)[valid], 1, atol=1e-6)
    assert not found.values[:, ~valid].any()
    assert np.array_equal(found.valid, valid)


@pytest.mark.parametrize("fold", [0, 1, 2])
def test_a_fold_learns_from_networks_of_that_fold_only_and_on_its_training_images(teacher, student, fold):
    run = student(teacher(), temperature=2.0, weight=1.0)
    data = fold_data(run, fold, needs=frozenset())
    train, valid = fold_splits(run.folds(), fold)
    maps = run.fold(fold).teacher()
    assert set(maps.ids()) == set(train["id"])
    assert not set(maps.ids()) & set(valid["id"])
    for image_id in maps.ids():
        assert np.unique(maps.read(image_id)) == round(255 * sigmoid(LOGITS[fold] / 2))
    batch = next(iter(data.train))
    assert set(batch["id"]) <= set(train["id"])
    found = batch["targets"]["mask"][batch["valid"]]
    assert found.numpy() == pytest.approx(sigmoid(LOGITS[fold] / 2), abs=1 / 509)
    assert all(item["label"].values.dtype == np.uint8 for item in data.valid.dataset), "scored on the masks"


def test_several_teachers_are_averaged_before_the_temperature(teacher, student):
    run = student(teacher("a", {0: -1.0}), teacher("b", {0: 2.0}), temperature=3.0)
    fold_data(run, 0, needs=frozenset())
    asked = run.fold(0).teacher().made_with()["tta"]
    assert "batch_norm_prior" not in asked, "what is off is not written: maps of earlier versions stay"
    mean = (sigmoid(-1) + sigmoid(2)) / 2
    expected = sigmoid(math.log(mean / (1 - mean)) / 3)
    assert np.unique(run.fold(0).teacher().read("T000.jpg")) == round(255 * expected)


def test_what_teachers_are_certain_of_stays_certain(teacher, student):
    run = student(teacher(logits={0: 100.0}), temperature=4.0)
    fold_data(run, 0, needs=frozenset())
    assert np.unique(run.fold(0).teacher().read("T000.jpg")) == 255


@pytest.mark.parametrize(
    ("trained", "expected"),
    [({0: -2.0, "all": 1.0}, sigmoid(1)), (LOGITS, sum(map(sigmoid, LOGITS.values())) / 3)],
    ids=["all", "mean of the folds"],
)
def test_a_student_of_every_image_learns_from_all_or_from_every_fold(teacher, student, trained, expected):
    run = student(teacher(logits=trained))
    fold_data(run, "all", needs=frozenset())
    maps = run.fold("all").teacher()
    assert set(maps.ids()) == set(run.competition().samples("train").ids)
    assert np.unique(maps.read("T003.jpg")) == round(255 * expected)


def test_a_teacher_that_saw_validation_images_is_refused(teacher, student, tmp_path):
    poisoned = teacher(**{"folds.seed": 5})
    run = student(poisoned)
    with pytest.raises(TrainingError, match="learning from its probabilities would leak"):
        fit(run, 0)
    assert run.fold(0).teacher().made_with() is None
    # One image more trained the teacher, all others are divided alike.
    run = student(teacher("sly"), name="other")
    ids = run.competition().samples("train").ids
    valid = {fold: sorted(fold_splits(run.folds(), fold)[1]["id"]) for fold in LOGITS}
    write_folds_csv(tmp_path / "runs/sly/folds.csv", ids, {**valid, 1: valid[1][1:]})
    fold_data(run, 0, needs=frozenset())
    with pytest.raises(TrainingError, match=r"fold 1 of .*sly was trained on 1 images"):
        fold_data(run, 1, needs=frozenset())


def test_unfit_teachers_are_refused_before_anything_is_computed(teacher, student, tiny, tmp_path):
    run = student(teacher(logits={1: 0.0}))
    with pytest.raises(TrainingError, match=r"no finished fold 0: train it first, .*--fold 0"):
        fit(run, 0)
    with pytest.raises(FoldsError, match="there is no fold 7"):
        fit(run, 7)
    own = Run.create(
        override(tiny, {"name": "own", "targets.teacher": {"runs": [str(tmp_path / "runs/own")]}}), tmp_path / "runs"
    )
    with pytest.raises(TrainingError, match="itself"):
        fit(own, 0)
    gone = student(Run(tmp_path / "gone"), name="orphan")
    with pytest.raises(MaskfoldError, match="gone is not a run"):
        fit(gone, 0)
    assert not run.fold(0).begun()


def test_maps_are_made_once_and_again_where_what_made_them_changed(teacher, student, monkeypatch, tmp_path):
    made = []
    compute = module._compute
    monkeypatch.setattr(module, "_compute", lambda *args: (made.append(1), compute(*args)))
    run = student(teacher())
    for _ in range(2):
        fold_data(run, 0, needs=frozenset())
    assert len(made) == 1
    teacher(logits={0: 1.5})
    fold_data(run, 0, needs=frozenset())
    assert len(made) == 2
    maps = run.fold(0).teacher()
    assert np.unique(maps.read(maps.ids()[0])) == round(255 * sigmoid(1.5))
    (tmp_path / "runs/teacher").rename(tmp_path / "runs/moved")
    run.adopt(override(run.config, {"targets.teacher.runs": [str(tmp_path / "runs/moved")]}))
    fold_data(run, 0, needs=frozenset())
    assert len(made) == 2, "where the teacher is makes no difference"
    run.adopt(override(run.config, {"targets.teacher.temperature": 3.0}))
    fold_data(run, 0, needs=frozenset())
    assert len(made) == 3


def test_maps_that_were_not_made_to_the_end_are_made_again(teacher, student, monkeypatch):
    run = student(teacher())
    with monkeypatch.context() as patch:
        patch.setattr(module, "tempered", lambda *args, **options: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            fold_data(run, 0, needs=frozenset())
    assert run.fold(0).teacher().ids() == []
    fold_data(run, 0, needs=frozenset())
    assert len(run.fold(0).teacher().ids()) == 12


class StopAfterOne(Callback):
    def on_epoch(self, session):
        return "enough" if session.epoch == 1 else None


@pytest.mark.slow
def test_a_training_does_not_go_on_with_other_teachers_than_it_was_begun_with(teacher, student):
    def trained(logit):
        torch.manual_seed(3)
        return teacher(logits={0: logit})

    run = student(trained(1.0))
    fit(run, 0, [StopAfterOne()])
    trained(1.5)
    with pytest.raises(RunError, match=r"begun with other predictions of the runs of targets\.teacher"):
        fit(run, 0)
    trained(1.0)
    assert fit(run, 0)["epochs"] == 2


@pytest.mark.slow
def test_stopped_and_resumed_it_ends_with_the_same_bits_and_predicts(teacher, student, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    made = teacher(logits={0: 1.0})
    whole, stopped = student(made, name="whole"), student(made, name="stopped")
    fit(whole, 0)
    assert fit(stopped, 0, [StopAfterOne()])["epochs"] == 1
    assert fit(stopped, 0)["epochs"] == 2
    files = [[run.fold(0).path / name for name in ("best.safetensors", "metrics.csv")] for run in (whole, stopped)]
    assert [path.read_bytes() for path in files[0]] == [path.read_bytes() for path in files[1]]
    assert predict(stopped).exists()
