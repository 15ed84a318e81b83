"""A hundred and fifty classes: what is printed and shown of them can be read."""

import re

import numpy as np
import pandas as pd
import pytest
from tests.catalogue.label_twins import TWINS, write

from maskfold.checks import check_data
from maskfold.competitions import open_competition
from maskfold.config import CompetitionConfig, FoldsConfig
from maskfold.drawing import class_colours
from maskfold.labels import MANY_CLASSES, Label, LabelSpec
from maskfold.metrics import Evaluation, build_metric
from maskfold.report.data_page import data_page
from maskfold.report.page import _class_ends, class_legend

MANY = LabelSpec("multiclass", tuple(f"class{number}" for number in range(150)))
FEW = LabelSpec("multiclass", tuple(f"class{number}" for number in range(MANY_CLASSES)))


def evaluation(labels):
    """Class 7 is found by half, 3 not at all, 0 nearly; what else there is is right, and the last ten are not there."""
    truth = np.repeat(np.arange(labels.channels - 10, dtype=np.uint8), 4).reshape(-1, 4)
    found = truth.copy()
    found[7, :2], found[3] = 0, 0
    metric = build_metric("miou", labels)
    return Evaluation(metric, ["a"], metric.image_stats(found, Label.whole(truth))[None])


def test_scores_of_many_classes_are_the_ends_of_the_list():
    lines = evaluation(MANY).class_lines().splitlines()[1:]
    assert [line.partition(":")[0].strip() for line in lines] == [
        "worst of 140 classes",
        "median class",
        "best",
        "10 neither labelled nor predicted",
    ]
    assert lines[0].startswith("  worst of 140 classes: class3 0.0000, class0 0.4000, class7 0.5000, class1 1.0000, ")
    assert lines[1] == "  median class: 1.0000"
    assert all(len(line) < 200 for line in lines)
    few = evaluation(FEW).class_lines().splitlines()[1:]
    assert len(few) == MANY_CLASSES
    assert few[10].split() == ["class3", "0.0000"]  # those without a score come first


def test_the_data_of_many_classes(tmp_path):
    twin = next(twin for twin in TWINS if twin.profile == "ade20k")
    labels = write(twin, tmp_path / "data" / "ade")
    competition = open_competition(CompetitionConfig(profile="ade20k", root=tmp_path / "data" / "ade"))
    report = check_data(competition, FoldsConfig(count=2))
    assert report.problems == []
    train = [labels[sample.id] for sample in competition.samples("train")]
    wall = sum((label == 0).sum() for label in train) / sum(label.size for label in train)
    shown = report.facts["pixels"].split(", ")
    assert shown[0] == f"wall {100 * wall:.2g}%"
    assert len(shown) <= 14
    assert re.fullmatch(r"\d+ classes between these", shown[8])
    page = data_page(report, competition)
    legend = re.findall(r"<span>.*?</span>", page[page.index('class="legend"') :].partition("</p>")[0])
    assert len(legend) == MANY_CLASSES + 1
    assert "126 more" in legend[-1]
    assert page.index("<details><summary>All classes") < page.index("<td>pool table</td>")


@pytest.mark.parametrize("labels", [MANY, FEW])
def test_colours_and_their_legend(labels):
    colours = [colour for colour, _ in class_colours(labels)]
    assert len(set(colours)) == len(colours)
    pixels = np.arange(labels.channels)[::-1]
    legend = [name for _, name in class_legend(labels, pixels)]
    assert legend[:MANY_CLASSES] == list(labels.class_names[:MANY_CLASSES])
    assert legend[MANY_CLASSES:] == (["126 more"] if labels is MANY else [])


def test_the_ends_of_a_table():
    table = pd.DataFrame({"iou_d": [0.5, np.nan, 0.25, *np.linspace(0.3, 0.4, 30)]}, index=[f"c{n}" for n in range(33)])
    ends = _class_ends(table)
    assert ends.startswith("c2 0.2500, c3 0.3000, ")
    assert ends.endswith("c32 0.4000, c0 0.5000; the median is 0.3500")
    assert _class_ends(table.head(MANY_CLASSES)) == ""
