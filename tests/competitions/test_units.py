"""Images that a metric scores together are a group, where the profile names none."""

import numpy as np
import pandas as pd
import pytest
from tests.competitions.conftest import write_image
from tests.conftest import TINY

from maskfold.competitions import open_competition
from maskfold.config import load_config
from maskfold.datasets import load_groups
from maskfold.errors import CompetitionError
from maskfold.runs import Run

PROFILE = """\
layout: csv
metric: {name: gi_tract, joined: false}
train: {table: train.csv, image: "train/{id}.png"}
test: {table: sample_submission.csv, image: "test/{id}.png"}
columns: {id: id, class: class, mask: segmentation}
rows: class
task: multilabel
class_names: [bowel, stomach]
dialect: {order: C}
"""


def write(root, names, profile=PROFILE):
    (root / "train").mkdir(parents=True)
    for name in names:
        write_image(root / f"train/{name}.png", 3, (20, 26))
    rows = [f"{name},{organ},{1 + 5 * k} 4" for k, name in enumerate(names) for organ in ("bowel", "stomach")]
    (root / "train.csv").write_text("\n".join(["id,class,segmentation", *rows]) + "\n")
    (root / "test").mkdir()
    write_image(root / "test/case9_day9_slice_0001.png", 3, (20, 26))
    (root / "sample_submission.csv").write_text("id,class,segmentation\ncase9_day9_slice_0001,bowel,\n")
    (root / "profile.yaml").write_text(profile)
    keys = {"competition.profile": str(root / "profile.yaml"), "competition.root": root, "folds.count": 2}
    return load_config(None, {**TINY, **keys}, name="volumes")


DAYS = {"case1_day0": 4, "case1_day3": 3, "case2_day0": 5, "case3_day1": 2}
NAMES = [f"{day}_slice_{number:04d}" for day, slices in DAYS.items() for number in range(1, slices + 1)]


def test_volumes_stay_together(tmp_path):
    config = write(tmp_path / "volumes", NAMES)
    competition = open_competition(config.competition)
    assert competition.metric.joined is False
    samples = competition.samples("train")
    assert [sample.group for sample in samples] == [sample.id.split("_slice_")[0] for sample in samples]
    assert competition.samples("test")[0].group == "case9_day9"
    assert load_groups(competition, samples, config.folds) is not None
    table = Run.create(config, tmp_path / "runs").folds(competition)
    valid = table[table["split"] == "valid"].drop_duplicates(["fold", "id"])
    days = pd.DataFrame({"day": valid["id"].str.rpartition("_slice_")[0], "fold": valid["fold"]})
    assert days.groupby("day")["fold"].nunique().eq(1).all()
    assert set(valid["id"]) == set(NAMES)


def test_groups_of_the_profile_come_first(tmp_path):
    group = "group: {file: cases.csv, id: id, column: case}\n"
    config = write(tmp_path / "volumes", NAMES, PROFILE + group)
    lines = [f"{name},{name[:5]}" for name in [*NAMES, "case9_day9_slice_0001"]]
    (tmp_path / "volumes/cases.csv").write_text("\n".join(["id,case", *lines]) + "\n")
    samples = open_competition(config.competition).samples("train")
    assert {sample.group for sample in samples} == {"case1", "case2", "case3"}


def test_an_id_that_names_no_volume(tmp_path):
    config = write(tmp_path / "volumes", [*NAMES, "lost"])
    with pytest.raises(CompetitionError, match="the id lost does not say which volume it is a slice of"):
        open_competition(config.competition).samples("train")


def test_other_metrics_have_no_groups(tmp_path):
    config = write(tmp_path / "volumes", NAMES, PROFILE.replace("{name: gi_tract, joined: false}", "dice"))
    competition = open_competition(config.competition)
    assert {sample.group for sample in competition.samples("train")} == {None}
    assert np.isclose(competition.metric.score(np.ones((1, 6))), 0.5)


def test_options_that_the_metric_does_not_take(tmp_path):
    config = write(tmp_path / "volumes", NAMES, PROFILE.replace("joined: false", "jined: false"))
    with pytest.raises(ValueError, match=r"gi_tract cannot be made with the options \{'jined': False\}"):
        open_competition(config.competition)
