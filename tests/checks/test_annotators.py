"""How far annotators agree, counted by hand, and what of their masks cannot be used."""

import numpy as np
import pandas as pd
import pytest
from tests.checks.conftest import encode, texture, write_competition, write_label_maps

from maskfold.checks import check_data
from maskfold.config import AnnotatorsConfig, FoldsConfig

HOLDOUT = FoldsConfig(kind="holdout")
SIZE = (20, 24)


def square(rows, columns):
    mask = np.zeros(SIZE, np.uint8)
    mask[rows, columns] = 1
    return mask


# 100 pixels; 60 of them and 20 others; nothing.
WHOLE, PART, NOTHING = square(slice(2, 12), slice(3, 13)), square(slice(6, 14), slice(3, 13)), square([], [])
DRAWN = {
    "a.csv": {"i0": WHOLE, "i1": NOTHING, "i2": WHOLE},
    "b.csv": {"i0": WHOLE, "i1": NOTHING, "i2": PART},
    "c.csv": {"i0": PART, "i2": PART},
}
CONFIG = AnnotatorsConfig(masks=tuple(DRAWN))


@pytest.fixture
def competition(make):
    made = make(
        {f"i{n}": texture(n, SIZE) for n in range(4)},
        {f"i{n}": encode(WHOLE) for n in range(4)},
        {"t": texture(9, SIZE)},
    )
    for name, masks in DRAWN.items():
        rows = [f"{id_},{encode(mask)}" for id_, mask in masks.items()]
        (made.root / name).write_text("\n".join(["id,rle", *rows]) + "\n")
    return made


def test_agreement_by_hand(competition):
    report = check_data(competition, HOLDOUT, CONFIG)
    part = 2 * 60 / (100 + 80)
    found = report.annotators
    pairs = {(row.first, row.second): (row.images, row.dice) for row in found.pairs.itertuples()}
    assert pairs == {
        ("a.csv", "c.csv"): (2, pytest.approx(part)),
        ("a.csv", "b.csv"): (3, pytest.approx((1 + 1 + part) / 3)),
        ("b.csv", "c.csv"): (2, pytest.approx((part + 1) / 2)),
    }
    # The majority: WHOLE of i0, PART of i2.
    rows = {row.name: (row.images, row.dice) for row in found.annotators.itertuples(index=False)}
    assert rows == {
        "a.csv": (3, pytest.approx((1 + 1 + part) / 3)),
        "b.csv": (3, pytest.approx(1)),
        "c.csv": (2, pytest.approx((part + 1) / 2)),
    }
    images = pd.DataFrame({"id": ["i0", "i2", "i1"], "annotators": [3, 3, 2]})
    assert found.images[["id", "annotators"]].equals(images)
    assert found.images["dice"].tolist() == pytest.approx([(1 + 2 * part) / 3, (1 + 2 * part) / 3, 1])
    assert list(found.pairs["dice"]) == sorted(found.pairs["dice"])
    assert report.facts["annotators"] == "3: a.csv (3 images), b.csv (3 images), c.csv (2 images)"
    assert report.facts["agreement"].startswith("mean Dice of pairs: a.csv and c.csv 0.667, ")
    assert report.facts["with majority"] == "mean Dice: a.csv 0.889, b.csv 1.000, c.csv 0.833"
    assert report.facts["least agreement"].startswith("mean Dice of an image's pairs: i0 0.778, i2 0.778, i1 1.000")
    assert report.ok
    assert [note for note in report.warnings if "i3" in note] == [
        "a.csv has no mask of 1 of 4 training images, which use the other annotators': i3",
        "b.csv has no mask of 1 of 4 training images, which use the other annotators': i3",
        "c.csv has no mask of 2 of 4 training images, which use the other annotators': i1, i3",
        "no annotator has a mask of 1 of 4 training images, which keep the competition's own: i3",
    ]


def test_masks_that_cannot_be_used(competition):
    (competition.root / "b.csv").write_text("id,rle\ni0,470 99\ni2,5 5\n")
    report = check_data(competition, HOLDOUT, CONFIG)
    (problem,) = report.problems
    assert problem.startswith("annotators' masks of 1 images cannot be used: i0 by b.csv: ")
    assert report.annotators.images["id"].tolist() == ["i2"], "of i1 only one annotator is left"
    (competition.root / "b.csv").unlink()
    report = check_data(competition, HOLDOUT, CONFIG)
    assert report.annotators is None
    assert report.problems[0].startswith("targets.annotators: there is no file b.csv in ")


def test_one_annotator_agrees_with_nobody(competition):
    report = check_data(competition, HOLDOUT, AnnotatorsConfig(masks=("a.csv",)))
    assert report.facts["agreement"] == "not measured: no image has masks by several annotators"
    assert report.annotators.annotators["dice"].isna().all()
    assert "with majority" not in report.facts
    assert check_data(competition, HOLDOUT).annotators is None


def test_classes_where_both_annotators_count(tmp_path):
    truth = np.zeros(SIZE, np.uint8)
    competition = write_label_maps(tmp_path, [truth] * 3, SIZE)
    for folder, classes in (("x", 2), ("y", 1)):
        (tmp_path / folder).mkdir()
        drawn = truth.copy()
        drawn[:5] = classes
        drawn[10:] = 255 if folder == "x" else 2
        write_label_maps(tmp_path / folder, [drawn], SIZE)
        (tmp_path / f"{folder}.txt").write_text(f"images/00.png {folder}/labels/00.png\n")
    found = check_data(competition, HOLDOUT, AnnotatorsConfig(masks=("x.txt", "y.txt"))).annotators
    # Of rows 0 to 9, which both count: sky alike, of road and car one has each.
    assert found.pairs["dice"].tolist() == pytest.approx([(1 + 0 + 0) / 3])


def test_the_loss_of_soft_labels_is_said(competition, tmp_path, monkeypatch):
    assert check_data(competition, HOLDOUT).facts["soft-label loss"] == ("0.25 bce + 0.75 dml (the metric is dice)")
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "costly.py").write_text(
        "from maskfold.metrics import METRICS\n\n\nclass Costly(METRICS['dice']):\n    name = 'f2'\n"
        "    costs = (0.2, 0.8)\n\n\nclass Quiet(Costly):\n    name = 'q'\n    costs = None\n"
    )
    for kind, said in (
        ("Costly", "0.25 bce + 0.75 ctl, alpha 0.2, beta 0.8 (the metric is f2)"),
        ("Quiet", "0.25 bce + 0.75 jml (the metric q names no costs of errors)"),
    ):
        made = two(tmp_path / kind, f"costly:{kind}")
        assert check_data(made, HOLDOUT).facts["soft-label loss"] == said


def two(folder, metric):
    return write_competition(
        folder, {"a": texture(0, SIZE), "b": texture(1, SIZE)}, {"a": "1 5", "b": ""}, metric=metric
    )
