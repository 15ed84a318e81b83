from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pandas.testing import assert_frame_equal

from maskfold.competitions import Sample, Samples
from maskfold.config import FoldsConfig
from maskfold.datasets.folds import make_folds
from maskfold.datasets.folds_file import fold_splits, read_folds, write_folds
from maskfold.errors import FoldsError

IDS = ["007", "NA", "a b", "1e5", "é.jpg", "x,y", "8", "9", "10", "true"]

PATH = Path("runs/mine/folds.csv")


def samples_of(ids):
    return Samples(Sample(image_id, "a.png") for image_id in ids)


@pytest.fixture
def folds():
    return make_folds(samples_of(IDS), np.linspace(0, 1, 10), FoldsConfig(kind="kfold", count=3))


@pytest.mark.parametrize("kind", ["kfold", "bootstrap", "holdout"])
def test_round_trip_keeps_ids_as_text(kind):
    folds = make_folds(samples_of(IDS), np.linspace(0, 1, 10), FoldsConfig(kind=kind, count=3))
    back = read_folds(write_folds(folds), PATH, IDS[::-1])
    assert back.astype(object).to_numpy().tolist() == folds.astype(object).to_numpy().tolist()


ANY_ID = st.text(st.characters(codec="utf-8", exclude_characters="\r\n\0"), min_size=1, max_size=8)


@settings(max_examples=25, deadline=None)
@given(ids=st.lists(ANY_ID, min_size=4, max_size=12, unique=True))
def test_any_id_survives(ids):
    folds = make_folds(samples_of(ids), np.ones(len(ids)), FoldsConfig(kind="kfold", count=2))
    assert set(read_folds(write_folds(folds), PATH, ids)["id"]) == set(ids)


def test_fold_splits(folds):
    train, valid = fold_splits(folds, 1)
    assert list(train.columns) == ["id", "times"]
    assert list(valid.columns) == ["id"]
    assert set(train["id"]) | set(valid["id"]) == set(IDS)
    assert set(valid["id"]) == set(folds.query("fold == 1 and split == 'valid'")["id"])
    for wrong in (3, -1):
        with pytest.raises(FoldsError, match=rf"no fold {wrong}: the folds are 0, 1, 2"):
            fold_splits(folds, wrong)


def test_another_data_set(folds):
    message = r"another data set: 2 of its ids .*\(007, 8\) and 3 images .*\(new1, new2, new3\)"
    with pytest.raises(FoldsError, match=message):
        read_folds(write_folds(folds), PATH, [*[i for i in IDS if i not in ("007", "8")], "new1", "new2", "new3"])


def test_a_group_on_both_sides_is_a_leak(folds):
    fold_of = folds[folds["split"] == "valid"].set_index("id")["fold"]
    sound = [f"place {fold_of[i]}" for i in IDS]
    assert_frame_equal(read_folds(write_folds(folds), PATH, IDS, sound), read_folds(write_folds(folds), PATH, IDS))
    leaking = [sound[0] + " north", *sound[1:]]
    leaking[next(k for k in range(1, 10) if sound[k] != sound[0])] = leaking[0]
    with pytest.raises(FoldsError, match=r"1 groups are both in train and in valid: place \d north"):
        read_folds(write_folds(folds), PATH, IDS, np.array(leaking))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda text: text.replace("times", "count"), "columns fold, id, split, count"),
        (lambda text: text.replace("0,NA,", "zero,NA,", 1), r"fold is 'zero'"),
        (lambda text: text.replace("0,NA,", "5,NA,"), "without a gap"),
        (lambda text: text.replace(",valid,", ",test,"), "splits test"),
        (lambda text: text.replace(",valid,1", ",valid,2"), "must be 1"),
        (lambda text: text.replace("train,1", "train,0", 1), "at least 1"),
        (lambda text: text.replace("train,1", "train,1.5", 1), "times is '1.5'"),
        (lambda text: text + "0,8,valid,1\n", "two rows: 8"),
        (lambda text: text.replace("valid", "train"), "no valid images"),
        (lambda text: "", "not a CSV"),
        (lambda text: "fold,id,split,times\n", "another data set"),
    ],
)
def test_damaged_files(folds, change, message):
    content = change(write_folds(folds).decode()).encode()
    with pytest.raises(FoldsError, match=message):
        read_folds(content, PATH, IDS)
