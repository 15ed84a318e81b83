"""Public data sets with label images, from a twin in the genuine format to a scored submission."""

import shutil
from functools import cache

import cv2
import numpy as np
import pytest
from tests.catalogue.label_twins import TWINS, VOID, write
from tests.conftest import TINY

from maskfold.competitions import SubmissionWriter, find_competitions, open_competition, validate_submission
from maskfold.config import CompetitionConfig, load_config
from maskfold.runs import Run
from maskfold.scoring import evaluate_submission
from maskfold.steps.predict import predict
from maskfold.training import fit

EACH = pytest.mark.parametrize("twin", TWINS, ids=lambda twin: twin.profile)


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """twin -> its competition, and id -> classes with `VOID` of all its images; drawn once, not to be written to."""

    @cache
    def drawn(profile):
        root = tmp_path_factory.mktemp(profile) / "data" / "own"
        labels = write(next(twin for twin in TWINS if twin.profile == profile), root)
        return open_competition(CompetitionConfig(profile=profile, root=root)), labels

    return drawn


@pytest.fixture
def opened(twin, written):
    """A twin's competition, and id -> classes with `VOID` of all its images."""
    return written(twin.profile)


def ids(twin, split):
    return {drawn.id for drawn in twin.drawn if drawn.split == split}


@EACH
def test_samples_and_labels(twin, opened):
    competition, labels = opened
    drawn = {one.id: one for one in twin.drawn}
    train = competition.samples("train")
    own = (ids(twin, "valid") and {"train": "train", "valid": "valid"}) or {"train": None}
    assert {sample.id: sample.split for sample in train} == {
        one.id: own[one.split] for one in twin.drawn if one.split != "test"
    }
    assert set(competition.samples("test").ids) == ids(twin, "test")
    for sample in [*train, *competition.samples("test")]:
        assert (sample.image, sample.group) == (drawn[sample.id].image, drawn[sample.id].group)
    assert competition.labels.highest + 1 == twin.classes
    for sample in train:
        label = competition.label(sample.masks, labels[sample.id].shape)
        np.testing.assert_array_equal(label.valid, labels[sample.id] != VOID)
        np.testing.assert_array_equal(label.values, np.where(label.valid, labels[sample.id], 0))
    assert competition.unnamed_images() == []
    expected = "file-list" if twin.profile == "paddleseg-roads" else twin.profile  # has nothing of its own
    assert find_competitions(competition.root.parent) == [(competition.root, expected)]


def score(twin, folder, labels):
    """The data set's score by its own definition, from the values in a submission's files."""
    shared, either = np.zeros((2, twin.classes, len(twin.answers())), np.int64)
    for place, (image_id, name) in enumerate(twin.answers().items()):
        found = cv2.imread(str(folder / name), cv2.IMREAD_UNCHANGED)
        found = found[..., ::-1] if found.ndim == 3 else found[..., None]
        for value in range(twin.classes):
            predicted = (found == twin.submitted(value)).all(-1) & (labels[image_id] != VOID)
            true = labels[image_id] == value
            shared[value, place], either[value, place] = (predicted & true).sum(), (predicted | true).sum()
    if twin.metric == "iou":  # the mean over images, 1 where there is nothing to find and nothing was found
        return np.mean([a / b if b else 1.0 for a, b in zip(shared[1], either[1], strict=True)])
    shared, either = shared.sum(1), either.sum(1)
    if twin.metric == "pooled_iou":
        return shared[1] / either[1]
    return np.mean(shared[either > 0] / either[either > 0])


@EACH
def test_a_submission_in_the_data_sets_own_values(twin, opened, tmp_path):
    competition, labels = opened
    rng = np.random.default_rng(0)
    with SubmissionWriter(competition, tmp_path / "own", ids(twin, "test")) as writer:
        for image_id in ids(twin, "test"):
            mask = np.where(labels[image_id] == VOID, 0, labels[image_id])
            mask[: 4 + len(image_id) % 5] = rng.integers(0, twin.classes)
            writer.write(image_id, mask)
    assert {path.name for path in (tmp_path / "own").iterdir()} == set(twin.answers().values())
    found = evaluate_submission(tmp_path / "own", competition.root.parent / "truth", competition)
    assert found.metric.name == twin.metric
    assert 0 < found.score < 1
    assert found.score == pytest.approx(score(twin, tmp_path / "own", labels), abs=1e-9)


@pytest.mark.slow
@EACH
def test_trained_and_predicted(twin, opened, tmp_path, monkeypatch):
    competition, labels = opened
    monkeypatch.chdir(tmp_path)
    keys = {
        "competition.profile": twin.profile,
        "competition.root": competition.root,
        "folds.count": 2,
        "folds.kind": "kfold",
    }
    steps = {"train.epochs": None, "train.iterations": 2, "train.batch_size": 2, "tta.views": "none", "data.crop": 32}
    run = Run.create(load_config(None, {**TINY, **keys, **steps}, name="twin"), tmp_path / "runs")
    assert fit(run, 0)["steps"] == 2
    path = predict(run, tmp_path / "masks")
    validate_submission(path, competition)
    found = evaluate_submission(path, competition.root.parent / "truth", competition)
    assert found.score == pytest.approx(score(twin, path, labels), abs=1e-9)


@pytest.mark.parametrize("profile", ["ade20k", "coco-stuff", "camvid-colours"])
def test_archives_stay_as_they_were_downloaded(profile, tmp_path):
    twin = next(twin for twin in TWINS if twin.profile == profile)
    labels = write(twin, tmp_path / "plain")
    for folder in list((tmp_path / "plain").iterdir()):
        inside = {"root_dir": folder.parent, "base_dir": folder.name}
        if folder.name.startswith(("stuffthingmaps", "LabeledApproved")):  # without a folder of their own
            inside = {"root_dir": folder}
        shutil.make_archive(str(tmp_path / "zipped" / folder.name), "zip", **inside)
    opened = (
        open_competition(CompetitionConfig(profile=profile, root=tmp_path / name)) for name in ("plain", "zipped")
    )
    plain, zipped = opened
    for split in ("train", "test"):
        assert zipped.samples(split) == plain.samples(split)
    for sample in zipped.samples("train"):
        label = zipped.label(sample.masks, labels[sample.id].shape)
        np.testing.assert_array_equal(label.valid, labels[sample.id] != VOID)
