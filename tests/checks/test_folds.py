import numpy as np
import pytest
from tests.checks.conftest import encode, texture

from maskfold.checks import check_data
from maskfold.config import FoldsConfig, GroupConfig
from maskfold.datasets import make_folds

GROUP = GroupConfig(file="groups.csv", id="id", column="scene")


@pytest.fixture
def frames(make, tmp_path):
    """12 images: 0 = 5 = 9 (the same pixels), 3 ~ 7 (mirrored), and groups that keep them together."""
    images, masks = {}, {}
    for number in range(12):
        images[f"f{number:02d}"] = texture({5: 0, 9: 0, 7: 3}.get(number, number))
        mask = np.zeros((48, 64), np.uint8)
        mask[5 : 5 + 3 * (number % 4), 10:40] = 1
        masks[f"f{number:02d}"] = encode(mask)
    masks["f05"] = masks["f09"] = masks["f00"]
    images["f07"] = np.ascontiguousarray(images["f07"][:, ::-1])
    competition = make(images, masks, {"t": texture(77)})
    scenes = {"f05": "f00", "f09": "f00", "f07": "f03"}
    rows = [f"{name},{scenes.get(name, name)}" for name in images]
    (tmp_path / "competition/groups.csv").write_text("\n".join(["id,scene", *rows]) + "\n")
    return competition


def leaking(folds):
    """fold -> validation images with a copy in the training part, by looking at every pair."""
    copies = [{"f00", "f05", "f09"}, {"f03", "f07"}]
    found = {}
    for fold, own in folds.groupby("fold"):
        parts = {part: set(own["id"][own["split"] == part]) for part in ("train", "valid")}
        found[fold] = {id_ for id_ in parts["valid"] for group in copies if id_ in group and group & parts["train"]}
    return found


@pytest.mark.parametrize("config", [FoldsConfig(kind="kfold", count=4), FoldsConfig(kind="bootstrap", count=3, seed=2)])
def test_copies_on_both_sides_of_a_fold(frames, config):
    report = check_data(frames, config)
    folds = make_folds(frames.samples("train"), np.zeros(12), config)
    expected = leaking(folds)
    assert sum(map(len, expected.values())) > 2
    found = {fold: set(own["id"]) for fold, own in report.folds.leaks.groupby("fold")}
    assert found == {fold: ids for fold, ids in expected.items() if ids}
    assert list(report.folds.balance["leaks"]) == [len(ids) for ids in expected.values()]
    warning = next(text for text in report.warnings if "have a copy among their fold's training images" in text)
    assert warning.startswith(f"{len(set().union(*expected.values()))} validation images")
    assert f"folds.kind {'bootstrap' if config.kind == 'bootstrap' else 'stratified-grouped'}" in warning
    for fold, id_, copy in report.folds.leaks.to_numpy():
        assert {id_, copy} <= {"f00", "f05", "f09"} or {id_, copy} == {"f03", "f07"}
        assert copy in set(folds["id"][(folds["fold"] == fold) & (folds["split"] == "train")])


def test_groups_that_keep_copies_together_leak_nothing(frames):
    report = check_data(frames, FoldsConfig(kind="grouped", count=3, group=GROUP))
    assert report.folds.leaks.empty
    assert not any("validation images have a copy" in text for text in report.warnings)
    assert report.facts["groups"] == "9"
    assert report.folds.balance["groups"].sum() == 9


def test_balance(frames):
    config = FoldsConfig(kind="kfold", count=4, seed=3)
    report = check_data(frames, config)
    heights = {f"f{number:02d}": 3 * ({5: 0, 9: 0}.get(number, number) % 4) for number in range(12)}
    folds = make_folds(frames.samples("train"), np.zeros(12), config)
    valid = folds[folds["split"] == "valid"]
    for row in report.folds.balance.itertuples():
        own = [heights[id_] for id_ in valid["id"][valid["fold"] == row.fold]]
        assert (row.train, row.valid) == (9, 3)
        assert row.coverage == pytest.approx(np.mean(own) * 30 / (48 * 64))
        assert row.empty == pytest.approx(np.mean(np.array(own) == 0))
