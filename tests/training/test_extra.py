"""Pseudo-labels: whose networks label what for which fold, what is sure enough, and where scores become optimistic."""

import hashlib
import json
import math
import shutil

import cv2
import numpy as np
import pytest
from tests.drawn_runs import constant_run

from maskfold.config import override
from maskfold.datasets import Draw, fold_splits
from maskfold.ensembling.finished import OPTIMISTIC
from maskfold.errors import BusyError, CompetitionError, InferenceError, RunError, TrainingError
from maskfold.labels import LabelSpec
from maskfold.locks import exclusive
from maskfold.runs import Run
from maskfold.runs.pseudo import PseudoFolder
from maskfold.runs.pseudo_rules import Rules, confidence_of
from maskfold.steps.predict import predict
from maskfold.steps.pseudo import pseudo_label
from maskfold.training import Callback, fit
from maskfold.training.data import fold_data
from maskfold.training.optimism import optimistic

LOGITS = {0: -2.0, 1: 2.5, 2: 4.0}
BINARY = LabelSpec("binary", ("roof",))
CLASSES = LabelSpec("multiclass", ("sky", "road", "car"))
OVERLAPPING = LabelSpec("multilabel", ("fish", "sugar"))


@pytest.fixture
def labelling(tiny, tmp_path):
    """``labelling(name)``: a run whose folds' networks see the same everywhere, each its own."""

    def make(name="first", logits=None, facts=None, **changes):
        config = override(tiny, {"tta.views": "none", "train.epochs": 1, **changes})
        return constant_run(tmp_path / "runs", name, config, logits or LOGITS, **(facts or {}))

    return make


@pytest.fixture
def learning(tiny, tmp_path):
    """``learning(folder, …)``: a run that trains on it too."""

    def make(*folders, name="second", **changes):
        extra = {"name": name, "data.extra": [str(folder) for folder in folders], "tta.views": "none"}
        return Run.create(override(tiny, {**extra, "train.epochs": 1, **changes}), tmp_path / "runs")

    return make


def sigmoid(logit):
    return 1 / (1 + math.exp(-logit))


def extra_items(data):
    dataset = data.train.dataset
    return [dataset[Draw(0, index)] for index in range(len(dataset.samples), len(dataset))]


def test_confidence_and_rules():
    probability = np.array([[[0.05, 0.3], [0.9, 0.5]]], np.float32)
    assert confidence_of(probability, BINARY) == pytest.approx(np.array([[0.95, 0.7], [0.9, 0.5]]))
    both = np.array([[[0.05, 0.9]], [[0.3, 0.99]]], np.float32)
    assert confidence_of(both, OVERLAPPING) == pytest.approx(np.array([[0.7, 0.9]]))
    three = np.array([[[0.2, 0.1]], [[0.5, 0.1]], [[0.3, 0.8]]], np.float32)
    assert confidence_of(three, CLASSES) == pytest.approx(np.array([[0.5, 0.8]]))
    confidence = confidence_of(probability, BINARY)  # mean 0.7625, half of them from 0.8 on
    for rules, kept in (
        (Rules(confident_share=0.5), True),
        (Rules(confident_share=0.51), False),
        (Rules(confident_share=0.51, mean_confidence=0.76), True),
        (Rules(mean_confidence=0.76), True),
        (Rules(mean_confidence=0.77), False),
        (Rules(), False),
        (Rules(confident_share=0), True),
    ):
        assert rules.keeps(confidence) is kept, rules
    even = np.full((3, 5), 0.85)
    assert [Rules(mean_confidence=mean).keeps(even) for mean in (None, 0.84, 0.95)] == [True, True, False]
    soft, hard = (Rules(confidence=0.85, hard=each).label(probability, BINARY) for each in (False, True))
    assert soft.values[0] == pytest.approx(np.array([[0.05, 0], [0.9, 0]]))
    assert hard.values[0].tolist() == [[0, 0], [1, 0]]
    assert soft.valid.tolist() == hard.valid.tolist() == [[True, False], [True, False]]
    hard = Rules(confidence=0.6, hard=True).label(three, CLASSES)
    assert hard.values[:, 0].T.tolist() == [[0, 0, 0], [0, 0, 1]]


@pytest.mark.parametrize("fold", [0, 1, 2])
def test_a_fold_learns_from_labels_of_its_own_networks_only(labelling, learning, tmp_path, fold):
    run = learning(pseudo_label(labelling(), tmp_path / "pseudo"))
    data = fold_data(run, fold, needs=frozenset())
    items = extra_items(data)
    assert [item["id"] for item in items] == list(run.competition().samples("test").ids)
    for item in items:
        assert item["valid"].all()
        assert item["targets"]["mask"].numpy() == pytest.approx(sigmoid(LOGITS[fold]), abs=1 / 509)
    train, valid = fold_splits(run.folds(), fold)
    assert data.valid_ids == sorted(valid["id"])
    assert set(run.folds()["id"]) == set(run.competition().samples("train").ids)
    data.sampler.epoch = 1
    drawn = {draw.index for batch in data.sampler for draw in batch}
    assert len(drawn) == len(train) + len(items) - (len(train) + len(items)) % 4


def test_a_fold_of_every_image_learns_from_the_mean_of_the_folds(labelling, learning, tmp_path):
    run = learning(pseudo_label(labelling(logits={0: 2.0, 2: 4.0}), tmp_path / "pseudo"))
    items = extra_items(fold_data(run, "all", needs=frozenset()))
    assert len(items) == 5
    assert items[2]["targets"]["mask"].numpy() == pytest.approx((sigmoid(2) + sigmoid(4)) / 2, abs=1 / 509)


def test_folds_keep_different_images(labelling, learning, tmp_path):
    folder = pseudo_label(labelling(), tmp_path / "pseudo", rules=Rules(confidence=0.9))
    assert [sum(PseudoFolder(folder).table().query("fold == @fold")["kept"]) for fold in "012"] == [0, 5, 5]
    assert PseudoFolder(folder).maps(0).ids() == []
    run = learning(folder)
    found = {fold: len(extra_items(fold_data(run, fold, needs=frozenset()))) for fold in (0, 1, "all")}
    assert found == {0: 0, 1: 5, "all": 0}
    with pytest.raises(InferenceError, match=r"none of 5 images is sure enough \(at best 0%"):
        pseudo_label(labelling("unsure", {0: 0.1}), tmp_path / "none")
    assert not PseudoFolder(tmp_path / "none").exists()


def test_what_a_kill_left_is_removed_and_only_one_writes_a_folder(labelling, tmp_path):
    run, out = labelling(), tmp_path / "pseudo"
    left = [out / name for name in (".images.tmp-a1.csv", "fold_1/.0f-0000.tmp-b2.pngs", "fold_7/.maps.tmp-c3.json")]
    for path in left:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("half of it")
    with exclusive(tmp_path / ".pseudo.lock", out), pytest.raises(BusyError, match=r"working on .*pseudo.*--out"):
        pseudo_label(run, out)
    assert all(path.exists() for path in left)
    pseudo_label(run, out)
    assert not list(out.rglob(".*"))
    assert len(PseudoFolder(out).maps(1).ids()) == 5


def test_a_fold_of_every_image_learns_from_nothing_that_only_some_folds_keep(labelling, learning, tmp_path):
    """Here the fold whose rows come first keeps all five images, and the others keep none."""
    sure_first = labelling(logits={0: 4.0, 1: 1.5, 2: -2.0})
    folder = pseudo_label(sure_first, tmp_path / "pseudo", rules=Rules(confidence=0.9))
    assert [sum(PseudoFolder(folder).table().query("fold == @fold")["kept"]) for fold in "012"] == [5, 0, 0]
    assert extra_items(fold_data(learning(folder), "all", needs=frozenset())) == []


def test_labels_of_other_folds_are_refused(labelling, learning, tmp_path, monkeypatch):
    poisoned = pseudo_label(labelling(**{"folds.seed": 5}), tmp_path / "poisoned")
    with pytest.raises(TrainingError, match="learning from its labels would leak"):
        fit(learning(poisoned), 0)
    some = pseudo_label(labelling("some", {1: 3.0}), tmp_path / "some")
    with pytest.raises(TrainingError, match="has no labels of fold 0, only of 1"):
        fit(learning(some, name="third"), 0)
    with pytest.raises(InferenceError, match="validates on other images than that of"):
        pseudo_label([labelling("a"), labelling("b", **{"folds.seed": 5})], tmp_path / "both")
    manifest = some / "manifest.json"
    manifest.write_text(json.dumps({**json.loads(manifest.read_text()), "class_names": ["cloud"]}))
    with pytest.raises(TrainingError, match="labels of binary cloud"):
        fit(learning(some, name="third"), 1)
    manifest.unlink()
    with pytest.raises(RunError, match="holds no pseudo-labels"):
        fit(learning(some, name="third"), 1)


def test_runs_are_averaged_and_rounds_counted(labelling, learning, tmp_path):
    first = labelling("a", {0: -3.0})
    folder = pseudo_label(first, tmp_path / "one")
    assert PseudoFolder(folder).manifest().round == 1
    second = labelling("b", {0: -2.0}, **{"data.extra": [str(folder)]})
    both = PseudoFolder(pseudo_label([first, second], tmp_path / "two"))
    manifest = both.manifest()
    assert (manifest.round, manifest.optimistic) == (2, False)
    assert manifest.weights == {"0": [run.fold(0).digest("best") for run in (first, second)]}
    expected = round(255 * (sigmoid(-3) + sigmoid(-2)) / 2)
    assert np.unique(both.maps(0).read("T000.jpg")) == expected
    with pytest.raises(RunError, match="was trained on"):
        pseudo_label(second, folder, overwrite=True)


def test_images_of_another_folder(labelling, learning, tmp_path, drawn):
    other = tmp_path / "more"
    other.mkdir()
    for name, shape in (("x.png", (30, 44, 3)), ("y.png", (52, 35, 3))):
        cv2.imwrite(str(other / name), np.full(shape, 90, np.uint8))
    (other / "notes.txt").write_text("no image")
    folder = pseudo_label(labelling(), tmp_path / "pseudo", images=other, rules=Rules(hard=True))
    run = learning(folder)
    data = fold_data(run, 1, needs=frozenset())
    (more,), items = data.train.dataset.extra, extra_items(data)
    assert [more.image(sample).shape for sample in more.samples] == [(30, 44, 3), (52, 35, 3)]
    assert [item["id"] for item in items] == ["x.png", "y.png"]
    assert all(item["targets"]["mask"][item["valid"]].unique().tolist() == [1] for item in items)
    (other / "y.png").unlink()
    with pytest.raises(TrainingError, match=r"1 images of .*pseudo are not in .*more: y\.png"):
        fold_data(run, 1, needs=frozenset())
    with pytest.raises(CompetitionError, match="are training images"):
        pseudo_label(labelling(), tmp_path / "again", images=drawn / "train")
    table = folder / "images.csv"
    written = table.read_text()
    table.write_text(written.replace("x.png", "../x.png"))
    with pytest.raises(RunError, match=r"images\.csv is damaged"):
        fold_data(run, 1, needs=frozenset())
    manifest = folder / "manifest.json"
    digests = [hashlib.sha256(text.encode()).hexdigest() for text in (written, table.read_text())]
    manifest.write_text(manifest.read_text().replace(*digests))
    with pytest.raises(CompetitionError, match="not a plain path inside"):
        fold_data(run, 1, needs=frozenset())


def test_nothing_is_overwritten_unasked_and_nothing_else_ever(labelling, tmp_path):
    run = labelling()
    folder = pseudo_label(run, tmp_path / "pseudo")
    with pytest.raises(RunError, match="give --overwrite"):
        pseudo_label(run, folder)
    assert pseudo_label(run, folder, overwrite=True, rules=Rules(confidence=0.6)) == folder
    assert PseudoFolder(folder).manifest().rules.confidence == 0.6
    (folder / "mine.txt").write_text("precious")
    with pytest.raises(RunError, match="holds other files"):
        pseudo_label(run, folder, overwrite=True)
    assert (folder / "mine.txt").exists()


def test_positive_images_are_drawn_in_their_share(labelling, learning, tmp_path):
    folder = pseudo_label(labelling(), tmp_path / "pseudo")
    run = learning(folder, **{"data.positive_share": 1.0, "train.epoch_images": 200})
    for fold, foreground in ((0, False), (1, True)):
        data = fold_data(run, fold, needs=frozenset())
        own = len(data.train.dataset.samples)
        drawn = {draw.index for batch in data.sampler for draw in batch}
        assert any(index >= own for index in drawn) is foreground


@pytest.mark.parametrize("way", ["extra", "teacher", "init_from"])
def test_a_score_is_marked_at_first_and_second_hand(labelling, learning, tmp_path, capsys, way):
    if way == "extra":
        folder = pseudo_label(labelling(), tmp_path / "pseudo", all_folds=True, rules=Rules(confidence=0.6))
        run = learning(folder)
        for item in extra_items(fold_data(run, 0, needs=frozenset())):
            assert item["targets"]["mask"].numpy() == pytest.approx(sum(map(sigmoid, LOGITS.values())) / 3, abs=1 / 509)
        next_round = PseudoFolder(
            pseudo_label(constant_run(tmp_path / "x", "third", run.config, {0: 3.0}), tmp_path / "y")
        )
        assert next_round.manifest().round == 2
        assert not next_round.manifest().optimistic, "its networks were not"
    else:
        former = labelling("former", {0: 1.0}, facts={"optimistic": True})
        key = {"teacher": "targets.teacher.runs", "init_from": "model.init_from"}[way]
        value = [str(former.path)] if way == "teacher" else str(former.path)
        run = learning(**{key: value})
    assert fit(run, 0)["optimistic"] is True
    assert run.fold(0).optimistic()
    assert capsys.readouterr().out.count(OPTIMISTIC) > 0


def test_labels_of_networks_that_saw_validation_images_are_marked_too(labelling, learning, tmp_path):
    folder = pseudo_label(labelling(facts={"optimistic": True}), tmp_path / "pseudo")
    assert PseudoFolder(folder).manifest().optimistic
    assert optimistic(learning(folder), 1)


class StopAfterOne(Callback):
    def on_epoch(self, session):
        return "enough" if session.epoch == 1 else None


@pytest.mark.slow
def test_the_mark_stays_where_the_first_weights_are_gone(labelling, learning, tmp_path):
    former = labelling("former", {0: 1.0}, facts={"optimistic": True})
    run = learning(**{"model.init_from": str(former.path), "train.epochs": 2})
    fit(run, 0, [StopAfterOne()])
    shutil.rmtree(former.path)
    assert fit(run, 0)["epochs"] == 2
    assert run.fold(0).optimistic()


@pytest.mark.slow
def test_a_training_does_not_go_on_with_other_labels_than_it_was_begun_with(labelling, learning, tmp_path):
    source = labelling()
    folder = pseudo_label(source, tmp_path / "pseudo", rules=Rules(confidence=0.6))
    run = learning(folder, **{"train.epochs": 2})
    fit(run, 0, [StopAfterOne()])
    pseudo_label(source, folder, rules=Rules(confidence=0.7), overwrite=True)
    with pytest.raises(RunError, match=r"begun with other predictions of the runs of data\.extra, number 1"):
        fit(run, 0)
    pseudo_label(source, folder, rules=Rules(confidence=0.6), overwrite=True)
    assert fit(run, 0)["epochs"] == 2


@pytest.mark.slow
def test_several_classes_taught_extra_stopped_and_resumed(streets, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config, _ = streets
    seen = constant_run(tmp_path, "seen", config, {0: [0.5, 3.0, -1.0], 1: [4.0, 0.0, 0.0]})
    folder = pseudo_label(seen, tmp_path / "pseudo")
    changes = {"data.workers": 1, "data.extra": [str(folder)], "targets.teacher": {"runs": [str(seen.path)]}}
    runs = [Run.create(override(config, {**changes, "name": name}), tmp_path) for name in ("whole", "stopped")]
    fit(runs[0], 0)
    assert fit(runs[1], 0, [StopAfterOne()])["epochs"] == 1
    assert fit(runs[1], 0)["epochs"] == 2
    files = [[run.fold(0).path / name for name in ("best.safetensors", "metrics.csv")] for run in runs]
    assert [path.read_bytes() for path in files[0]] == [path.read_bytes() for path in files[1]]
    expected = np.exp([0.5, 3.0, -1.0]) / np.exp([0.5, 3.0, -1.0]).sum()
    data = fold_data(runs[0], 0, needs=frozenset())
    for item in extra_items(data):
        assert item["targets"]["mask"].permute(1, 2, 0).numpy() == pytest.approx(
            np.broadcast_to(expected, (32, 32, 3)), abs=0.01
        )
    dataset = data.train.dataset
    own = dataset[Draw(0, 0)]["targets"]["mask"].flatten(1).T[dataset[Draw(0, 0)]["valid"].flatten()].numpy()
    hard = (own - 0.5 * expected) * 2
    assert sorted(np.unique(hard.round(1))) == [0, 1], "half of the mask, half of the teacher"
    assert predict(runs[1]).exists()
