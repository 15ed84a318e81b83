"""Copies of an image are one group: found in the files, joined with known groups, on one side of a fold."""

from dataclasses import replace

import cv2
import numpy as np
import pytest
from tests.checks.conftest import encode, texture, write_competition

from maskfold.competitions import Samples
from maskfold.config import Config, FoldsConfig, override
from maskfold.datasets import copies
from maskfold.datasets.copies import copy_sets, with_copies
from maskfold.datasets.folds import coverages, load_groups, make_folds
from maskfold.errors import FoldsError
from maskfold.runs import Run


def alike(sets):
    """The sets of more than one, as the places of their items."""
    return {
        tuple(np.flatnonzero(sets == number).tolist()) for number in set(sets.tolist()) if (sets == number).sum() > 1
    }


@pytest.fixture
def competition(tmp_path, monkeypatch):
    """Twelve textures, of which 01 is 00 mirrored and brightened, 05 is 02, and 07 is 01 saved again."""
    monkeypatch.setenv("MASKFOLD_CACHE", str(tmp_path / "kept"))
    images = {f"{number:02d}": texture(number) for number in range(12)}
    images["01"] = np.clip(images["00"][:, ::-1].astype(int) + 9, 0, 255).astype(np.uint8)
    images["05"] = images["02"].copy()
    jpeg = cv2.imencode(".jpg", images["01"], [cv2.IMWRITE_JPEG_QUALITY, 80])[1]
    images["07"] = cv2.imdecode(jpeg, cv2.IMREAD_COLOR)
    images["10"] = images["11"] = np.full((48, 64, 3), 90, np.uint8)  # of one colour: nothing to recognise
    mask = np.zeros((48, 64), np.uint8)
    mask[3:20, 5:31] = 1
    masks = {name: encode(mask) if int(name) % 2 else "" for name in images}
    return write_competition(tmp_path / "data", images, masks)


def test_copies_are_found_and_kept(competition, monkeypatch, tmp_path):
    samples = competition.samples("train")
    assert alike(copy_sets(competition, samples)) == {(0, 1, 7), (2, 5)}
    monkeypatch.setattr(copies, "_searched", lambda *args: pytest.fail("read again"))
    assert alike(copy_sets(competition, samples)) == {(0, 1, 7), (2, 5)}
    monkeypatch.undo()
    monkeypatch.setenv("MASKFOLD_CACHE", str(tmp_path / "kept"))
    cv2.imwrite(str(competition.root / "train" / "05.png"), texture(77))
    assert alike(copy_sets(competition, samples)) == {(0, 1, 7)}, "a file that changed is looked at again"


def test_folds_keep_copies_on_one_side(competition):
    samples = competition.samples("train")
    apart, together = (FoldsConfig(count=3, copies=each) for each in ("apart", "together"))
    assert load_groups(competition, samples, apart) is None
    groups = load_groups(competition, samples, together)
    assert groups is not None
    assert groups[0] == groups[1] == groups[7]
    assert groups[2] == groups[5]
    assert len(set(groups)) == 9
    folds = make_folds(samples, coverages(competition, samples), together, groups)
    for _, rows in folds.groupby("fold"):
        valid = set(rows.loc[rows["split"] == "valid", "id"])
        for family in ({"00", "01", "07"}, {"02", "05"}):
            assert valid & family in (set(), family)
    with pytest.raises(FoldsError, match=r"folds\.copies is together, but folds\.kind kfold ignores groups"):
        load_groups(competition, samples, FoldsConfig(kind="kfold", copies="together"))


def test_groups_with_a_copy_in_common_become_one():
    ids = list("abcdefg")
    groups = ["x", "x", "y", "y", "z", None, None]
    assert with_copies(ids, groups, np.arange(7)) == groups, "nothing is a copy"
    # b is a copy of c: x and y are one; f is a copy of e.
    found = with_copies(ids, groups, np.array([0, 1, 1, 3, 4, 4, 6]))
    assert found[0] == found[1] == found[2] == found[3] == "x"
    assert found[4] == found[5] == "z"
    assert found[6] not in {"x", "z", None}


def test_folds_that_are_there_need_no_search(competition, tmp_path, monkeypatch):
    """Another decoder may find other copies in the same files: finished folds are checked by what is declared."""
    samples = competition.samples("train")
    config = override(Config(), {"folds.copies": "together", "folds.count": 3})
    run = Run.create(config, tmp_path / "runs")
    made = run.folds(competition)
    assert len(set(load_groups(competition, samples, config.folds))) == 9
    monkeypatch.setattr(copies, "copy_sets", lambda *_: pytest.fail("searched"))
    assert Run.open(run.path).folds(competition).equals(made)
    some = Samples(replace(sample, group="a" if sample.id in ("03", "04") else None) for sample in samples)
    groups = load_groups(competition, some, config.folds, search=False)
    assert groups is not None
    assert groups[3] == groups[4]
    assert len(set(groups)) == 11
