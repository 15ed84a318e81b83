"""Data from which nothing can be learned is told, after an epoch at the latest."""

import shutil

import numpy as np
import pytest
import torch
from tests.drawn_runs import streets  # noqa: F401 (a fixture)

from maskfold.config import override
from maskfold.datasets import Smoothing
from maskfold.errors import TrainingError
from maskfold.labels import Label, LabelSpec
from maskfold.runs import Run
from maskfold.training import empty_labels, fit
from maskfold.training.empty_labels import Seen

NETWORK = {"model.architecture": "tests.drill.network:Tiny", "model.options": "{}"}


@pytest.mark.slow
def test_masks_that_are_all_empty_are_refused(tiny, tmp_path):
    root = shutil.copytree(tiny.competition.root, tmp_path / "c")
    table = root / "train_mask.csv"
    table.write_text("".join(line.split("\t")[0] + "\t\n" for line in table.read_text().splitlines()))
    run = Run.create(override(tiny, {**NETWORK, "competition.root": root}), tmp_path)
    with pytest.raises(TrainingError, match=r"all 12 masks of the training images of fold 0 are empty"):
        fit(run, 0)


def test_labels_that_are_all_ignored_are_refused(streets, tmp_path):  # noqa: F811
    import cv2

    config, labels = streets
    for name, label in labels.items():
        cv2.imwrite(str(config.competition.root / "labels" / name), np.full_like(label, 255))
    run = Run.create(override(config, NETWORK), tmp_path)
    with pytest.raises(TrainingError, match=r"no pixel of the labels of epoch 1 counted"):
        fit(run, 0)


@pytest.mark.slow
def test_a_score_of_nan_never_stays_the_best(streets, tmp_path, caplog):  # noqa: F811
    """Where nothing of the validation images counts, the last weights stand in, and it is said."""
    import cv2

    config, labels = streets
    run = Run.create(override(config, NETWORK), tmp_path)
    folds = run.folds()
    for name in folds["id"][(folds["fold"] == 0) & (folds["split"] == "valid")]:
        cv2.imwrite(str(config.competition.root / "labels" / name), np.full_like(labels[name], 255))
    run = Run(run.path)
    summary = fit(run, 0)
    assert summary["score"] != summary["score"]
    assert caplog.text.count("could be scored (NaN)") == config.train.epochs
    best, last = run.fold(0).load_checkpoint("best"), run.fold(0).load_state()["modules"]["network"]
    assert all((best[name] == last[name]).all() for name in best)


@pytest.mark.parametrize("labels", [LabelSpec("binary", ("a",)), LabelSpec("multiclass", ("sky", "road", "car"))])
def test_smoothed_labels_of_empty_masks_hold_no_object(labels):
    smoothing = Smoothing(labels, uniform=0.3, boundary=1.0)
    seen = Seen(labels, 0.3)
    for pixels, found in ((0, False), (1, True)):
        values = np.zeros((8, 8), np.uint8)
        values[3, :pixels] = 1
        label = smoothing(Label(values if labels.exclusive else values[None], np.ones((8, 8), bool)))
        seen.look({"valid": torch.ones(1, 8, 8), "targets": {"mask": torch.from_numpy(label.values[None])}})
        assert (seen.valid, seen.foreground) == (True, found)


def test_little_of_a_class_is_more_than_its_share_of_the_smoothing():
    """Of three classes each has a tenth where there is nothing of it."""
    labels = LabelSpec("multiclass", ("sky", "road", "car"))
    for share, found in ((0.1, False), (0.12, True)):
        seen, mask = Seen(labels, 0.3), torch.full((2, 3, 4, 5), 0.1)
        mask[1, 2, 3, 1] = share
        seen.look({"valid": torch.ones(2, 4, 5), "targets": {"mask": mask}})
        assert seen.foreground == found


def test_what_one_process_saw_counts_for_all(monkeypatch):
    monkeypatch.setattr(empty_labels, "gather_object", lambda own: [(True, False), *own, (False, True)])
    assert Seen(LabelSpec("binary", ("a",))).of_all() == (True, True)
